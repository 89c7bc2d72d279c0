"""The only reader of pickles: it accepts plain containers, numbers and NumPy arrays, and runs no code of the file.

A pickle is a program for a small machine that may call anything it can name. Here it can name only what is in ALLOWED;
everything else is refused before it is looked up. Sizes that a file merely claims are never allocated.
"""

import collections
import io
import math
import pickle
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from macsgr_jax.errors import InputError

MAX_BYTES = 8 * 2**30
# A list may hold another one many times, and that one a third: a small file can unfold to any size.
MAX_UNFOLDED = 16  # Times the bytes of the file.
MIN_UNFOLDED = 1_000_000
MAX_DEPTH = 50  # Of nested containers; one that holds itself exceeds any depth.

# Buffers and objects from elsewhere.
REFUSED_CODES = (
    pickle.NEXT_BUFFER,
    pickle.READONLY_BUFFER,
    pickle.PERSID,
    pickle.BINPERSID,
    pickle.EXT1,
    pickle.EXT2,
    pickle.EXT4,
)


class Record:
    """An instance of another project's class, reduced to its attributes.

    Attributes:
        fields: attribute -> value.
    """

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
            raise pickle.UnpicklingError("an object has no plain attributes")
        self.fields = state


class _ArrayType:
    """Replaces numpy.ndarray, which could otherwise be called with any shape."""

    __slots__ = ()


class _Array(np.ndarray):
    """An array whose data follow, with a dtype of `_Kind`."""

    def __setstate__(self, state: Any) -> None:
        shape, kind, fortran, data = state[-4:]
        dtype = _open(kind)
        # NumPy believes the shape, and reads beyond the end of a list of objects.
        count = math.prod(shape)
        size = len(data) if dtype.hasobject else len(data) / max(dtype.itemsize, 1)
        if min(shape, default=0) < 0 or count != size or (dtype.hasobject and not isinstance(data, list)):
            raise pickle.UnpicklingError("an array has another shape than its data")
        super().__setstate__((1, shape, dtype, fortran, data))


class _Reconstruct:
    """Replaces NumPy's first step in making an array, which is an empty one."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> np.ndarray:
        if not isinstance(kind, _ArrayType) or shape != (0,):
            raise pickle.UnpicklingError("an array is made in an unusual way")
        return np.empty(0, "b").view(_Array)


class _Kind:
    """A dtype of numbers, text or objects; numpy.dtype's own state could contradict itself."""

    __slots__ = ("value",)

    def __init__(self, value: np.dtype) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        _, order, *structure = state[:5]
        if structure != [None, None, None] or order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a dtype has parts")
        self.value = self.value.newbyteorder(order)


class _DataType:
    """Replaces numpy.dtype, called with a name such as f4."""

    __slots__ = ()

    def __call__(self, name: Any, *_: Any) -> _Kind:
        text = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(text, str):
            raise pickle.UnpicklingError("a dtype is not named")
        return _Kind(np.dtype(text))


class _Scalar:
    """Makes a NumPy number from a dtype and bytes."""

    __slots__ = ()

    def __call__(self, kind: Any, data: Any = None) -> Any:
        raw = data.encode("latin1") if isinstance(data, str) else data
        return np.frombuffer(raw, _open(kind), count=1)[0]


