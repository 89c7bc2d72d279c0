"""Stereo recordings: the mean of the channels by every path, or each speaker's own channel."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.errors import InputError
from macsgr_jax.features import opensmile as speech
from macsgr_jax.features.audio_io import read_clip
from macsgr_jax.features.channels import assign_channels, parse_channels
from tests.testing.sounds import RATE, make_tone, write_sound

pytest.importorskip("soundfile")

SPANS = ((0.0, 0.6), (0.6, 1.2), (1.2, 1.8), (1.8, 2.4))
SPEAKERS = ("Ann", "Ben", "Ann", "Ben")


def make_call(folder: Path) -> tuple[Path, Path]:
    """A mono recording of four utterances, and the same with Ann in the left channel and Ben in the right one."""
    parts = [make_tone(0.6, hertz) for hertz in (120, 210, 150, 250)]
    call = np.zeros((len(np.concatenate(parts)), 2), np.float32)
    for number, part in enumerate(parts):
        call[number * len(part) : (number + 1) * len(part), number % 2] = part
    return write_sound(folder / "mono.wav", np.concatenate(parts)), write_sound(folder / "call.wav", call)


def cut(path: Path) -> list[Clip | None]:
    return [Clip(path, start, end) for start, end in SPANS]


def extract(clips: list[Clip | None], cache: Path) -> np.ndarray:
    pytest.importorskip("opensmile")
    extracted = speech.extract_speech(speech.describe_speech("audio_egemaps"), clips, cache=cache)
    assert extracted.measured.all()
    return extracted.values


def test_stereo_is_mixed_by_the_mean(tmp_path: Path) -> None:
    """The second channel counts as much as the first, whatever decodes the file."""
    left, right = make_tone(1.0, 200), make_tone(1.0, 310)
    mono = write_sound(tmp_path / "mono.wav", (left + right) / 2)
    stereo = write_sound(tmp_path / "stereo.wav", np.stack([left, right], axis=1))
    mixed, rate = read_clip(Clip(stereo))
    assert mixed.shape == (1, RATE) and rate == RATE
    np.testing.assert_allclose(mixed, read_clip(Clip(mono))[0], atol=1e-4)
    twice = write_sound(tmp_path / "twice.wav", np.stack([left, left], axis=1))
    once = write_sound(tmp_path / "once.wav", left)
    np.testing.assert_allclose(
        extract([Clip(twice)], tmp_path / "cache"), extract([Clip(once)], tmp_path / "cache"), atol=1e-4
    )


def test_ffmpeg_mixes_as_libsndfile_does(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    left, right = make_tone(1.0, 200), make_tone(1.0, 310)
    wav = write_sound(tmp_path / "a.wav", np.stack([left, right], axis=1))
    video = tmp_path / "a.mkv"
    command = [ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", wav, "-c:a", "alac", video]
    subprocess.run(command, check=True)
    for clip in (Clip(video), Clip(video, channel=1)):
        by_ffmpeg, rate = read_clip(clip)
        assert rate == RATE
        np.testing.assert_allclose(by_ffmpeg, read_clip(clip._replace(path=wav))[0], atol=1e-4)


@pytest.mark.parametrize("channels", ["auto", "speaker", "Ann=left,Ben=right", "Ann=1, Ben=2"])
def test_a_speaker_per_channel_has_the_features_of_the_mono_recording(channels: str, tmp_path: Path) -> None:
    mono, call = make_call(tmp_path)
    assigned = assign_channels(cut(call), SPEAKERS, parse_channels(channels))
    np.testing.assert_allclose(
        extract(assigned.clips, tmp_path / "cache"), extract(cut(mono), tmp_path / "cache"), atol=1e-4
    )
    if channels in ("auto", "speaker"):
        assert assigned.notices == (
            f"{call}: each speaker is read from the channel where they are loudest (Ann from channel 1, Ben from"
            " channel 2)",
        )
    else:
        assert assigned.notices == ()


def test_channels_that_hold_the_same_are_mixed(tmp_path: Path) -> None:
    mono, call = make_call(tmp_path)
    samples, _ = read_clip(Clip(mono))
    both = write_sound(tmp_path / "both.wav", np.stack([samples[0], 0.8 * samples[0]], axis=1))
    for path in (mono, both, tmp_path / "gone.wav"):
        assert assign_channels(cut(path), SPEAKERS) == (cut(path), ())
    assert assign_channels(cut(call), SPEAKERS, "mix") == (cut(call), ())
    assert assign_channels(cut(call), ("Ann",) * 4) == (cut(call), ())
    clips, notices = assign_channels(cut(both), SPEAKERS, "speaker")
    assert clips == cut(both) and "Ann from the mean of all channels" in notices[0]


def test_channels_that_cannot_be_understood(tmp_path: Path) -> None:
    for text in ("stereo", "Ann=middle", "=left", "Ann=0", "Ann"):
        with pytest.raises(InputError, match=f"--channels {text}: give auto, mix, speaker, or each speaker's channel"):
            parse_channels(text)
    _, call = make_call(tmp_path)
    with pytest.raises(InputError, match="there is no speaker 'Cy'; choose from Ann, Ben"):
        assign_channels(cut(call), SPEAKERS, {"Cy": 0})
    with pytest.raises(InputError, match=r"call\.wav has 2 channels, and no channel 5: name another"):
        read_clip(Clip(call, channel=4))
