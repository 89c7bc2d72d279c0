"""Reads audio and video files as samples: with libsndfile where it can, and otherwise with ffmpeg."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.errors import InputError
from macsgr_jax.extras import require

# The rate at which ffmpeg decodes; openSMILE's features need no higher one.
FFMPEG_RATE = 16_000
FFMPEG_BYTES = 4  # Per sample, a float32.
CHUNK = 1 << 20
# Recordings and their annotations rarely agree to the sample.
TOLERANCE = 0.05


def read_clip(clip: Clip) -> tuple[np.ndarray, int]:
    """Reads the samples of a stretch of a recording.

    Args:
        clip: the stretch.

    Returns:
        f32[channels, samples] between -1 and 1, and the number of samples per second.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    soundfile = require("soundfile", "speech")
    if not clip.path.is_file():
        raise InputError(f"{clip.path} does not exist")
    try:
        with soundfile.SoundFile(clip.path) as file:
            first = min(round(clip.start * file.samplerate), file.frames)
            last = file.frames if clip.end is None else min(round(clip.end * file.samplerate), file.frames)
            file.seek(first)
            return file.read(max(last - first, 0), dtype="float32", always_2d=True).T, file.samplerate
    except soundfile.LibsndfileError:
        return np.frombuffer(b"".join(_decode_by_ffmpeg(clip)), np.float32)[None], FFMPEG_RATE


def measure_seconds(path: Path) -> float:
    """Returns the length of a recording in seconds.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    soundfile = require("soundfile", "speech")
    if not path.is_file():
        raise InputError(f"the recording {path} does not exist: check the path")
    try:
        return float(soundfile.info(path).duration)
    except soundfile.LibsndfileError:
        return sum(map(len, _decode_by_ffmpeg(Clip(path)))) / FFMPEG_BYTES / FFMPEG_RATE


def check_inside(clips: Sequence[Clip | None], where: Sequence[str]) -> None:
    """Checks that clips lie inside their recordings, whose lengths are looked up once each.

    Args:
        clips: U clips; None where there is no audio. A clip without an end always lies inside.
        where: U descriptions of row and utterance, for the message.

    Raises:
        InputError: a clip ends after the end of its recording, or a recording cannot be read.
    """
    seconds: dict[Path, float] = {}
    for clip, row in zip(clips, where, strict=True):
        if clip is None or clip.end is None:
            continue
        if clip.path not in seconds:
            seconds[clip.path] = measure_seconds(clip.path)
        if clip.end > seconds[clip.path] + TOLERANCE:
            raise InputError(
                f"{row}: it ends at {clip.end:.2f} s, but {clip.path} is {seconds[clip.path]:.2f} s long: correct the"
                " times, which are seconds from the beginning of the recording"
            )


def _decode_by_ffmpeg(clip: Clip) -> Iterator[bytes]:
    """Yields f32[samples] at FFMPEG_RATE, one channel, in chunks: an hour of audio has 230 MB."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(
            f"{clip.path} is no audio file that libsndfile knows: convert it to wav,"
            " or pip install 'macsgr-jax[speech]'"
        ) from None
    span = ["-ss", str(clip.start), *([] if clip.end is None else ["-to", str(clip.end)])]
    form = ["-vn", "-ac", "1", "-ar", str(FFMPEG_RATE), "-f", "f32le", "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *span, "-i", str(clip.path), *form]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        assert process.stdout is not None
        while part := process.stdout.read(CHUNK):
            yield part
        if process.wait():
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1][:200] if lines else "nothing in it"
            raise InputError(f"{clip.path} cannot be read as audio ({reason}): convert it to wav")
