"""Subtitles, SRT and WebVTT: cues with two times and some lines of text."""

import html
import itertools
import re
from pathlib import Path

from macsgr_jax.data.transcripts.row import Row, make_row
from macsgr_jax.data.transcripts.speaker_names import split_speakers
from macsgr_jax.data.transcripts.times import parse_seconds, write_seconds
from macsgr_jax.errors import InputError

ARROW = "-->"
# No tag has another one in it: so a text of thousands of beginnings takes no longer than any other.
VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s([^<>]*)>")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")


def parse_cues(path: Path, text: str, notices: list[str]) -> list[Row]:
    """Parses SRT or WebVTT.

    Args:
        path: the file, for messages.
        text: its content.
        notices: not needed.

    Returns:
        The rows, perhaps none: one per cue that has text, or several where a cue has several voices.

    Raises:
        InputError: the times of a cue cannot be understood.
    """
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    arrows = [number for number, line in enumerate(lines) if ARROW in line]
    if not arrows and any(line.strip() for line in lines) and not text.lstrip().startswith("WEBVTT"):
        raise InputError(f"{path} has no cue, a line with two times and {ARROW} between them: give SRT or WebVTT")
    found: list[tuple[int, str, str, str, str]] = []
    for number, after in itertools.pairwise([*arrows, len(lines)]):
        start, end = _read_span(path, number, lines[number])
        for voice, said in _split_voices(_read_text(lines, number + 1, after)):
            found.append((number + 1, start, end, voice, said))
    named = split_speakers([said for *_, said in found])
    return [
        make_row(
            {"speaker": voice or spoken.speaker, "text": said if voice else spoken.text, "start": start, "end": end},
            f"{path}: row {number}",
        )
        for (number, start, end, voice, said), spoken in zip(found, named, strict=True)
    ]


def has_cues(text: str) -> bool:
    """Returns whether a text begins with a number and a line of two times, or with the latter."""
    return any(re.match(r"\s*[\d:.,]+\s*-->\s*[\d:.,]+", line) for line in text.lstrip().split("\n")[:2])


def _read_span(path: Path, number: int, line: str) -> tuple[str, str]:
    start, _, rest = line.partition(ARROW)
    end = rest.split()[0] if rest.split() else ""
    try:
        seconds = [parse_seconds(time.strip()) for time in (start, end)]
    except ValueError as error:
        raise InputError(
            f"{path}: row {number + 1}: {error}: write times as 00:01:02,500 {ARROW} 00:01:04,000"
        ) from None
    first, last = ("" if one is None else write_seconds(one) for one in seconds)
    return first, last


def _read_text(lines: list[str], first: int, after: int) -> str:
    """Returns the text of a cue, which ends at an empty line or before the number of the next cue."""
    found = []
    for number in range(first, after):
        line = lines[number].strip()
        if not line or (number == after - 1 and line.isdecimal() and after < len(lines)):
            break
        found.append(line)
    return "\n".join(found)


def _split_voices(text: str) -> list[tuple[str, str]]:
    """Returns the voices of a cue with their texts, those without text left out."""
    head, *rest = VOICE.split(text)
    pairs = [("", head), *zip(rest[::2], rest[1::2], strict=True)]
    cleaned = [(voice.strip(), " ".join(html.unescape(TAG.sub("", said)).split())) for voice, said in pairs]
    return [(voice, said) for voice, said in cleaned if said]
