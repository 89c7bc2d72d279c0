"""Reads audio and video files as mono samples: with libsndfile where it can, and otherwise with ffmpeg."""

import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.errors import InputError
from macsgr_jax.extras import require

# The rate at which ffmpeg decodes; openSMILE's features need no higher one.
FFMPEG_RATE = 16_000
SAMPLE_BYTES = 4  # Of a float32.
CHUNK = 1 << 20
# The container that ffmpeg decodes to: a header of big-endian integers, then the samples of all channels in turn.
AU_MAGIC, AU_HEADER = b".snd", struct.Struct(">4s5I")
# Recordings and their annotations rarely agree to the sample.
TOLERANCE = 0.05


def read_clip(clip: Clip) -> tuple[np.ndarray, int]:
    """Reads the samples of a stretch of a recording as one channel.

    Args:
        clip: the stretch.

    Returns:
        f32[1, samples] between -1 and 1, the mean of all channels or the channel of the clip, and the number of
        samples per second.

    Raises:
        InputError: the file is missing or cannot be read, or has no such channel.
    """
    samples, rate = read_channels(clip)
    return mix_to_mono(samples, clip), rate


def mix_to_mono(samples: np.ndarray, clip: Clip) -> np.ndarray:
    """Takes the mean of all channels, or the channel of a clip.

    Args:
        samples: f32[channels, samples].
        clip: the stretch that they are, which names a channel or none.

    Returns:
        f32[1, samples].

    Raises:
        InputError: the recording has no such channel.
    """
    if clip.channel is None:
        return samples.mean(axis=0, dtype=np.float32, keepdims=True)
    if clip.channel >= len(samples):
        raise InputError(f"{clip.path} has {len(samples)} channels, and no channel {clip.channel + 1}: name another")
    return samples[clip.channel : clip.channel + 1]


def read_channels(clip: Clip) -> tuple[np.ndarray, int]:
    """Reads the samples of all channels of a stretch of a recording.

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
            samples = file.read(max(last - first, 0), dtype="float32", always_2d=True)
            return np.ascontiguousarray(samples.T), file.samplerate
    except soundfile.LibsndfileError:
        parts = _decode_by_ffmpeg(clip)
        channels = next(parts)
        flat = np.frombuffer(b"".join(parts), ">f4").astype(np.float32)
        return np.ascontiguousarray(flat.reshape(-1, channels).T), FFMPEG_RATE


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
        parts = _decode_by_ffmpeg(Clip(path))
        channels = next(parts)
        return sum(map(len, parts)) / SAMPLE_BYTES / channels / FFMPEG_RATE


class FittedClips(NamedTuple):
    """Clips that lie inside their recordings.

    Attributes:
        clips: U clips, None where there is no audio.
        notices: one sentence per recording of which clips were cut or lie outside, or that cannot be read.
    """

    clips: list[Clip | None]
    notices: tuple[str, ...]


def fit_clips(clips: Sequence[Clip | None]) -> FittedClips:
    """Cuts clips at the end of their recordings, whose lengths are looked up once each.

    Args:
        clips: U clips; None where there is no audio.

    Returns:
        The clips, None where one begins after the end of its recording, or the recording cannot be read. A clip that
        is a whole file stays as it is.
    """
    rows_of: dict[Path, list[int]] = {}
    for row, clip in enumerate(clips):
        if clip is not None and (clip.end is not None or clip.start > 0):
            rows_of.setdefault(clip.path, []).append(row)
    fitted, notices = list(clips), []
    for path, rows in rows_of.items():
        try:
            seconds = measure_seconds(path)
        except InputError as error:
            for row in rows:
                fitted[row] = None
            notices.append(f"{error}; its {len(rows)} utterances have no audio.")
            continue
        cut = outside = 0
        for row in rows:
            clip = fitted[row]
            assert clip is not None
            if clip.start >= seconds:
                outside += 1
                fitted[row] = None
            elif clip.end is not None and clip.end > seconds:
                cut += clip.end > seconds + TOLERANCE
                fitted[row] = clip._replace(end=seconds)
        if cut or outside:
            notices.append(
                f"{path} is {seconds:.2f} s long: {cut} utterances that end later are cut at its end, and {outside}"
                " that begin later have no audio."
            )
    return FittedClips(fitted, tuple(notices))


def check_inside(clips: Sequence[Clip | None], where: Sequence[str]) -> None:
    """Checks that clips lie inside their recordings, whose lengths are looked up once each.

    Args:
        clips: U clips; None where there is no audio. A clip without an end always lies inside.
        where: U descriptions of row and utterance, for the message.

    Raises:
        InputError: clips end after the end of their recordings, all of which are told, or a recording cannot be read.
    """
    seconds: dict[Path, float] = {}
    late = []
    for clip, row in zip(clips, where, strict=True):
        if clip is None or clip.end is None:
            continue
        if clip.path not in seconds:
            seconds[clip.path] = measure_seconds(clip.path)
        if clip.end > seconds[clip.path] + TOLERANCE:
            late.append(f"{row}: it ends at {clip.end:.2f} s, but {clip.path} is {seconds[clip.path]:.2f} s long")
    if late:
        raise InputError(f"{'; '.join(late)}: correct the times, which are seconds from the beginning of the recording")


def _decode_by_ffmpeg(clip: Clip) -> Iterator[Any]:
    """Yields the number of channels, then their samples at FFMPEG_RATE, interleaved big-endian f32, in chunks.

    All channels are decoded, since ffmpeg weights them by rules of its own when it mixes them. An hour of one channel
    has 230 MB.
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(
            f"{clip.path} is no audio file that libsndfile knows: convert it to wav,"
            " or pip install 'macsgr-jax[speech]'"
        ) from None
    span = ["-ss", str(clip.start), *([] if clip.end is None else ["-to", str(clip.end)])]
    form = ["-vn", "-sn", "-dn", "-ar", str(FFMPEG_RATE), "-c:a", "pcm_f32be", "-f", "au", "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *span, "-i", str(clip.path), *form]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        assert process.stdout is not None
        header = process.stdout.read(AU_HEADER.size)
        channels = 1
        if len(header) == AU_HEADER.size and header.startswith(AU_MAGIC):
            _, offset, _, _, _, channels = AU_HEADER.unpack(header)
            process.stdout.read(offset - AU_HEADER.size)
        yield channels
        while part := process.stdout.read(CHUNK):
            yield part
        if process.wait():
            complaints.seek(0)
            raise InputError(_explain_failure(clip.path, complaints.read().decode(errors="replace")))


def _explain_failure(path: Path, complaints: str) -> str:
    if "does not contain any stream" in complaints:
        return f"{path} has no sound: give a recording that has"
    lines = complaints.strip().splitlines()
    reason = lines[-1][:200] if lines else "nothing in it"
    return f"{path} cannot be read as audio ({reason}): convert it to wav"
