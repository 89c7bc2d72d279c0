"""Computational sequences of the CMU Multimodal SDK: HDF5 files of rows with a start and an end for each video.

A file has one group, named after the sequence. It holds `data`, with one group per video of `features` [n, D] and
`intervals` [n, 2], and mostly `metadata`, whose `dimension names` is a JSON list of the D columns. In files that were
aligned a video is in pieces, `video[0]`, `video[1]` and so on.

Reference:
    Zadeh et al., Multi-attention Recurrent Network for Human Communication Comprehension, 2018.
"""

import importlib
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.errors import InputError, quote
from macsgr_jax.files import exists, open_file
from macsgr_jax.limits import MAX_SEQUENCE_BYTES, allow

MAX_DIGITS = 18  # Of the number of a piece.
PIECE = re.compile(r"(.+)\[(\d+)\]")
MAX_NAMES = 100_000  # Of columns.
WHOLE = -1  # The number of the piece where a video is not in pieces.
AGAIN = "copy or download the file again"


class Rows(NamedTuple):
    """The rows of one video.

    Attributes:
        features: f64[n, D], the values of each row.
        intervals: f64[n, 2], the start and end of each row in seconds.
        numbers: i64[n], the index of each row, or the number of its piece.
    """

    features: np.ndarray
    intervals: np.ndarray
    numbers: np.ndarray


class ComputationalSequence:
    """An open file, whose videos are read one by one, since some files hold gigabytes."""

    def __init__(self, path: Path, data: Any, column_names: tuple[str, ...] = ()) -> None:
        self.path = path
        self.column_names = column_names  # As the metadata have them; empty where they have none.
        self._data = data
        self._columns: int | None = None
        self._pieces: dict[str, dict[int, str]] = {}
        for key in data:
            match = PIECE.fullmatch(key)
            video, piece = (match[1], int(match[2])) if match and len(match[2]) <= MAX_DIGITS else (key, WHOLE)
            self._pieces.setdefault(video, {})[piece] = key

    @property
    def videos(self) -> tuple[str, ...]:
        """The videos that have rows."""
        return tuple(self._pieces)

    def read(self, video: str) -> Rows:
        """Reads all rows of one video.

        Args:
            video: one of `videos`.

        Returns:
            The rows.

        Raises:
            InputError: its rows are not numbers, are not as wide as those of other videos, have no intervals, or are
                damaged.
        """
        with _tell_damage(self.path):
            found = [self._read_group(key, piece) for piece, key in self._pieces[video].items()]
        return Rows(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _read_group(self, key: str, piece: int) -> Rows:
        features, intervals = (self._read_array(key, name) for name in ("features", "intervals"))
        if features.ndim != 2 or not features.shape[1] or intervals.shape != (len(features), 2):
            found = f"features {list(features.shape)} and intervals {list(intervals.shape)}"
            raise InputError(f"{self.path}: {key} has {found} instead of [n, D] and [n, 2]: {AGAIN}")
        self._columns = self._columns or features.shape[1]
        if features.shape[1] != self._columns:
            found = f"{features.shape[1]} columns, and videos before it {self._columns}"
            raise InputError(f"{self.path}: {key} has {found}: {AGAIN}")
        if not np.isfinite(intervals).all():
            raise InputError(f"{self.path}: an interval of {key} is not a finite time: {AGAIN}")
        return Rows(features, intervals, np.arange(len(features)) if piece == WHOLE else np.full(len(features), piece))

    def _read_array(self, key: str, name: str) -> np.ndarray:
        group = open_inside(self.path, self._data, key)
        if not hasattr(group, "keys") or name not in group:
            raise InputError(f"{self.path}: {quote(key)} has no {name}: {AGAIN}")
        return read_numbers(self.path, open_inside(self.path, group, name), f"{name} of {quote(key)}")


def open_inside(path: Path, group: Any, key: str) -> Any:
    """Returns a member of an HDF5 group that lies in the file itself.

    HDF5 can lead to other files by external links, by external storage and by virtual datasets: whoever made the file
    would decide which of the user's files becomes part of a corpus.

    Args:
        path: the file, for messages.
        group: the group.
        key: the name of the member.

    Raises:
        InputError: it leads to another file, or there is no such member.
    """
    h5py = importlib.import_module("h5py")
    if isinstance(group.get(key, getlink=True), h5py.ExternalLink):
        raise InputError(f"{path}: {quote(key)} is a link to another file, which is not followed: {AGAIN}")
    member = group[key]
    if isinstance(member, h5py.Dataset) and (member.is_virtual or member.external is not None):
        raise InputError(f"{path}: {quote(key)} is stored in another file, which is not read: {AGAIN}")
    return member


def read_numbers(path: Path, dataset: Any, what: str) -> np.ndarray:
    """Reads a dataset of numbers, whose type and size are looked at first.

    Returns:
        f64[...].

    Raises:
        InputError: it holds no numbers, or is too large.
    """
    if not hasattr(dataset, "dtype") or dataset.shape is None or dataset.dtype.kind not in "fiu":
        raise InputError(f"{path}: the {what} are not numbers: give a file of vectors")
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    allow(size, MAX_SEQUENCE_BYTES, f"{path}: the {what} have {size} bytes")
    return np.asarray(dataset[()]).astype(np.float64)


@contextmanager
def open_sequence(path: Path) -> Iterator[ComputationalSequence]:
    """Opens a computational sequence.

    Args:
        path: a .csd file.

    Yields:
        The sequence, closed when the block ends.

    Raises:
        InputError: h5py is not installed, or the file is not a computational sequence or is damaged.
    """
    try:
        h5py = importlib.import_module("h5py")
    except ModuleNotFoundError:
        raise InputError(
            f"{path} is an HDF5 file, and h5py is not installed to read it: pip install 'macsgr-jax[cmu]'"
        ) from None
    if not exists(path):
        raise InputError(f"{path}: there is no such file: give the path of a .csd file")
    with open_file(path, advice="give the path of a .csd file"), _tell_damage(path):
        file = h5py.File(path, "r")
    with file:
        with _tell_damage(path):
            members = [open_inside(path, file, key) for key in file]
            groups = [group for group in members if isinstance(group, h5py.Group) and "data" in group]
            found = [open_inside(path, group, "data") for group in groups]
            if len(found) != 1 or not isinstance(found[0], h5py.Group) or not len(found[0]):
                raise InputError(f"{path} is not a computational sequence, a group with data of videos in it: {AGAIN}")
            sequence = ComputationalSequence(path, found[0], _read_column_names(groups[0]))
        yield sequence


def _read_column_names(group: Any) -> tuple[str, ...]:
    """Returns the `dimension names` of the metadata; empty where they are missing or no list of strings."""
    path = Path(group.file.filename)
    metadata = open_inside(path, group, "metadata") if "metadata" in group else None
    if metadata is None or not hasattr(metadata, "keys") or "dimension names" not in metadata:
        return ()
    dataset = open_inside(path, metadata, "dimension names")
    if not hasattr(dataset, "size") or not dataset.size or dataset.size > MAX_NAMES:
        return ()
    content = np.asarray(dataset[()]).reshape(-1)
    values = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in content.tolist()]
    try:
        names = json.loads(values[0]) if len(values) == 1 else values
    except (ValueError, TypeError, RecursionError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


@contextmanager
def _tell_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    # HDF5 raises many types over damaged bytes, MemoryError for a garbled shape among them.
    except Exception as error:
        raise InputError(f"{path} is damaged, or not an HDF5 file ({type(error).__name__}): {AGAIN}") from None
