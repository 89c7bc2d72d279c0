"""Speech that nobody can trust is named, and a microphone's gain changes nothing where loudness is normalised."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.features import opensmile as speech
from macsgr_jax.features.audio_quality import MIN_BANDWIDTH, Quality, describe_doubts, measure_quality
from macsgr_jax.features.loudness import TARGET, compute_gains
from tests.testing.sounds import RATE, make_tone


def make_speech(seconds: float, seed: int = 0, level: float = -23.0) -> np.ndarray:
    """f32[samples]: voiced and unvoiced stretches with a spectrum that falls as that of speech does, and pauses."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    time = np.arange(count) / RATE
    pitch = 120 * 2 ** (0.3 * np.sin(2 * np.pi * 0.7 * time + seed))
    voice = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / RATE) / k**1.3 for k in range(1, 30))
    hiss = np.fft.irfft(np.fft.rfft(random.normal(size=count)) * np.linspace(0.1, 1, count // 2 + 1), count)
    syllables = np.maximum(np.sin(2 * np.pi * 3 * time), 0)
    signal = syllables * voice + 0.3 * np.maximum(-np.sin(2 * np.pi * 3 * time), 0) ** 3 * hiss
    signal *= 10 ** (level / 20) / np.sqrt(np.mean(signal**2))
    return signal.astype(np.float32)


def measure(signal: np.ndarray, rate: int = RATE) -> Quality:
    return measure_quality(signal[None].astype(np.float32), rate)


def write(path: Path, signal: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, signal, rate, subtype="FLOAT")
    return path


def test_levels_do_not_depend_on_pauses() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE)
    assert measure(tone).level == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.05)
    assert measure(np.concatenate([tone, np.zeros(10 * RATE)])).level == pytest.approx(measure(tone).level, abs=0.05)
    assert measure(0.1 * tone).level == pytest.approx(measure(tone).level - 20, abs=1e-3)
    assert measure(np.zeros(RATE)).level == -np.inf and measure(np.zeros(0)).seconds == 0