class _FromBuffer:
    """Makes an array from a buffer, as protocol 5 writes it."""

    __slots__ = ()

    def __call__(self, data: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
        if order not in ("C", "F"):
            raise pickle.UnpicklingError("an array is made in an unusual way")
        return np.frombuffer(data, _open(kind)).reshape(shape, order=order)


def _open(kind: Any) -> np.dtype:
    if not isinstance(kind, _Kind):
        raise pickle.UnpicklingError("a dtype is made in an unusual way")
    return kind.value


class _Bytes:
    """Makes the empty bytes that Python 3 writes for Python 2."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


class _Encode:
    """Makes bytes as Python 2 wrote them."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError("bytes are encoded in an unusual way")
        return text.encode("latin1")


_NUMPY = {
    (f"numpy{core}.multiarray", name): stand_in
    for core in (".core", "._core")
    for name, stand_in in (("_reconstruct", _Reconstruct), ("scalar", _Scalar))
} | {(f"numpy{core}.numeric", "_frombuffer"): _FromBuffer for core in (".core", "._core")}

# What a pickle may name, and what it gets in its place.
ALLOWED: dict[tuple[str, str], Any] = {
    **{
        (module, kind.__name__): kind
        for module in ("builtins", "__builtin__")
        for kind in (dict, frozenset, list, set, tuple)
    },
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _DataType,
    ("_codecs", "encode"): _Encode,
    ("__builtin__", "bytes"): _Bytes,
    **_NUMPY,
    ("cogmen.Sample", "Sample"): Record,
    ("Sample", "Sample"): Record,
}

_STAND_INS = (_ArrayType, _Bytes, _DataType, _Encode, _FromBuffer, _Reconstruct, _Scalar)


class _Unpickler(pickle._Unpickler):
    """The unpickler in pure Python: unlike the one in C, it allocates nothing that a file merely claims to fill."""

    dispatch: ClassVar[dict[int, Any]] = {
        code: method for code, method in pickle._Unpickler.dispatch.items() if bytes([code]) not in REFUSED_CODES
    }

    def load_bytearray8(self) -> None:
        """Reads a bytearray of the size that is there, not of the size that is claimed."""
        read = self.read  # type: ignore[attr-defined]
        (size,) = struct.unpack("<Q", read(8))
        self.append(bytearray(read(size)))  # type: ignore[attr-defined]

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def find_class(self, module: str, name: str) -> Any:
        """Returns the object of that name, if a pickle may name it."""
        found = ALLOWED.get((module, name))
        if found is None:
            raise _Refused(f"{module}.{name}")
        return found() if found in _STAND_INS else found


class _Refused(Exception):
    """Raised where a pickle names something that it may not name."""


def load_pickle(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """Reads a pickle without running any of its code.

    Args:
        path: the file, of any protocol, also of Python 2.
        max_bytes: the size above which a file is refused.

    Returns:
        Containers, text, numbers, NumPy arrays, and `Record` for instances of the few known classes.

    Raises:
        InputError: the file cannot be read, is too large, is damaged, or asks for more than plain data.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise InputError(f"{path} has {size} bytes, more than the {max_bytes} that are read: is it the right file?")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give the path of a pickle") from None
    try:
        found = _Unpickler(io.BytesIO(content), encoding="latin1").load()
        if _unfold(found, {}, MAX_DEPTH) > MAX_UNFOLDED * len(content) + MIN_UNFOLDED:
            raise pickle.UnpicklingError("it holds the same lists over and over")
        return found
    except _Refused as error:
        raise InputError(
            f"{path} asks for {error}, which is no plain data, and was not run: get the file from its authors, or write"
            " the arrays with numpy.savez"
        ) from None
    # A damaged or hostile file makes the unpickler and NumPy raise almost anything.
    except Exception as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a whole pickle of plain data ({reason}): copy it again") from None


def _unfold(value: Any, known: dict[int, int], max_depth: int) -> int:
    """Counts values, letters and bytes of arrays; an object that several containers hold counts in each of them."""
    if isinstance(value, float | int):  # Most are.
        return 1
    inside: Collection[Any] = ()
    own = 1
    if isinstance(value, np.ndarray):
        inside, own = value.ravel().tolist() if value.dtype.hasobject else (), value.nbytes
    elif isinstance(value, Record | dict):
        fields = value.fields if isinstance(value, Record) else value
        inside = [*fields, *fields.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inside = value
    else:
        return 1 + len(value) if isinstance(value, str | bytes | bytearray) else 1
    if id(value) not in known:
        if not max_depth:
            raise pickle.UnpicklingError("its lists are too deep in each other")
        known[id(value)] = own + sum(_unfold(member, known, max_depth - 1) for member in inside)
    return known[id(value)]
