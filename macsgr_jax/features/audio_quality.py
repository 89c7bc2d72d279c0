"""Measures what makes speech doubtful: a low level, a narrow band, clipping, and clips too short or too long.

Features of such clips are numbers like any others, and a network answers them with confidence: they are told.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from macsgr_jax.data.audio_clip import Clip

MIN_LEVEL = -45.0  # dBFS; speech is mostly recorded at -30 to -15.
MIN_BANDWIDTH = 5_000.0  # Hz; the telephone ends at 3,400 to 4,000, and filters are not steep.
MAX_CLIPPED = 0.001  # Fraction of the samples.
MIN_SECONDS, MAX_SECONDS = 0.2, 60.0

# Blocks of 100 ms are gated as in ITU-R BS.1770: absolutely, and relative to the level of those that are left.
BLOCK_SECONDS, ABSOLUTE_GATE, RELATIVE_GATE = 0.1, -70.0, -10.0
FRAME_SECONDS = 0.064  # Of a spectrum.
BAND = 500.0  # Hz, the resolution of a bandwidth.
REFERENCE = (2_000.0, 3_400.0)  # Hz, a band that even a telephone transmits.
REFERENCE_SHARE = 1e-5  # Of the power: with less in the reference band, nothing can be said of those above.
FLOOR = 10**-3.5  # A band this far below the density of the reference band holds no speech.
FULL_SCALE = 0.999  # A sample from here on is at the limit of the recorder.
FLAT = 3  # Samples at the same limit in a row are clipped; the top of a tone is not that flat.
STEP = 2.0**-15  # Of a sample of 16 bits.


class Quality(NamedTuple):
    """The quality of a clip.

    Attributes:
        level: the mean level in dBFS of what is neither silence nor pause; -inf for silence.
        bandwidth: Hz, above which there is nothing; half the sample rate where it cannot be told.
        clipped: the fraction of samples at the limit of the recorder.
        seconds: the length.
    """

    level: float
    bandwidth: float
    clipped: float
    seconds: float


def measure_quality(samples: np.ndarray, rate: int) -> Quality:
    """Measures the quality of a clip.

    Args:
        samples: f32[1, samples], between -1 and 1.
        rate: the number of samples per second.
    """
    return Quality(
        level=compute_level(measure_blocks(samples, rate)),
        bandwidth=_measure_bandwidth(samples[0], rate),
        clipped=_measure_clipping(samples[0]),
        seconds=samples.shape[1] / rate,
    )


def measure_blocks(samples: np.ndarray, rate: int) -> np.ndarray:
    """Returns f64[blocks], the mean square of each block of f32[1, samples]; a rest counts only where it is all."""
    size = min(max(round(BLOCK_SECONDS * rate), 1), samples.shape[1])
    squares = np.square(samples[0], dtype=np.float64)
    means: np.ndarray = squares[: len(squares) // max(size, 1) * size].reshape(-1, max(size, 1)).mean(axis=1)
    return means


def compute_level(blocks: np.ndarray) -> float:
    """Computes the gated level in dBFS of blocks, f64[blocks] of `measure_blocks`; -inf if all are silent."""
    loud = blocks[blocks > 10 ** (ABSOLUTE_GATE / 10)]
    if not len(loud):
        return -np.inf
    loud = loud[loud >= loud.mean() * 10 ** (RELATIVE_GATE / 10)]
    return float(10 * np.log10(loud.mean()))


def _measure_bandwidth(signal: np.ndarray, rate: int) -> float:
    """Returns the upper edge of the highest band that holds something."""
    size = min(round(FRAME_SECONDS * rate), len(signal))
    if size < 2 or rate / 2 <= REFERENCE[1]:
        return rate / 2
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    frames = np.lib.stride_tricks.sliding_window_view(signal, size)[:: max(size // 2, 1)]
    power = np.mean(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2, axis=0)
    inside = (frequencies >= REFERENCE[0]) & (frequencies < REFERENCE[1])
    if not inside.any() or power[inside].sum() <= REFERENCE_SHARE * power.sum():
        return rate / 2
    floor = FLOOR * power[inside].mean()
    edges = np.arange(REFERENCE[1], rate / 2, BAND)
    bands = [power[(frequencies >= edge) & (frequencies < edge + BAND)] for edge in edges]
    filled = [edge + BAND for edge, band in zip(edges, bands, strict=True) if len(band) and band.mean() > floor]
    return float(min(max(filled, default=REFERENCE[1]), rate / 2))


def _measure_clipping(signal: np.ndarray) -> float:
    """Returns the fraction of samples that lie in a row at full scale, or at the limits of the signal."""
    if not len(signal):
        return 0.0
    clipped = 0
    for side in (signal, -signal):
        peak = float(side.max())
        if peak <= 0:
            continue
        limit = min(peak - min(1.5 * STEP, 1e-3 * peak), FULL_SCALE)
        changes = np.flatnonzero(np.diff(np.concatenate([[False], side >= limit, [False]]).astype(np.int8)))
        lengths = changes[1::2] - changes[::2]
        clipped += int(lengths[lengths >= FLAT].sum())
    return clipped / len(signal)


def describe_doubts(clips: Sequence[Clip | None], qualities: Iterable[Quality | None]) -> tuple[str, ...]:
    """Returns one sentence that counts the clips of each kind that make speech doubtful; empty without any.

    Args:
        clips: U clips.
        qualities: the quality of each; None where there is no audio.
    """
    known = [(clip, quality) for clip, quality in zip(clips, qualities, strict=True) if clip and quality]
    kinds = {
        f"below {MIN_LEVEL:.0f} dBFS": [clip for clip, one in known if one.level < MIN_LEVEL],
        "with nothing above the band of a telephone": [clip for clip, one in known if one.bandwidth < MIN_BANDWIDTH],
        f"clipped (over {100 * MAX_CLIPPED:g} % of the samples)": [c for c, one in known if one.clipped > MAX_CLIPPED],
        f"shorter than {MIN_SECONDS:g} s": [clip for clip, one in known if one.seconds < MIN_SECONDS],
        f"longer than {MAX_SECONDS:g} s": [clip for clip, one in known if one.seconds > MAX_SECONDS],
    }
    told = [f"{len(found)} {kind} (first: {_name(found[0])})" for kind, found in kinds.items() if found]
    if not told:
        return ()
    return (f"speech that can hardly be trusted, of {len(known)} clips: {'; '.join(told)}",)


def _name(clip: Clip) -> str:
    return f"{clip.path}, {clip.start:.2f} s" if clip.start else str(clip.path)
