"""Transcripts as JSON Lines: one object per utterance, whose keys are names of columns; other keys are ignored."""

import json
from pathlib import Path
from typing import Any

from macsgr_jax.data.transcripts.row import Row, make_named_row
from macsgr_jax.errors import InputError, quote

EXAMPLE = '{"speaker": "A", "text": "Yes."}'


def parse_json_lines(path: Path, text: str, notices: list[str]) -> list[Row]:
    """Parses a JSON Lines transcript.

    Args:
        path: the file, for messages.
        text: its content.
        notices: not needed.

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
        line: an object whose keys are names of columns.
        where: file and row, for messages.

    Returns:
        The row.

    Raises:
        InputError: the line is not such an object, or a value cannot be understood.
    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON ({quote(error)}): write one object per line") from None
    return read_object(values, where)


def read_object(values: Any, where: str) -> Row:
    """Reads the object of one utterance.

    Args:
        values: an object whose keys are names of columns.
        where: file and row, for messages.

    Returns:
        The row.

    Raises:
        InputError: it is no object, or a value cannot be understood.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where} is not a JSON object: write one per utterance, such as {EXAMPLE}")
    return make_named_row(values, where)
