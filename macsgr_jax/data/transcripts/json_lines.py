"""Transcripts as JSON Lines: one object per utterance, whose keys are columns of COLUMNS."""

import json
from pathlib import Path

from macsgr_jax.data.transcripts.row import Row, check_columns, make_row
from macsgr_jax.errors import InputError


def parse_json_lines(path: Path, text: str) -> list[Row]:
    """Parses a JSON Lines transcript.

    Args:
        path: the file, for messages.
        text: its content.

    Returns:
        The rows, perhaps none; empty lines are skipped.

    Raises:
        InputError: a line is not an object, or a value cannot be understood.
    """
    # Not `splitlines`: a text may hold characters that it takes for the end of a line.
    lines = enumerate(text.split("\n"), 1)
    return [parse_json_row(line, f"{path}: row {number}") for number, line in lines if line.strip()]


def parse_json_row(line: str, where: str) -> Row:
    """Parses one line of a JSON Lines transcript.

    Args:
        line: an object whose keys are columns of COLUMNS.
        where: file and row, for messages.

    Returns:
        The row.

    Raises:
        InputError: the line is not such an object, or a value cannot be understood.
    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON ({error}): write one object per line") from None
    if not isinstance(values, dict):
        example = '{"speaker": "A", "text": "Yes."}'
        raise InputError(f"{where} is not a JSON object: write one per line, such as {example}")
    check_columns(values, where)
    return make_row(values, where)
