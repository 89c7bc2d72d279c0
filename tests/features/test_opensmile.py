"""Functionals of openSMILE: of any format, around what cannot be had, and from the cache where they are known."""

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.errors import InputError
from macsgr_jax.features import opensmile as speech
from macsgr_jax.features.audio_io import check_inside, measure_seconds, read_clip
from tests.testing.sounds import RATE, make_tone, write_sound

pytest.importorskip("opensmile")
EGEMAPS = "audio_egemaps"
PITCH, LOUDNESS = 0, 10  # Columns of eGeMAPSv02: F0semitoneFrom27.5Hz_sma3nz_amean, loudness_sma3_amean.


def extract(clips: list[Clip | None], cache: Path, jobs: int = 1) -> speech.Extracted:
    return speech.extract_speech(speech.describe_speech(EGEMAPS), clips, jobs, cache=cache)


def test_pitch_and_loudness_are_those_of_the_tone(tmp_path: Path) -> None:
    low = write_sound(tmp_path / "low.wav", make_tone(1, 110))
    high = write_sound(tmp_path / "high.flac", make_tone(1, 220, loudness=0.05))
    values, measured, notices = extract([Clip(low), Clip(high)], tmp_path / "cache")
    assert values.shape == (2, 88) and measured.all() and notices == ()
    # Semitones above 27.5 Hz: two and three octaves.
    np.testing.assert_allclose(values[:, PITCH], [24, 36], atol=0.3)
    assert values[0, LOUDNESS] > 1.5 * values[1, LOUDNESS]


def test_a_stretch_of_a_recording_is_that_stretch_alone(tmp_path: Path) -> None:
    first, second = make_tone(0.8, 110), make_tone(1.2, 300)
    whole = write_sound(tmp_path / "whole.wav", np.concatenate([first, second]))
    alone = write_sound(tmp_path / "alone.wav", second)
    cut, plain = extract([Clip(whole, 0.8, 2.0), Clip(alone)], tmp_path / "cache").values
    np.testing.assert_array_equal(cut, plain)
    samples, rate = read_clip(Clip(whole, 0.5, 1.0))
    assert samples.shape == (1, 8000) and rate == RATE
    assert measure_seconds(whole) == pytest.approx(2.0)


def test_any_rate_and_channels_say_about_the_same(tmp_path: Path) -> None:
    mono = write_sound(tmp_path / "mono.wav", make_tone(1, 150))
    wide = make_tone(1, 150, rate=44_100)
    stereo = write_sound(tmp_path / "stereo.wav", np.stack([wide, wide], axis=1), 44_100)
    one, other = extract([Clip(mono), Clip(stereo)], tmp_path / "cache").values
    assert one[PITCH] == pytest.approx(other[PITCH], abs=0.1)
    assert one[LOUDNESS] == pytest.approx(other[LOUDNESS], rel=0.05)


def test_film_sound_comes_through_ffmpeg(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    wav, film = write_sound(tmp_path / "a.wav", make_tone(1.5, 200)), tmp_path / "a.mp4"
    subprocess.run([ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", wav, "-c:a", "aac", film], check=True)
    values, measured, _ = extract([Clip(wav, 0.2, 1.2), Clip(film, 0.2, 1.2)], tmp_path / "cache")
    assert measured.all() and values[0, PITCH] == pytest.approx(values[1, PITCH], abs=0.3)
    assert measure_seconds(film) == pytest.approx(1.5, abs=0.1)


def test_what_cannot_be_had_is_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = write_sound(tmp_path / "good.wav", make_tone(0.5))
    short = write_sound(tmp_path / "short.wav", make_tone(0.01))
    silent = write_sound(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    empty = write_sound(tmp_path / "empty.wav", np.zeros(0, np.float32))
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF" + bytes(range(200)))
    clips = [None, Clip(good), Clip(short), Clip(silent), Clip(tmp_path / "gone.wav"), Clip(broken), Clip(empty)]
    values, measured, notices = extract([*clips, None], tmp_path / "cache", jobs=3)
    assert measured.tolist() == [False, True, False, False, False, False, False, False]
    assert np.all(values[~measured] == 0) and np.all(np.isfinite(values))
    assert notices == (
        "speech: 2 of 8 utterances: no recording",
        "speech: 2 of 8 utterances: shorter than 60 ms",
        "speech: 1 of 8 utterances: silence",
        "speech: 1 of 8 utterances: missing file",
        "speech: 1 of 8 utterances: unreadable file",
    )


def test_many_at_once_are_those_of_one_by_one(tmp_path: Path) -> None:
    clips = [Clip(write_sound(tmp_path / f"{hertz}.wav", make_tone(0.4, hertz))) for hertz in range(100, 200, 10)]
    one, many = extract(clips, tmp_path / "one"), extract(clips, tmp_path / "many", jobs=4)
    np.testing.assert_array_equal(one.values, many.values)


def test_what_was_extracted_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sound(tmp_path / "tone.wav", make_tone(0.5))
    first = extract([Clip(path)], tmp_path / "cache").values
    kept = next((tmp_path / "cache").glob("*.npz"))

    class Refuses:
        feature_names = range(88)

        def process_signal(self, *_: object) -> None:
            raise AssertionError("made again")

    monkeypatch.setattr(speech, "_make_smile", lambda _: Refuses())
    path.rename(tmp_path / "renamed.wav")  # The content counts.
    np.testing.assert_array_equal(extract([Clip(tmp_path / "renamed.wav")], tmp_path / "cache").values, first)
    with pytest.raises(AssertionError, match="made again"):
        extract([Clip(write_sound(tmp_path / "other.wav", make_tone(0.5, 300)))], tmp_path / "cache")
    kept.write_bytes(b"damaged")
    with pytest.raises(AssertionError, match="made again"):
        extract([Clip(tmp_path / "renamed.wav")], tmp_path / "cache")


def test_times_outside_the_recording_are_told(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", make_tone(2.0, 300))
    within, after = Clip(path, 0.0, 2.04), Clip(path, 1.0, 2.5)
    check_inside([within, None, Clip(tmp_path / "gone.wav")], ["row 1", "row 2", "row 3"])
    with pytest.raises(InputError, match=r"^row 3, x: it ends at 2\.50 s, but .*a\.wav is 2\.00 s long"):
        check_inside([within, after], ["row 2", "row 3, x"])


def test_unknown_sets_and_descriptions() -> None:
    with pytest.raises(InputError, match="there are no speech features 'audio_x': choose among audio_egemaps"):
        speech.describe_speech("audio_x")
    description = speech.describe_speech("audio_compare").description
    assert description["set"] == "ComParE_2016" and description["rate"] == 16_000 and description["opensmile"]
    assert dataclasses.is_dataclass(speech.describe_speech(EGEMAPS))
