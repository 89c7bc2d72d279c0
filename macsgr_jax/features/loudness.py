"""Gives recordings one loudness, so that the gain of a microphone does not look like an emotion.

One gain holds for a whole recording, or for all clips of a conversation that are files of their own: how loud
utterances are beside each other stays as it is.
"""

import functools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.errors import InputError
from macsgr_jax.features.audio_io import measure_seconds, read_clip
from macsgr_jax.features.audio_quality import compute_level, measure_blocks

TARGET = -23.0  # dBFS, the loudness of broadcasts; it leaves room for the peaks of speech.
MAX_GAIN = 40.0  # dB; what would need more is noise.
PART_SECONDS = 60.0  # A long recording is read in parts.


class _Loudness(NamedTuple):
    """What the level of a stretch follows from.

    Attributes:
        blocks: f64[blocks], the mean square of each block.
        peak: the largest absolute sample.
    """

    blocks: np.ndarray
    peak: float


NOTHING = _Loudness(np.zeros(0), 0.0)


def compute_gains(
    clips: Sequence[Clip | None], conversations: Sequence[int], target: float, jobs: int = 1
) -> np.ndarray:
    """Computes the factor of the samples of each clip.

    Args:
        clips: U clips; None where there is no audio.
        conversations: U numbers of conversations.
        target: the level in dBFS that each recording gets.
        jobs: the number of recordings to measure at once.

    Returns:
        f32[U]; 1 where there is no audio or it cannot be read, and never so large that a sample exceeds full scale.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for row, (clip, conversation) in enumerate(zip(clips, conversations, strict=True)):
        if clip is not None:
            whole = clip.start == 0 and clip.end is None
            key = ("files", conversation) if whole else ("recording", clip.path, clip.channel)
            groups.setdefault(key, []).append(row)
    gains = np.ones(len(clips), np.float32)
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        measured: list[tuple[list[int], list[Future[_Loudness]]]] = []
        for (kind, *_), rows in groups.items():
            own = [clip for row in rows if (clip := clips[row])]
            if kind == "recording":
                parts = [pool.submit(_measure_recording, own[0].path, own[0].channel, _stamp(own[0].path))]
            else:
                parts = [pool.submit(_measure_part, clip) for clip in own]
            measured.append((rows, parts))
        for rows, parts in measured:
            gains[rows] = _compute_gain([part.result() for part in parts], target)
    return gains


def _stamp(path: Path) -> tuple[int, int]:
    """Returns what changes when a file does: time and size."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=64)
def _measure_recording(path: Path, channel: int | None, stamp: tuple[int, int]) -> _Loudness:
    """Measures a whole recording, once while its stamp is the same: a stream asks for it with every utterance."""
    try:
        starts = np.arange(0.0, measure_seconds(path), PART_SECONDS).tolist()
    except InputError:
        return NOTHING
    parts = [NOTHING, *(_measure_part(Clip(path, start, start + PART_SECONDS, channel)) for start in starts)]
    return _Loudness(np.concatenate([part.blocks for part in parts]), max(part.peak for part in parts))


def _measure_part(part: Clip) -> _Loudness:
    """Measures what fits into memory; what cannot be read is told when features are extracted."""
    try:
        samples, rate = read_clip(part)
    except InputError:
        return NOTHING
    if not samples.size or not np.isfinite(samples).all():
        return NOTHING
    return _Loudness(measure_blocks(samples, rate), float(np.abs(samples).max()))


def _compute_gain(parts: Sequence[_Loudness], target: float) -> float:
    level = compute_level(np.concatenate([part.blocks for part in parts]))
    if not np.isfinite(level):
        return 1.0
    return min(10 ** (min(target - level, MAX_GAIN) / 20), 1.0 / max(part.peak for part in parts))
