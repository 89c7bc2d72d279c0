"""Sound files of any kind as samples: by libsndfile what it reads, the sound of everything else by ffmpeg."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.data.clips import Clip
from macsgr_jax.errors import InputError

# Of what ffmpeg decodes; openSMILE's features look no higher.
FFMPEG_RATE = 16_000
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
        return _decode_by_ffmpeg(clip), FFMPEG_RATE


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
        return _decode_by_ffmpeg(Clip(path)).shape[1] / FFMPEG_RATE


def check_inside(clip: Clip, seconds: float, place: str) -> None:
    """See that a stretch lies inside its recording.

    Args:
        clip: the stretch.
        seconds: length of the recording.
        place: row and utterance, for the message.

    Raises:
        InputError: it begins or ends after the recording's end.
    """
    latest = clip.start if clip.end is None else clip.end
    if latest > seconds + TOLERANCE:
        raise InputError(
            f"{place}: it ends at {latest:.2f} s, but {clip.path} is {seconds:.2f} s long: correct the times, which"
            " are seconds from the beginning of the recording"
        )


def _decode_by_ffmpeg(clip: Clip) -> np.ndarray:
    """f32[1, samples] at FFMPEG_RATE."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(
            f"{clip.path} is no sound file that libsndfile knows: convert it to wav, or `pip install imageio-ffmpeg`"
        ) from None
    span = ["-ss", str(clip.start), *([] if clip.end is None else ["-to", str(clip.end)])]
    form = ["-vn", "-ac", "1", "-ar", str(FFMPEG_RATE), "-f", "f32le", "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *span, "-i", str(clip.path), *form]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or len(done.stdout) % 4:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(f"{clip.path} cannot be read as sound ({lines[-1][:200] if lines else 'nothing in it'})")
    return np.frombuffer(done.stdout, np.float32)[None]


def _import_soundfile() -> Any:
    try:
        import soundfile
    except ImportError:
        raise InputError("sound needs the package soundfile: pip install 'macsgr-jax[features]'") from None
    return soundfile
