"""Gives recordings one loudness, so that the gain of a microphone does not look like an emotion.

One gain holds for a whole recording, or for all clips of a conversation that are files of their own: how loud
utterances are beside each other stays as it is.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.errors import InputError
from macsgr_jax.features.audio_io import measure_seconds, read_clip
from macsgr_jax.features.audio_quality import compute_level, measure_blocks

TARGET = -23.0  # dBFS, the loudness of broadcasts; it leaves room for the peaks of speech.
MAX_GAIN = 40.0  # dB; what would need more is noise.
PART_SECONDS = 60.0  # A long recording is read in parts.


def compute_gains(
    clips: Sequence[Clip | None], conversations: Sequence[int], target: float, jobs: int = 1
) -> np.ndarray:
    """Computes the factor of the samples of each clip.

    Args:
        clips: U clips; None where there is no audio.
        conversations: U numbers of conversations.
        target: the level in dBFS that each recording gets.
        jobs: the number of parts of recordings to measure at once.

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
        measured: list[tuple[list[int], list[Future[tuple[np.ndarray, float]]]]] = []
        for (kind, *_), rows in groups.items():
            own = [clip for row in rows if (clip := clips[row])]
            parts = _divide(own[0]) if kind == "recording" else own
            measured.append((rows, [pool.submit(_measure, part) for part in parts]))
        for rows, results in measured:
            gains[rows] = _compute_gain([result.result() for result in results], target)
    return gains


def _divide(clip: Clip) -> list[Clip]:
    """Returns the recording of a clip as parts that fit into memory; none where it cannot be read."""
    try:
        seconds = measure_seconds(clip.path)
    except InputError:
        return []
    starts = np.arange(0.0, seconds, PART_SECONDS).tolist()
    return [Clip(clip.path, start, start + PART_SECONDS, clip.channel) for start in starts]


def _measure(part: Clip) -> tuple[np.ndarray, float]:
    """Returns the mean square of each block, f64[blocks], and the largest absolute sample; nothing if unreadable."""
    try:
        samples, rate = read_clip(part)
    except InputError:
        return np.zeros(0), 0.0  # It is told when features are extracted.
    if not samples.size or not np.isfinite(samples).all():
        return np.zeros(0), 0.0
    return measure_blocks(samples, rate), float(np.abs(samples).max())


def _compute_gain(parts: Sequence[tuple[np.ndarray, float]], target: float) -> float:
    level = compute_level(np.concatenate([np.zeros(0), *(blocks for blocks, _ in parts)]))
    if not np.isfinite(level):
        return 1.0
    return min(10 ** (min(target - level, MAX_GAIN) / 20), 1.0 / max(peak for _, peak in parts))
