"""The rows of a conversation's file, CSV or JSON Lines, as text by column."""

import csv
import difflib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from macsgr_jax.errors import InputError

COLUMNS = ("id", "speaker", "text", "start", "end", "clip", "label")
SUFFIXES = (".csv", ".jsonl")
SEPARATORS = {";": "semicolons", "\t": "tabs"}  # What others write between columns.


class Row(NamedTuple):
    """One utterance as it is written.

    Attributes:
        place: file and line, for messages.
        values: column of COLUMNS -> text, "" where there is nothing.
    """

    place: str
    values: dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """The rows of a file.

    Args:
        path: CSV or JSON Lines, UTF-8.

    Returns:
        At least one.

    Raises:
        InputError: it cannot be read, or has no row, or a row or column cannot be understood.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} should end in {' or '.join(SUFFIXES)}: give the table of what was said")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    if path.suffix.lower() == ".csv":
        rows = _read_csv(path, text)
    else:  # Not `splitlines`: a text may hold what that takes for the end of a line.
        lines = [(f"{path}: row {number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        rows = [parse_json_row(line, place) for place, line in lines]
    if not rows:
        raise InputError(f"{path} is an empty conversation: give a row an utterance")
    return rows


def parse_json_row(line: str, place: str) -> Row:
    """One line of JSON Lines.

    Args:
        line: an object whose keys are of COLUMNS.
        place: file and line, for messages.

    Raises:
        InputError: it is not such an object.
    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not JSON ({error}): write one object a line") from None
    if not isinstance(values, dict):
        raise InputError(f'{place} is no JSON object: write one a line, such as {{"speaker": "A", "text": "Yes."}}')
    _check_columns(values, place)
    return Row(place, {name: _as_text(values.get(name), name, place) for name in COLUMNS})


def _read_csv(path: Path, text: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    try:
        names = next(reader, [])
        _check_head(path, names)
        for cells in filter(None, reader):
            place = f"{path}: row {reader.line_num}"
            if len(cells) != len(names):
                there = f"{len(cells)} columns, and the head {len(names)}"
                raise InputError(f"{place} has {there}: quote texts that hold a comma")
            values = dict(zip(names, cells, strict=True))
            rows.append(Row(place, {name: _as_text(values.get(name), name, place) for name in COLUMNS}))
    except csv.Error as error:
        raise InputError(f"{path}: row {reader.line_num} is not CSV ({error}): close the quotation marks") from None
    return rows


def _check_head(path: Path, names: list[str]) -> None:
    if "speaker" not in names:
        there = ", ".join(names) or "none"
        mark = next((mark for mark in SEPARATORS if mark in there), None)
        advice = f"choose from {', '.join(COLUMNS)}"
        if mark:
            advice = f"separate columns by commas, not by {SEPARATORS[mark]}"
        raise InputError(f"{path}: the column speaker is missing (it has {there}): {advice}")
    _check_columns(names, f"{path}: row 1")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: row 1: the column {twice[0]} is there twice: keep one of them")


def _check_columns(names: Iterable[str], place: str) -> None:
    for name in names:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise InputError(f"{place}: the column {name!r} is not known{hint}; there are {', '.join(COLUMNS)}")


def _as_text(value: Any, name: str, place: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{place}: its {name} is {json.dumps(value)[:60]}: give text or a number")
    text = str(value).strip()
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{place}: its {name} holds half of a letter (a lone surrogate): write it as UTF-8")
    return text
