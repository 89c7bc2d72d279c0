"""Reads audio and video files as mono samples: with libsndfile where it can, and otherwise with ffmpeg."""

import os
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
from macsgr_jax.files import exists, is_file, open_file
from macsgr_jax.limits import MAX_CHANNELS, MAX_RATE, MAX_SAMPLES, MIN_RATE, allow

# The rate at which ffmpeg decodes; openSMILE's features need no higher one.
FFMPEG_RATE = 16_000
SAMPLE_BYTES = 4  # Of a float32.
CHUNK = 1 << 20
# The container that ffmpeg decodes to: a header of big-endian integers, then the samples of all channels in turn.
AU_MAGIC, AU_HEADER = b".snd", struct.Struct(">4s5I")
# Recordings and their annotations rarely agree to the sample.
TOLERANCE = 0.05
# The containers of recordings that ffmpeg may read: none that leads to other files, as playlists do.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,gsm,live_flv,matroska,mov,mp3,mpeg,mpegts,mxf,ogg,rm,tta,w64,"
    "wav,webm,wv"
)


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
    _check_regular(clip.path)
    try:
        with soundfile.SoundFile(clip.path) as file:
            _check_form(clip.path, file.samplerate, file.channels)
            first = min(round(clip.start * file.samplerate), file.frames)
            last = file.frames if clip.end is None else min(round(clip.end * file.samplerate), file.frames)
            file.seek(first)
            samples = _read_frames(clip.path, file, max(last - first, 0))
            return np.ascontiguousarray(samples.T), file.samplerate
    except (soundfile.LibsndfileError, RuntimeError, TypeError, OverflowError):
        parts = _decode_by_ffmpeg(clip)
        channels = next(parts)
        content = b"".join(parts)
        flat = np.frombuffer(content[: len(content) // (SAMPLE_BYTES * channels) * SAMPLE_BYTES * channels], ">f4")
        return np.ascontiguousarray(flat.astype(np.float32).reshape(-1, channels).T), FFMPEG_RATE


def _check_regular(path: Path) -> None:
    """Raises InputError where there is no recording, or a device or a pipe, which would not end."""
    if not is_file(path):
        raise InputError(f"the recording {path} {'is no regular file' if exists(path) else 'does not exist'}")
    with open_file(path):
        pass  # It can be opened, and is no placeholder of the file.


def _check_form(path: Path, rate: int, channels: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE or not 1 <= channels <= MAX_CHANNELS:
        raise InputError(
            f"{path} has {channels} channels and {rate} samples per second, outside of {MAX_CHANNELS} and {MIN_RATE} to"
            f" {MAX_RATE}: convert it to wav"
        )


def _read_frames(path: Path, file: Any, frames: int) -> np.ndarray:
    """Reads f32[frames, channels] in blocks, until there are no more: a header may claim any number of them."""
    blocks: list[np.ndarray] = []
    total = 0
    while total < frames:
        block = file.read(min(frames - total, CHUNK), dtype="float32", always_2d=True)
        if not len(block):
            break
        blocks.append(block)
        total += len(block)
        allow(total * file.channels, MAX_SAMPLES, f"a clip of {path} has more samples")
    return np.concatenate(blocks) if blocks else np.zeros((0, file.channels), np.float32)


def measure_seconds(path: Path) -> float:
    """Returns the length of a recording in seconds.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    soundfile = require("soundfile", "speech")
    _check_regular(path)
    try:
        found = soundfile.info(path)
        _check_form(path, found.samplerate, found.channels)
        return float(found.duration)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, OverflowError):
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
    # A path such as http:/talk.mp4 or concat:a|b must stay a path, and a playlist must not open what it names.
    inward = ["-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS]
    source = f"file:{os.path.abspath(clip.path)}"
    command = [get_ffmpeg(imageio_ffmpeg), "-v", "error", "-nostdin", *inward, *span, "-i", source, *form]
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
        total = 0
        while part := process.stdout.read(CHUNK):
            total += len(part) // SAMPLE_BYTES
            if total > MAX_SAMPLES:
                process.kill()
            allow(total, MAX_SAMPLES, f"a clip of {clip.path} has more samples")
            yield part
        if process.wait():
            complaints.seek(0)
            raise InputError(_explain_failure(clip.path, complaints.read().decode(errors="replace")))


def get_ffmpeg(package: Any) -> str:
    """Returns the program that the package imageio-ffmpeg brings or finds.

    Raises:
        InputError: there is none.
    """
    try:
        return str(package.get_ffmpeg_exe())
    except RuntimeError as error:
        raise InputError(f"there is no ffmpeg ({error}): pip install 'macsgr-jax[speech]'") from None


def _explain_failure(path: Path, complaints: str) -> str:
    if "does not contain any stream" in complaints:
        return f"{path} has no sound: give a recording that has"
    lines = complaints.strip().splitlines()
    reason = lines[-1][:200] if lines else "nothing in it"
    return f"{path} cannot be read as audio ({reason}): convert it to wav"
