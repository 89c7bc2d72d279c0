"""Transcripts as tables, CSV or separated by semicolons, tabs or bars: a header, then one row per utterance."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from macsgr_jax.data.transcripts.headers import FoundColumns, find_columns
from macsgr_jax.data.transcripts.row import Row, make_row, scale_times
from macsgr_jax.errors import InputError, quote

SEPARATORS = (",", ";", "\t", "|")
NEEDED = ("text", "clip", "start")  # One of them, or there is nothing to predict from.
# Whisper writes times in whole milliseconds under this header.
WHISPER = ["start", "end", "text"]
MIN_MILLISECONDS = 50  # Half of the utterances of a table in milliseconds are longer.


def parse_csv(path: Path, text: str, notices: list[str]) -> list[Row]:
    """Parses a table.

    Args:
        path: the file, for messages.
        text: its content.
        notices: gets a sentence for what was read in one of several ways.

    Returns:
        The rows below the header, perhaps none; empty lines are skipped.

    Raises:
        InputError: no column is known, or a row cannot be understood.
    """
    text, first_line, separator = _find_separator(text)
    try:
        table = _read_table(path, text, first_line, separator)
    except InputError:
        if separator != "\t":
            raise
        table = _read_table(path, text, first_line, separator, quoted=False)  # As Whisper writes it.
    if not table:
        return []
    (_, names), *body = table
    while names and not names[-1]:
        names = names[:-1]
    found = find_columns(names)
    _check_header(path, names, found, notices)
    rows = [_make_row(path, line, cells, names, found) for line, cells in body if any(cells)]
    if separator == "\t" and names == WHISPER and _are_milliseconds(rows):
        notices.append(f"{path}: its times are read as milliseconds, as Whisper writes them.")
        rows = [scale_times(row, frozenset({"start", "end"})) for row in rows]
    return rows


def is_table(text: str) -> bool:
    """Returns whether a text begins with a header in which a column of text and another one are known."""
    text, _, separator = _find_separator(text)
    try:
        first = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error:
        return False
    positions = find_columns([name.strip() for name in first]).positions
    return "text" in positions and len(positions) > 1


def _find_separator(text: str) -> tuple[str, int, str]:
    """Returns the table, the number of its first line, and what separates its columns."""
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # What Excel reads, and does not show.
        mark = first.strip("\r\n")[4:5]
        return rest, 2, mark if mark in SEPARATORS else ","
    header = next((line for line in text.splitlines() if line.strip()), "")

    def rate(separator: str) -> tuple[int, int]:
        try:
            names = next(csv.reader([header], delimiter=separator), [])
        except csv.Error:
            return 0, 0
        return len(find_columns(names).positions), len(names)

    return text, 1, max(SEPARATORS, key=rate)


def _read_table(
    path: Path, text: str, first_line: int, separator: str, quoted: bool = True
) -> list[tuple[int, list[str]]]:
    """Returns the number of the last line and the cells of each row that is not empty."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        strict=quoted,
        skipinitialspace=True,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    try:
        return [
            (reader.line_num + first_line - 1, [cell.strip() for cell in cells])
            for cells in reader
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        where = f"{path}: row {reader.line_num + first_line - 1}"
        raise InputError(f"{where} is not CSV ({error}): close the quotation marks") from None


def _check_header(path: Path, names: Sequence[str], found: FoundColumns, notices: list[str]) -> None:
    if found.repeated:
        raise InputError(f"{path}: row 1: the column {found.repeated} is there twice: keep one of them")
    if not any(column in found.positions for column in NEEDED):
        likely = next((name for name, column in found.near.items() if column in NEEDED), None)
        hint = f" (did you mean {found.near[likely]} by {likely!r}?)" if likely else ""
        shown = " ".join(", ".join(filter(None, names))[:200].split())
        raise InputError(
            f"{path}: no column holds text, clip or start{hint}; it has {shown}: name the"
            " columns in the first row, such as speaker,text,start,end"
        )
    for name, column in found.near.items():
        notices.append(f"{path}: the column '{quote(name)}' is not read; if you mean {column}, call it so.")


def _make_row(path: Path, line: int, cells: list[str], names: Sequence[str], found: FoundColumns) -> Row:
    where = f"{path}: row {line}"
    if any(cells[len(names) :]):
        count = f"{len(cells)} columns, and the header {len(names)}"
        raise InputError(f"{where} has {count}: quote texts that hold a comma")
    cells = [*cells, *[""] * (len(names) - len(cells))]
    values = {column: cells[position] for column, position in found.positions.items()}
    if found.dialogue:
        values["dialogue"] = "_".join(cells[position] for position in found.dialogue)
    duration = None if found.duration is None else cells[found.duration]
    return scale_times(make_row(values, where), found.milliseconds, duration)


def _are_milliseconds(rows: Sequence[Row]) -> bool:
    times = [(row.values["start"], row.values["end"]) for row in rows]
    if not rows or not all(start.isdecimal() and end.isdecimal() for start, end in times):
        return False
    lengths = sorted(int(end) - int(start) for start, end in times)
    return lengths[len(lengths) // 2] >= MIN_MILLISECONDS
