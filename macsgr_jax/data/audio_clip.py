"""Where the audio of an utterance is: a stretch of a recording."""

from pathlib import Path
from typing import NamedTuple


class Clip(NamedTuple):
    """A stretch of a recording.

    Attributes:
        path: an audio or video file.
        start: seconds from the beginning of the file.
        end: seconds from the beginning of the file; None is its end.
        channel: the index of the channel to read; None is the mean of all channels.
    """

    path: Path
    start: float = 0.0
    end: float | None = None
    channel: int | None = None
