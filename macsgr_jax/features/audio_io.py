"""Sound files of any kind as samples: by libsndfile what it reads, the sound of everything else by ffmpeg."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.errors import InputError

# Of what ffmpeg decodes; openSMILE's features look no higher.
FFMPEG_RATE = 16_000
FFMPEG_BYTES = 4  # A sample, as a float32.
CHUNK = 1 << 20
# Recordings and their annotations rarely agree to the sample.
TOLERANCE = 0.05


def read_clip(clip: Clip) -> tuple[np.ndarray, int]:
    """The samples of a stretch of a recording.

    Args:
        clip: where it is.

    Returns:
        f32[channels, samples] between -1 and 1, and samples a second.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    soundfile = _import_soundfile()
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
    """How long a recording is, in seconds.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    soundfile = _import_soundfile()
    if not path.is_file():
        raise InputError(f"the recording {path} does not exist: check the path")
    try:
        return float(soundfile.info(path).duration)
    except soundfile.LibsndfileError:
        return sum(map(len, _decode_by_ffmpeg(Clip(path)))) / FFMPEG_BYTES / FFMPEG_RATE


def check_inside(clips: Sequence[Clip | None], places: Sequence[str]) -> None:
    """See that stretches lie inside their recordings, whose lengths are looked up once each.

    Args:
        clips: U of them; None where there is no sound, and those without an end lie inside whatever there is.
        places: U of them, row and utterance, for the message.

    Raises:
        InputError: one ends after its recording's end, or a recording cannot be read.
    """
    seconds: dict[Path, float] = {}
    for clip, place in zip(clips, places, strict=True):
        if clip is None or clip.end is None:
            continue
        if clip.path not in seconds:
            seconds[clip.path] = measure_seconds(clip.path)
        if clip.end > seconds[clip.path] + TOLERANCE:
            raise InputError(
                f"{place}: it ends at {clip.end:.2f} s, but {clip.path} is {seconds[clip.path]:.2f} s long: correct the"
                " times, which are seconds from the beginning of the recording"
            )


def _decode_by_ffmpeg(clip: Clip) -> Iterator[bytes]:
    """f32[samples] at FFMPEG_RATE, one channel, bit by bit: an hour of it has 230 MB."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(
            f"{clip.path} is no sound file that libsndfile knows: convert it to wav, or `pip install imageio-ffmpeg`"
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
            raise InputError(f"{clip.path} cannot be read as sound ({reason}): convert it to wav")


def _import_soundfile() -> Any:
    try:
        import soundfile
    except ImportError:
        raise InputError("sound needs the package soundfile: pip install 'macsgr-jax[features]'") from None
    return soundfile
