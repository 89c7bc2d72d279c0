"""Sounds of our own: tones that the tests write."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def make_tone(seconds: float, hertz: float = 220.0, rate: int = RATE, loudness: float = 0.3) -> np.ndarray:
    """f32[samples]: a tone with overtones that swells and fades, as a vowel might."""
    time = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 8))
    return (loudness * tone * np.sin(np.pi * time / seconds) / 2).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """A sound file in the format of its suffix; `samples` may be [samples, channels]."""
    soundfile.write(path, samples, rate)
    return path
