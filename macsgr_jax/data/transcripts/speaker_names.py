"""Names of speakers at the beginning of what they say, as subtitles and plain transcripts have them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

BRACKETED = re.compile(r"(?:-|>>)?\s*\[([^\]\n]{1,40})\]\s*:\s*(.*)", re.DOTALL)
# A name begins with a letter and has up to four words and no other sign than those of names.
NAMED = re.compile(
    r"(?:-|>>)?\s*((?:[^\W\d_][\w.'\u2019()&-]*)(?:[ ][\w.'\u2019()&-]+){0,3})\s*:(?!//)\s*(.*)", re.DOTALL
)
MAX_NAME = 40


class Spoken(NamedTuple):
    """A text and who says it.

    Attributes:
        speaker: the name of the speaker; empty where none stands before the text.
        text: what is said.
    """

    speaker: str
    text: str


def split_speakers(texts: Sequence[str]) -> list[Spoken]:
    """Separates names from texts.

    A name in brackets is always one, as in `[SPEAKER_00]: text`. Other beginnings, as in `Ann: text`, are names if at
    least half of the texts have one; if fewer have, only those in capital letters are, as is usual in subtitles.

    Args:
        texts: the texts of one transcript.

    Returns:
        One text per text, with its speaker.
    """
    matches = [BRACKETED.fullmatch(text) or match_name(text) for text in texts]
    mostly = 2 * sum(match is not None for match in matches) >= len(texts)
    spoken = []
    for text, match in zip(texts, matches, strict=True):
        known = match is not None and (mostly or match.re is BRACKETED or match[1].isupper())
        spoken.append(Spoken(match[1].strip(), match[2].strip()) if known and match else Spoken("", text))
    return spoken


def match_name(text: str) -> re.Match[str] | None:
    """Matches a name, a colon and a text; returns None where the text does not begin so."""
    match = NAMED.fullmatch(text)
    return match if match is not None and len(match[1]) <= MAX_NAME else None
