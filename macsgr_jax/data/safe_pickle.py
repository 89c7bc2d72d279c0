"""The only reader of pickles: it accepts plain containers, numbers and NumPy arrays, and runs no code of the file.

A pickle is a program for a small machine that may call anything it can name. Here it can name only what is in ALLOWED;
everything else is refused before it is looked up. Sizes that a file merely claims are never allocated, and what it
makes of what it has made before is counted before it is made: a few bytes could otherwise copy a text a thousand times.
Keys are text and whole numbers alone, since others can be chosen so that a dictionary of them takes hours.
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

from macsgr_jax.errors import InputError, quote
from macsgr_jax.files import read_file
from macsgr_jax.limits import MAX_PICKLE_BYTES

# A list may hold another one many times, and that one a third: a small file can unfold to any size.
MAX_UNFOLDED = 16  # Times the bytes of the file.
MIN_UNFOLDED = 1_000_000
MAX_KEY = 2**60  # Whole numbers above it can have the same hash as smaller ones.
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

CONTAINERS = (dict, frozenset, list, set, tuple, collections.OrderedDict)
_STAND_INS = (_ArrayType, _Bytes, _DataType, _Encode, _FromBuffer, _Reconstruct, _Scalar)


class _Unpickler(pickle._Unpickler):
    """The unpickler in pure Python: unlike the one in C, it allocates nothing that a file merely claims to fill."""

    dispatch: ClassVar[dict[int, Any]] = {
        code: method for code, method in pickle._Unpickler.dispatch.items() if bytes([code]) not in REFUSED_CODES
    }

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self.left = MAX_UNFOLDED * len(content) + MIN_UNFOLDED

    def charge(self, size: int) -> None:
        """Counts what is about to be made of what was made before.

        Raises:
            pickle.UnpicklingError: it is more than a file of this size needs.
        """
        self.left -= size
        if self.left < 0:
            raise pickle.UnpicklingError("it copies its own content over and over")

    def load_reduce(self) -> None:
        """Calls what may be called, once its arguments are counted."""
        arguments = self.stack.pop()  # type: ignore[attr-defined]
        called = self.stack[-1]  # type: ignore[attr-defined]
        self.stack[-1] = self.call(called, arguments)  # type: ignore[attr-defined]

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self) -> None:
        """Makes an instance of a class, once its arguments are counted."""
        arguments = self.stack.pop()  # type: ignore[attr-defined]
        made = self.stack.pop()  # type: ignore[attr-defined]
        self.append(self.call(made, arguments))  # type: ignore[attr-defined]

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_newobj_ex(self) -> None:
        """Makes an instance of a class without named arguments."""
        named = self.stack.pop()  # type: ignore[attr-defined]
        if named:
            raise pickle.UnpicklingError("an object is made in an unusual way")
        self.load_newobj()

    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex

    def _instantiate(self, made: Any, arguments: Any) -> None:
        """Makes an instance of a class as protocol 0 does."""
        self.append(self.call(made, tuple(arguments)))  # type: ignore[attr-defined]

    def call(self, called: Any, arguments: Any) -> Any:
        """Calls a container, a class or a stand-in with plain arguments."""
        if not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("arguments are no tuple")
        if called in CONTAINERS:
            if len(arguments) > 1 or not all(isinstance(one, list | tuple | set | frozenset) for one in arguments):
                raise pickle.UnpicklingError("a container is made in an unusual way")
            self.charge(sum(map(len, arguments)))
            if called in (set, frozenset):
                _check_keys(*arguments)
            elif called in (dict, collections.OrderedDict):
                pairs: list[Any] = list(*arguments)
                if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
                    raise pickle.UnpicklingError("a dictionary is made in an unusual way")
                _check_keys([key for key, _ in pairs])
        elif called is not Record and not isinstance(called, _STAND_INS):
            raise pickle.UnpicklingError("it calls what is no class")
        else:
            self.charge(sum(len(one) for one in arguments if isinstance(one, str | bytes | bytearray)))
        return called(*arguments)

    def load_build(self) -> None:
        """Gives an object its attributes, or an array its data."""
        state, made = self.stack[-1], self.stack[-2]  # type: ignore[attr-defined]
        if isinstance(made, dict | list | set) or not isinstance(made, Record | _Array | _Kind):
            raise pickle.UnpicklingError("an object is made in an unusual way")
        if isinstance(state, tuple):
            self.charge(sum(len(one) for one in state if isinstance(one, str | bytes | bytearray | list)))
        pickle._Unpickler.load_build(self)  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build

    def load_dict(self) -> None:
        """Makes a dictionary."""
        _check_keys(self.metastack_top()[::2])
        pickle._Unpickler.load_dict(self)  # type: ignore[attr-defined]

    dispatch[pickle.DICT[0]] = load_dict

    def load_frozenset(self) -> None:
        """Makes a frozen set."""
        _check_keys(self.metastack_top())
        pickle._Unpickler.load_frozenset(self)  # type: ignore[attr-defined]

    dispatch[pickle.FROZENSET[0]] = load_frozenset

    def load_additems(self) -> None:
        """Adds members to a set."""
        _check_keys(self.metastack_top())
        pickle._Unpickler.load_additems(self)  # type: ignore[attr-defined]

    dispatch[pickle.ADDITEMS[0]] = load_additems

    def load_setitem(self) -> None:
        """Adds a member to a dictionary."""
        self._check_dictionary(self.stack[-3])  # type: ignore[attr-defined]
        _check_keys([self.stack[-2]])  # type: ignore[attr-defined]
        pickle._Unpickler.load_setitem(self)  # type: ignore[attr-defined]

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        """Adds members to a dictionary."""
        self._check_dictionary(self.metastack[-1][-1])  # type: ignore[attr-defined]
        _check_keys(self.metastack_top()[::2])
        pickle._Unpickler.load_setitems(self)  # type: ignore[attr-defined]

    dispatch[pickle.SETITEMS[0]] = load_setitems

    def metastack_top(self) -> list[Any]:
        """Returns what was put on the stack since the last mark."""
        found: list[Any] = self.stack  # type: ignore[attr-defined]
        return found

    def _check_dictionary(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise pickle.UnpicklingError("it sets members of what is no dictionary")

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


def _check_keys(keys: Collection[Any]) -> None:
    """Refuses keys whose hashes a file could choose to be the same."""
    for key in keys:
        whole = isinstance(key, int | np.integer) and abs(int(key)) < MAX_KEY
        if not (key is None or isinstance(key, str | bytes) or whole):
            raise pickle.UnpicklingError("it has keys that are neither text nor usual whole numbers")


class _Refused(Exception):
    """Raised where a pickle names something that it may not name."""


def load_pickle(path: Path, max_bytes: int = MAX_PICKLE_BYTES) -> Any:
    """Reads a pickle without running any of its code.

    Args:
        path: the file, of any protocol, also of Python 2.
        max_bytes: the size above which a file is refused.

    Returns:
        Containers, text, numbers, NumPy arrays, and `Record` for instances of the few known classes.

    Raises:
        InputError: the file cannot be read, is too large, is damaged, or asks for more than plain data.
    """
    content = read_file(path, max_bytes, "give the path of a pickle")
    try:
        found = _Unpickler(content).load()
        if _unfold(found, {}, MAX_DEPTH) > MAX_UNFOLDED * len(content) + MIN_UNFOLDED:
            raise pickle.UnpicklingError("it holds the same lists over and over")
        return found
    except _Refused as error:
        raise InputError(
            f"{path} asks for {quote(error)}, which is no plain data, and was not run: get the file from its authors,"
            " or write the arrays with numpy.savez"
        ) from None
    # A damaged or hostile file makes the unpickler and NumPy raise almost anything.
    except Exception as error:
        reason = quote(str(error).splitlines()[0]) if str(error) else type(error).__name__
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
