"""Tiers of an annotation, as Praat and ELAN have them: spans of time with text, mostly one tier per speaker."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from macsgr_jax.data.transcripts.row import Row, make_row
from macsgr_jax.data.transcripts.times import write_seconds
from macsgr_jax.limits import MAX_PAIRS, allow

LABELS = re.compile(r"(?:(.*?)[\W_]*)?(?:emotions?|labels?|affect)(?:[\W_]*(.*))?", re.IGNORECASE)
# Tiers of a forced alignment, which repeat what the tier of sentences says.
ALIGNED = re.compile(r"(?:.*[\W_])?(?:phones?|phonemes?|segments?|syllables?|words?|mau|ort|kan)", re.IGNORECASE)


class Span(NamedTuple):
    """A stretch of a tier.

    Attributes:
        start: seconds, or None.
        end: seconds, or None.
        text: what is annotated.
    """

    start: float | None
    end: float | None
    text: str


class Tier(NamedTuple):
    """A tier.

    Attributes:
        name: its name.
        speaker: the speaker whose utterances it holds.
        spans: its spans in order.
    """

    name: str
    speaker: str
    spans: tuple[Span, ...]


def make_rows(path: Path, tiers: Sequence[Tier], notices: list[str]) -> list[Row]:
    """Makes the rows of a transcript of the tiers of speakers, with labels of tiers that hold emotions.

    Args:
        path: the file, for messages.
        tiers: all tiers.
        notices: gets a sentence if tiers were left out.

    Returns:
        The rows, sorted by start: one per span with text of a tier of a speaker.
    """
    labels = [tier for tier in tiers if LABELS.fullmatch(tier.name) and len(tiers) > 1]
    others = [tier for tier in tiers if tier not in labels]
    aligned = [tier for tier in others if ALIGNED.fullmatch(tier.name)]
    spoken = [tier for tier in others if tier not in aligned]
    if not any(span.text.strip() for tier in spoken for span in tier.spans):
        spoken, aligned = others, []
    if aligned:
        names = ", ".join(tier.name for tier in aligned)
        notices.append(f"{path}: tiers of words or sounds are not read: {names}.")
    pairs = sum(len(tier.spans) for tier in spoken) * sum(len(tier.spans) for tier in labels)
    allow(pairs, MAX_PAIRS, f"{path}: utterances and labels make {pairs} pairs")
    found = [
        (span, tier.speaker, _find_label(tier, span, labels))
        for tier in spoken
        for span in tier.spans
        if span.text.strip()
    ]
    found.sort(key=lambda one: one[0].start if one[0].start is not None else float("inf"))
    return [
        make_row(
            {
                "speaker": speaker,
                "text": " ".join(span.text.split()),
                "start": None if span.start is None else write_seconds(span.start),
                "end": None if span.end is None else write_seconds(span.end),
                "label": label,
            },
            f"{path}: annotation {number}",
        )
        for number, (span, speaker, label) in enumerate(found, 1)
    ]


def _find_label(tier: Tier, span: Span, labels: Sequence[Tier]) -> str:
    """Returns the emotion that shares the most time with a span, in a tier of the same speaker or of nobody."""
    best, most = "", 0.0
    for other in labels:
        match = LABELS.fullmatch(other.name)
        of = ((match[1] or match[2] or "") if match else "").strip().lower()
        if of and of not in (tier.speaker.lower(), tier.name.lower()):
            continue
        for one in other.spans:
            if None in (one.start, one.end, span.start, span.end) or not one.text.strip():
                continue
            overlap = min(one.end, span.end) - max(one.start, span.start)  # type: ignore[type-var, operator]
            if overlap > most:
                best, most = one.text.strip(), overlap
    return best
