"""Reads the length of an MP4 video from its header, without decoding it: MELD has 13,000."""

import struct
from pathlib import Path
from typing import BinaryIO

HEADER = struct.Struct(">I4s")  # Size and kind of a box.
LARGE = struct.Struct(">Q")  # A size of 64 bits, after a size of 1.
MAX_BYTES = 1 << 24  # Of the box of the movie's headers.


def read_duration(path: Path) -> float | None:
    """Returns the length of a video in seconds, or None where the file does not say it."""
    try:
        with open(path, "rb") as file:
            movie = _find_movie(file, path.stat().st_size)
    except OSError:
        return None
    start = movie.find(b"mvhd") + 4
    # Version and flags, times of creation and change, then units per second and length in units.
    form = struct.Struct(">4x16xIQ" if movie[start : start + 1] == b"\x01" else ">4x8xII")
    if start < 4 or len(movie) < start + form.size:
        return None
    units, length = form.unpack_from(movie, start)
    return length / units if units else None


def _find_movie(file: BinaryIO, size: int) -> bytes:
    """Returns the box of the movie's headers, which may stand before or after the samples; empty if there is none."""
    position = 0
    while position + HEADER.size <= size:
        file.seek(position)
        length, kind = HEADER.unpack(file.read(HEADER.size))
        if length == 1:
            large = file.read(LARGE.size)
            length = LARGE.unpack(large)[0] if len(large) == LARGE.size else 0
        if kind == b"moov":
            return file.read(min(length, MAX_BYTES))
        if length < HEADER.size:
            break  # The rest of the file, or damage.
        position += length
    return b""
