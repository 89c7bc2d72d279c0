"""RTTM: who speaks when, as diarisation writes it; the text stands in a file beside it, or nowhere."""

from collections.abc import Sequence
from pathlib import Path

from macsgr_jax.data.transcripts.row import Row, make_row
from macsgr_jax.data.transcripts.times import parse_seconds, write_seconds
from macsgr_jax.errors import InputError
from macsgr_jax.limits import MAX_PAIRS, allow

SEGMENT = "SPEAKER"
MIN_FIELDS = 8
MAX_SECONDS = 1e9


def parse_rttm(path: Path, text: str, notices: list[str]) -> list[Row]:
    """Parses RTTM.

    Args:
        path: the file, for messages.
        text: its content; lines of other types than SPEAKER are skipped.
        notices: not needed.

    Returns:
        One row per segment, without text, sorted by start; a file of several recordings has a dialogue for each.

    Raises:
        InputError: a line cannot be understood.
    """
    segments = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0] != SEGMENT:
            continue
        try:
            if len(fields) < MIN_FIELDS:
                raise ValueError(f"it has {len(fields)} fields")
            start, length = float(fields[3]), float(fields[4])
            if not (abs(start) < MAX_SECONDS and abs(length) < MAX_SECONDS):
                raise ValueError("a time is out of range")
        except ValueError as error:
            example = f"{SEGMENT} talk 1 0.00 2.10 <NA> <NA> Ann <NA> <NA>"
            raise InputError(f"{path}: row {number} is not RTTM ({error}): write it as {example}") from None
        segments.append((fields[1], start, start + length, fields[7], number))
    recordings = {recording for recording, *_ in segments}
    return [
        make_row(
            {
                "speaker": speaker,
                "start": write_seconds(start),
                "end": write_seconds(end),
                "dialogue": recording if len(recordings) > 1 else "",
            },
            f"{path}: row {number}",
        )
        for recording, start, end, speaker, number in sorted(segments, key=lambda one: (one[0], one[1]))
    ]


def add_speakers(path: Path, rows: Sequence[Row], segments: Sequence[Row], notices: list[str]) -> list[Row]:
    """Gives the rows of a transcript the speakers of the segments of a diarisation.

    Args:
        path: the file of the segments, for messages.
        rows: the rows of the transcript, none of which names a speaker. Those with times get the speaker of the
            segments that they share the most time with; those without are the texts of the segments, if there are as
            many.
        segments: the rows of `parse_rttm`.
        notices: gets a sentence if the segments do not fit.

    Returns:
        The rows with speakers, and with times where they had none.
    """
    if all(row.values["start"] and row.values["end"] for row in rows):
        pairs = len(rows) * len(segments)
        allow(pairs, MAX_PAIRS, f"{path}: {len(segments)} segments and {len(rows)} utterances make {pairs} pairs")
        return [row._replace(values=row.values | {"speaker": _find_speaker(row, segments)}) for row in rows]
    if len(rows) != len(segments):
        notices.append(f"{path} has {len(segments)} segments for {len(rows)} texts without times, and is not used.")
        return list(rows)
    return [
        row._replace(values=row.values | {name: segment.values[name] for name in ("speaker", "start", "end")})
        for row, segment in zip(rows, segments, strict=True)
    ]


def _find_speaker(row: Row, segments: Sequence[Row]) -> str:
    shared: dict[str, float] = {}
    try:
        start, end = (parse_seconds(row.values[name]) or 0.0 for name in ("start", "end"))
    except ValueError:
        return ""
    for segment in segments:
        first, last = float(segment.values["start"]), float(segment.values["end"])
        overlap = min(end, last) - max(start, first)
        if overlap > 0:
            speaker = segment.values["speaker"]
            shared[speaker] = shared.get(speaker, 0.0) + overlap
    return max(shared, key=lambda speaker: shared[speaker]) if shared else ""
