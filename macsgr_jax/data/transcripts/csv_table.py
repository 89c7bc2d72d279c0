"""Transcripts as CSV: a header with names of COLUMNS, then one row per utterance."""

import csv
import io
from pathlib import Path

from macsgr_jax.data.transcripts.row import COLUMNS, Row, check_columns, make_row
from macsgr_jax.errors import InputError

SEPARATORS = {";": "semicolons", "\t": "tabs"}  # What other programs write between columns.


def parse_csv(path: Path, text: str) -> list[Row]:
    """Parses a CSV transcript.

    Args:
        path: the file, for messages.
        text: its content.

    Returns:
        The rows below the header, perhaps none; empty lines are skipped.

    Raises:
        InputError: a column or row cannot be understood.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    try:
        names = next(reader, [])
        _check_header(path, names)
        for cells in filter(None, reader):
            where = f"{path}: row {reader.line_num}"
            if len(cells) != len(names):
                found = f"{len(cells)} columns, and the header {len(names)}"
                raise InputError(f"{where} has {found}: quote texts that hold a comma")
            rows.append(make_row(dict(zip(names, cells, strict=True)), where))
    except csv.Error as error:
        raise InputError(f"{path}: row {reader.line_num} is not CSV ({error}): close the quotation marks") from None
    return rows


def _check_header(path: Path, names: list[str]) -> None:
    if "speaker" not in names:
        found = ", ".join(names) or "none"
        mark = next((mark for mark in SEPARATORS if mark in found), None)
        advice = f"choose from {', '.join(COLUMNS)}"
        if mark:
            advice = f"separate columns by commas, not by {SEPARATORS[mark]}"
        raise InputError(f"{path}: the column speaker is missing (it has {found}): {advice}")
    check_columns(names, f"{path}: row 1")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InputError(f"{path}: row 1: the column {repeated[0]} is there twice: keep one of them")
