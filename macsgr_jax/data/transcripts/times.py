"""Times as transcripts have them: seconds, M:S, or HH:MM:SS with a decimal point or comma."""

import math
import re

CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d*)?)")
UNITS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "seconds": 1.0}
PLAIN = re.compile(r"([-+]?\d*[.,]?\d+(?:[eE][-+]?\d+)?|\d+[.,])\s*(ms|s|sec|seconds)?")
MAX_LETTERS = 40
MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "-", "<na>"})


def parse_seconds(text: str) -> float | None:
    """Parses a time.

    Args:
        text: seconds, such as 12.5, "12,5" or "12.5 s"; M:S, such as "1:05.5"; or H:M:S, such as "00:01:05,500".

    Returns:
        Seconds, which may be negative; None where nothing is given.

    Raises:
        ValueError: the text is no time.
    """
    text = text.strip()
    if text.lower() in MISSING:
        return None
    if len(text) > MAX_LETTERS:
        raise ValueError(f"{text[:MAX_LETTERS]!r}... is no time")
    clock = CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3].replace(",", "."))
        if rest >= 60 or (clock[1] is not None and minutes >= 60):
            raise ValueError(f"{text!r} has more than 59 minutes or seconds")
        return 3600 * hours + 60 * minutes + rest
    plain = PLAIN.fullmatch(text)
    if plain is None:
        raise ValueError(f"{text!r} is no time")
    seconds = float(plain[1].replace(",", ".")) * UNITS[plain[2] or "s"]
    if not math.isfinite(seconds):
        raise ValueError(f"{text!r} is no time")
    return seconds


def write_seconds(seconds: float) -> str:
    """Returns seconds as text that `parse_seconds` reads, without digits that are only rounding."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
