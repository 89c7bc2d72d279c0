"""Gives recordings one loudness, so that the gain of a microphone does not look like an emotion.

One gain holds for a whole recording, or for all clips of a conversation that are files of their own: how loud
utterances are beside each other stays as it is.
"""

from collections.abc import Sequence

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.errors import InputError
from macsgr_jax.features.audio_io import measure_seconds, read_clip
from macsgr_jax.features.audio_quality import compute_level, measure_blocks

TARGET = -23.0  # dBFS, the loudness of broadcasts; it leaves room for the peaks of speech.
MAX_GAIN = 40.0  # dB; what would need more is noise.
PART_SECONDS = 60.0  # A long recording is read in parts.


def compute_gains(clips: Sequence[Clip | None], conversations: Sequence[int], target: float) -> np.ndarray:
    """Computes the factor of the samples of each clip.

    Args:
        clips: U clips; None where there is no audio.
        conversations: U numbers of conversations.
        target: the level in dBFS that each recording gets.

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
    for (kind, *_), rows in groups.items():
        own = [clip for row in rows if (clip := clips[row])]
        gains[rows] = _compute_gain(_divide(own[0]) if kind == "recording" else own, target)
    return gains


def _divide(clip: Clip) -> list[Clip]:
    """Returns the recording of a clip as parts that fit into memory; none where it cannot be read."""
    try:
        seconds = measure_seconds(clip.path)
    except InputError:
        return []
    starts = np.arange(0.0, seconds, PART_SECONDS).tolist()
    return [Clip(clip.path, start, start + PART_SECONDS, clip.channel) for start in starts]


def _compute_gain(parts: Sequence[Clip], target: float) -> float:
    blocks, peak = [np.zeros(0)], 0.0
    for part in parts:
        try:
            samples, rate = read_clip(part)
        except InputError:
            continue  # It is told when features are extracted.
        if samples.size and np.isfinite(samples).all():
            blocks.append(measure_blocks(samples, rate))
            peak = max(peak, float(np.abs(samples).max()))
    level = compute_level(np.concatenate(blocks))
    if not np.isfinite(level):
        return 1.0
    return min(10 ** (min(target - level, MAX_GAIN) / 20), 1.0 / peak)
