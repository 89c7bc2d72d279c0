"""The row that every transcript format makes of one utterance: its columns as text."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from macsgr_jax.data.transcripts.headers import COLUMNS, find_columns
from macsgr_jax.data.transcripts.times import parse_seconds, write_seconds
from macsgr_jax.errors import InputError, quote
from macsgr_jax.limits import MAX_NAME, MAX_TEXT, allow


class Row(NamedTuple):
    """One utterance as it is written in a transcript.

    Attributes:
        where: file and row, for messages.
        values: column of COLUMNS -> text, "" where there is nothing.
    """

    where: str
    values: dict[str, str]


def make_row(values: Mapping[str, Any], where: str) -> Row:
    """Turns the values of an utterance into text.

    Args:
        values: column of COLUMNS -> text, number or None; a column may be missing.
        where: file and row, for messages.

    Returns:
        The row, with all columns.

    Raises:
        InputError: a value is neither text nor a number, or is not valid Unicode.
    """
    return Row(where, {name: _as_text(values.get(name), name, where) for name in COLUMNS})


def make_named_row(values: Mapping[str, Any], where: str) -> Row:
    """Turns the values of an utterance into text, whatever its columns are called; others are left aside.

    Args:
        values: name of a column, or a synonym of `headers`, -> text, number or None.
        where: file and row, for messages.

    Returns:
        The row, with all columns.

    Raises:
        InputError: a value is neither text nor a number, or is not valid Unicode.
    """
    names = list(values)
    found = find_columns(names)
    chosen = {column: values[names[position]] for column, position in found.positions.items()}
    if len(found.dialogue) > 1:
        parts = [_as_text(values[names[position]], "dialogue", where) for position in found.dialogue]
        chosen["dialogue"] = "_".join(parts)
    row = make_row(chosen, where)
    return scale_times(row, found.milliseconds, values[names[found.duration]] if found.duration is not None else None)


def scale_times(row: Row, milliseconds: frozenset[str], duration: Any = None) -> Row:
    """Turns times in milliseconds into seconds, and a duration into an end.

    Args:
        row: the row.
        milliseconds: the columns that are in milliseconds, among start, end and duration.
        duration: the length of the utterance, or None.

    Returns:
        The row; a time that cannot be understood is left as it is.
    """
    values = dict(row.values)
    for name in ("start", "end"):
        if name in milliseconds:
            values[name] = _divide(values[name])
    if duration is not None and not values["end"]:
        length = _as_text(duration, "duration", row.where)
        length = _divide(length) if "duration" in milliseconds else length
        try:
            start, seconds = parse_seconds(values["start"]), parse_seconds(length)
        except ValueError:
            return row._replace(values=values)
        if start is not None and seconds is not None:
            values["end"] = write_seconds(start + seconds)
    return row._replace(values=values)


def _divide(milliseconds: str) -> str:
    try:
        return write_seconds(float(milliseconds.replace(",", ".")) / 1000)
    except ValueError:
        return milliseconds


def _as_text(value: Any, name: str, where: str) -> str:
    if value is None or value != value:  # NaN, as pandas writes what is missing.
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{where}: its {name} is {quote(json.dumps(value, default=str), 60)}: give text or a number")
    try:
        text = str(value).strip()
    except ValueError:  # A number of thousands of digits.
        raise InputError(f"{where}: its {name} is a number of too many digits: give text or a number") from None
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{where}: its {name} holds half of a letter (a lone surrogate): write it as UTF-8")
    allow(len(text), MAX_TEXT if name == "text" else MAX_NAME, f"{where}: its {name} has {len(text)} characters")
    return text
