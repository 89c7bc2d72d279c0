"""The row that every transcript format makes of one utterance: its columns as text."""

import difflib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from macsgr_jax.errors import InputError

COLUMNS = ("id", "speaker", "text", "start", "end", "clip", "label")


class Row(NamedTuple):
    """One utterance as it is written in a transcript.

    Attributes:
        where: file and row, for messages.
        values: column of COLUMNS -> text, "" where there is nothing.
    """

    where: str
    values: dict[str, str]


def make_row(values: dict[str, Any], where: str) -> Row:
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


def check_columns(names: Iterable[str], where: str) -> None:
    """Refuses columns that are not in COLUMNS.

    Args:
        names: the columns that a transcript has.
        where: file and row, for messages.

    Raises:
        InputError: a column is not known.
    """
    for name in names:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise InputError(f"{where}: the column {name!r} is not known{hint}; there are {', '.join(COLUMNS)}")


def _as_text(value: Any, name: str, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{where}: its {name} is {json.dumps(value)[:60]}: give text or a number")
    text = str(value).strip()
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{where}: its {name} holds half of a letter (a lone surrogate): write it as UTF-8")
    return text