def test_a_telephone_s_band_is_found_whatever_the_rate_of_the_file() -> None:
    wide = make_speech(3.0)
    narrow = resample_poly(wide, 1, 2)
    upsampled = resample_poly(narrow, 2, 1)
    assert measure(wide).bandwidth == 8_000 and measure(narrow, RATE // 2).bandwidth == 4_000
    assert measure(upsampled).bandwidth < MIN_BANDWIDTH
    stored = np.round(upsampled * 2**15) / 2**15
    assert (
        measure(stored).bandwidth < MIN_BANDWIDTH
        and measure(resample_poly(stored, 3, 1), 3 * RATE).bandwidth < MIN_BANDWIDTH
    )
    # A tone without anything at 2 to 3.4 kHz says nothing of the band.
    assert measure(make_tone(1.0, 110)).bandwidth == 8_000


def test_clipping_is_found_at_full_scale_and_below() -> None:
    wide = make_speech(2.0)
    clipped = np.clip(6 * wide, -1, 1)
    assert measure(wide).clipped == 0 and measure(make_tone(1.0, 50)).clipped == 0
    share = np.mean(np.abs(6 * wide) >= 1)
    assert share > 0.01 and measure(clipped).clipped == pytest.approx(share, rel=0.2)
    turned_down = np.round(0.4 * clipped * 2**15) / 2**15
    assert measure(turned_down).clipped == pytest.approx(share, rel=0.2)


def test_doubts_are_one_sentence() -> None:
    good = Quality(-23, 8_000, 0, 2)
    clips = [Clip(Path(f"{number}.wav"), number) for number in range(6)]
    bad = [
        None,
        good._replace(level=-50),
        good._replace(bandwidth=4_000, clipped=0.01),
        good,
        good._replace(seconds=90),
    ]
    (told,) = describe_doubts(clips, [*bad, good._replace(seconds=0.1, level=-60)])
    assert told == (
        "speech that can hardly be trusted, of 5 clips: 2 below -45 dBFS (first: 1.wav, 1.00 s); 1 with nothing above"
        " the band of a telephone (first: 2.wav, 2.00 s); 1 clipped (over 0.1 % of the samples) (first: 2.wav, 2.00 s);"
        " 1 shorter than 0.2 s (first: 5.wav, 5.00 s); 1 longer than 60 s (first: 4.wav, 4.00 s)"
    )
    assert describe_doubts(clips[:1], [good]) == ()


def test_one_gain_for_a_recording_and_one_for_the_files_of_a_conversation(tmp_path: Path) -> None:
    loud, quiet = make_speech(1.0, level=-20), make_speech(1.0, 1, level=-40)
    whole = write(tmp_path / "whole.wav", np.concatenate([loud, quiet]))
    stretches = [Clip(whole, 0.0, 1.0), Clip(whole, 1.0, 2.0)]
    files = [Clip(write(tmp_path / f"{name}.wav", one)) for name, one in (("loud", loud), ("quiet", quiet))]
    clips = [*stretches, None, *files, *files, Clip(tmp_path / "gone.wav", 1.0, 2.0)]
    gains = compute_gains(clips, [0, 0, 0, 1, 1, 2, 3, 4], TARGET)
    assert gains[0] == gains[1] == pytest.approx(gains[3], rel=0.05) and gains[3] == gains[4]
    levels = 20 * np.log10(gains[5:7])
    np.testing.assert_allclose(levels, [TARGET + 20, TARGET + 40], atol=2.5)  # Pauses count less than in the mean.
    assert gains[2] == gains[7] == 1
    assert compute_gains(stretches[:1], [0], TARGET)[0] == gains[0]  # As a stream asks for it.
    write(whole, 10 * np.concatenate([loud, quiet]))
    assert compute_gains(stretches[:1], [0], TARGET)[0] == pytest.approx(0.1 * gains[0], rel=0.01)
    (one,) = compute_gains([Clip(write(tmp_path / "click.wav", np.insert(quiet, 800, 1.0)))], [0], TARGET)
    assert one == 1  # Nothing is amplified beyond full scale.


def test_a_gain_of_20_db_changes_no_feature(tmp_path: Path) -> None:
    pytest.importorskip("opensmile")
    plain = make_speech(2.0)
    clips = [Clip(write(tmp_path / f"{gain}.wav", np.float32(gain) * plain), 0.2, 1.8) for gain in (1.0, 0.1)]
    normalised, kept = (
        [speech.extract_speech(speech.describe_speech("audio_egemaps", target), [c], cache=tmp_path) for c in clips]
        for target in (TARGET, None)
    )
    np.testing.assert_allclose(normalised[1].values, normalised[0].values, rtol=2e-3, atol=2e-3)
    spread = np.abs(kept[1].values - kept[0].values) / (1e-3 + np.abs(kept[0].values))
    assert spread.max() > 0.5
    assert "loudness" not in speech.describe_speech("audio_egemaps").description  # As older corpora have it: off.
    quiet = Clip(write(tmp_path / "quiet.wav", np.float32(0.03) * plain))
    (told,) = speech.extract_speech(speech.describe_speech("audio_egemaps", TARGET), [quiet], cache=tmp_path).notices
    assert "1 below -45 dBFS" in told


def test_samples_beyond_full_scale_do_not_turn_around(tmp_path: Path) -> None:
    """openSMILE reads 16 bits, in which 1 would be -1."""
    pytest.importorskip("opensmile")
    tone = make_tone(1.0, 200, loudness=1.2)
    tone /= np.abs(tone).max()
    clips = [Clip(write(tmp_path / f"{peak}.wav", np.float32(peak) * tone)) for peak in (0.999, 1.0)]
    one, other = speech.extract_speech(speech.describe_speech("audio_egemaps"), clips, cache=tmp_path).values
    np.testing.assert_allclose(one, other, rtol=0.05, atol=0.05)
