"""Transcript formats: one file per format, and one row of FORMATS."""

from collections.abc import Callable, Mapping
from pathlib import Path

from macsgr_jax.data.transcripts.csv_table import is_table, parse_csv
from macsgr_jax.data.transcripts.cues import has_cues, parse_cues
from macsgr_jax.data.transcripts.decoding import decode_transcript
from macsgr_jax.data.transcripts.elan import parse_elan
from macsgr_jax.data.transcripts.json_document import parse_json
from macsgr_jax.data.transcripts.json_lines import parse_json_lines
from macsgr_jax.data.transcripts.plain_text import parse_plain_text
from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.data.transcripts.rttm import add_speakers, parse_rttm
from macsgr_jax.data.transcripts.textgrid import parse_textgrid
from macsgr_jax.errors import InputError
from macsgr_jax.files import read_file
from macsgr_jax.limits import MAX_TRANSCRIPT_BYTES

# How a transcript is parsed: path for messages, text, list to which notices are added -> rows.
Parser = Callable[[Path, str, list[str]], list[Row]]

# Suffix of a file in lower case -> its parser, where the content does not show another one.
FORMATS: Mapping[str, Parser] = {
    ".csv": parse_csv,
    ".tsv": parse_csv,
    ".tab": parse_csv,
    ".jsonl": parse_json_lines,
    ".ndjson": parse_json_lines,
    ".json": parse_json,
    ".srt": parse_cues,
    ".vtt": parse_cues,
    ".textgrid": parse_textgrid,
    ".eaf": parse_elan,
    ".rttm": parse_rttm,
    ".txt": parse_plain_text,
}
RTTM = ".rttm"
BEGINNING = 2000  # Characters that show the format.


def read_rows(path: Path, notices: list[str] | None = None, segments: Path | None = None) -> list[Row]:
    """Reads the rows of a transcript.

    Args:
        path: a file with a suffix of FORMATS, in any encoding of `decoding`.
        notices: gets a sentence for each thing that was read in one of several ways.
        segments: an RTTM file with the speakers of a transcript that names none.

    Returns:
        At least one row.

    Raises:
        InputError: the file cannot be read, has no row, or has a row or column that cannot be understood.
    """
    notices = [] if notices is None else notices
    rows = _parse(path, notices)
    if not rows:
        raise InputError(f"{path} is an empty conversation: give one row per utterance")
    if segments is not None and segments != path and not any(row.values["speaker"] for row in rows):
        rows = add_speakers(segments, rows, _parse(segments, notices), notices)
    return rows


def _parse(path: Path, notices: list[str]) -> list[Row]:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            f"{path} should end in {', '.join(list(FORMATS)[:-1])} or {list(FORMATS)[-1]}: give the transcript of a"
            " conversation"
        )
    content = read_file(path, MAX_TRANSCRIPT_BYTES)
    text = decode_transcript(path, content, notices)
    return _choose_parser(suffix, text)(path, text, notices)


def _choose_parser(suffix: str, text: str) -> Parser:
    """Returns the parser of what the text shows itself to be, or else of the suffix."""
    beginning = text[:BEGINNING].lstrip()
    if beginning.startswith("WEBVTT"):
        return parse_cues
    if "ooTextFile" in beginning[:200]:
        return parse_textgrid
    if "<ANNOTATION_DOCUMENT" in beginning:
        return parse_elan
    if suffix in (".jsonl", ".ndjson") and beginning.startswith("["):
        return parse_json
    if suffix == ".txt":
        if has_cues(beginning):
            return parse_cues
        if beginning.startswith(("{", "[{")):
            return parse_json
        if beginning.startswith("SPEAKER ") and len(beginning.split("\n")[0].split()) >= 8:
            return parse_rttm
        if is_table(text):
            return parse_csv
    return FORMATS[suffix]
