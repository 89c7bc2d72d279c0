"""Transcript formats: one file per format, and one row of FORMATS."""

from collections.abc import Callable, Mapping
from pathlib import Path

from macsgr_jax.data.transcripts.csv_table import parse_csv
from macsgr_jax.data.transcripts.json_lines import parse_json_lines
from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.errors import InputError

# Suffix of a file -> how its text is parsed: (path for messages, text) -> rows.
FORMATS: Mapping[str, Callable[[Path, str], list[Row]]] = {".csv": parse_csv, ".jsonl": parse_json_lines}


def read_rows(path: Path) -> list[Row]:
    """Reads the rows of a transcript.

    Args:
        path: a UTF-8 file with a suffix of FORMATS.

    Returns:
        At least one row.

    Raises:
        InputError: the file cannot be read, has no row, or has a row or column that cannot be understood.
    """
    parse = FORMATS.get(path.suffix.lower())
    if parse is None:
        raise InputError(f"{path} should end in {' or '.join(FORMATS)}: give the transcript of a conversation")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    rows = parse(path, text)
    if not rows:
        raise InputError(f"{path} is an empty conversation: give one row per utterance")
    return rows
