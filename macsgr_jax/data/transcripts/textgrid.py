"""Praat's TextGrid, in the long or the short form: one tier of intervals or points per speaker."""

import re
from collections.abc import Iterator
from pathlib import Path

from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.data.transcripts.tiers import Span, Tier, make_rows
from macsgr_jax.errors import InputError

# Praat reads free-standing strings, numbers and flags, and skips everything between them.
TOKEN = re.compile(r'"(?:[^"]|"")*"|[^\s"]+')
NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?%?")
INTERVALS, POINTS = "IntervalTier", "TextTier"
MAX_TIERS = 10_000


def parse_textgrid(path: Path, text: str, notices: list[str]) -> list[Row]:
    """Parses a TextGrid.

    Args:
        path: the file, for messages.
        text: its content.
        notices: gets a sentence if tiers were left out.

    Returns:
        The rows, perhaps none: one per interval that has text, whose speaker is the name of the tier; a point has no
        end.

    Raises:
        InputError: the file is not a TextGrid, or was cut short.
    """
    if not text.strip():
        return []
    tokens = _list_tokens(text)
    try:
        return make_rows(path, list(_read_tiers(tokens)), notices)
    except InputError:
        raise
    except (StopIteration, ValueError, RuntimeError, OverflowError):
        raise InputError(
            f"{path} is not a whole TextGrid: save it in Praat as a text file or a short text file again"
        ) from None


def _list_tokens(text: str) -> Iterator[str]:
    for token in TOKEN.findall(text):
        if token.startswith('"') or token in ("<exists>", "<absent>") or NUMBER.fullmatch(token):
            yield token


def _read_tiers(tokens: Iterator[str]) -> Iterator[Tier]:
    kind, what = _read_string(tokens), _read_string(tokens)
    if kind not in ("ooTextFile", "ooTextFile short") or what != "TextGrid":
        raise ValueError(f"it is a {what}")
    float(next(tokens)), float(next(tokens))
    count = _read_count(tokens) if next(tokens) == "<exists>" else 0
    for _ in range(count):
        kind, name = _read_string(tokens), _read_string(tokens)
        if kind not in (INTERVALS, POINTS):
            raise ValueError(f"a tier is a {kind}")
        float(next(tokens)), float(next(tokens))
        spans = []
        for _ in range(int(next(tokens))):  # The tokens end where fewer are there.
            start = float(next(tokens))
            end = float(next(tokens)) if kind == INTERVALS else None
            spans.append(Span(start, end, _read_string(tokens)))
        yield Tier(name, name, tuple(spans))


def _read_count(tokens: Iterator[str]) -> int:
    count = int(next(tokens))
    if not 0 <= count <= MAX_TIERS:
        raise ValueError(f"it has {count} tiers")
    return count


def _read_string(tokens: Iterator[str]) -> str:
    token = next(tokens)
    if not token.startswith('"'):
        raise ValueError(f"{token} is no string")
    return token[1:-1].replace('""', '"')
