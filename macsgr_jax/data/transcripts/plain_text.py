"""Plain text: one utterance per line, mostly `Name: sentence`, with a time before or behind the name or without."""

import re
from pathlib import Path

from macsgr_jax.data.transcripts.row import Row, make_row
from macsgr_jax.data.transcripts.speaker_names import BRACKETED, match_name

CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?"
TIME_FIRST = re.compile(
    rf"[\[(]?({CLOCK})[\])]?\s*(?:(?:-|\u2013|-->|to)\s*[\[(]?({CLOCK})[\])]?)?\s*[-\u2013:|]?\s*(.*)"
)
TIME_BEHIND_NAME = re.compile(rf"([^\d\[(:][^\[(:]{{0,40}}?)\s*[\[(]?({CLOCK})[\])]?\s*:?\s*(.*)")


def parse_plain_text(path: Path, text: str, notices: list[str]) -> list[Row]:
    """Parses plain text.

    Args:
        path: the file, for messages.
        text: its content. Where at least half of the lines name a speaker, a line that names none belongs to the
            utterance above it; otherwise every line is an utterance whose speaker is not known.
        notices: not needed.

    Returns:
        The rows, perhaps none.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    parsed = [(number, line, _parse_line(line)) for number, line in lines]
    named = 2 * sum(bool(values["speaker"]) for *_, values in parsed) >= len(parsed)
    # A name and a time alone in a line stand above what is said.
    headed = any(values["speaker"] and not values["text"] for *_, values in parsed)
    named = named or (headed and 3 * sum(bool(values["speaker"]) for *_, values in parsed) >= len(parsed))
    rows: list[tuple[int, dict[str, str]]] = []
    for number, line, values in parsed:
        if not named:
            spoken = line if not values["start"] else values["line"]
            rows.append((number, {"speaker": "", "text": spoken, "start": values["start"], "end": values["end"]}))
        elif values["speaker"] or not rows or values["start"]:
            rows.append((number, values))
        else:
            rows[-1][1]["text"] = f"{rows[-1][1]['text']} {line}".strip()
    return [make_row(values, f"{path}: row {number}") for number, values in rows]


def _parse_line(line: str) -> dict[str, str]:
    """Returns speaker, text, start and end of a line, and what stands behind its time."""
    start = end = ""
    rest = line
    timed = TIME_FIRST.fullmatch(line)
    if timed is not None:
        start, end, rest = timed[1], timed[2] or "", timed[3]
    else:
        behind = TIME_BEHIND_NAME.fullmatch(line)
        # The time is part of a sentence unless it is in brackets, ends the line, or a colon follows it.
        if behind is not None and re.search(rf"[\[(]{CLOCK}[\])]|{CLOCK}\s*(?::\s|$)", line):
            return {"speaker": behind[1].strip(" -"), "text": behind[3], "start": behind[2], "end": "", "line": line}
    match = BRACKETED.fullmatch(rest) or match_name(rest)
    speaker, text = (match[1].strip(), match[2].strip()) if match else ("", rest)
    return {"speaker": speaker, "text": text, "start": start, "end": end, "line": rest}
