"""Pickles of plain data come back; whatever could run, or claims more memory than it has, is refused."""

import collections
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.data.safe_pickle import Record, load_pickle
from macsgr_jax.errors import InputError

PLAIN = (
    {"Ses01": ["a", "b"], 3: (1, 2.5, None, True)},
    {"x", "y"},
    frozenset({1}),
    collections.OrderedDict(one=b"\x00\xff"),
    np.float32(2.5),
    np.arange(6.0).reshape(2, 3),
    np.array(["hap", "sad"]),
    [np.arange(3, dtype=">i2"), np.zeros((0, 4), np.float32), np.asfortranarray(np.eye(3))],
)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "features.pkl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_come_back(protocol: int, tmp_path: Path) -> None:
    found = load_pickle(write(tmp_path, pickle.dumps(PLAIN[:7], protocol)))
    assert found[:5] == PLAIN[:5] and type(found[3]) is collections.OrderedDict
    for one, other in zip(found[5:], PLAIN[5:7], strict=True):
        np.testing.assert_array_equal(one, other)


def test_arrays_of_every_layout_come_back(tmp_path: Path) -> None:
    for protocol in (2, 5):
        for one, other in zip(load_pickle(write(tmp_path, pickle.dumps(PLAIN[7], protocol))), PLAIN[7], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=") and one.shape == other.shape


def test_text_of_python_2_comes_back(tmp_path: Path) -> None:
    assert load_pickle(write(tmp_path, b"(lp0\nS'caf\\xe9'\np1\na.")) == ["café"]


def test_instances_of_known_classes_become_records(tmp_path: Path) -> None:
    content = b"ccogmen.Sample\nSample\n)\x81}(X\x03\x00\x00\x00vidX\x05\x00\x00\x00Ses01ub."
    found = load_pickle(write(tmp_path, b"\x80\x02" + content))
    assert isinstance(found, Record) and found.fields == {"vid": "Ses01"}


class Call:
    """Pickled, a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch {ran}",)),
        (eval, ("open({ran!r}, 'w')",)),
        (open, ("{ran}", "w")),
        (getattr, (os, "system")),
        (__import__, ("os",)),
        (np.load, ("{ran}",)),
        (np.fromfile, ("{ran}",)),
        (bytearray, (10**12,)),
        (range, (10**12,)),
    ],
)
def test_what_would_run_is_named_and_not_run(function: Any, arguments: tuple[Any, ...], tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    given = tuple(one.format(ran=str(ran)) if isinstance(one, str) else one for one in arguments if one is not os)
    path = write(tmp_path, pickle.dumps([1, Call(function, *given)], 2))
    with pytest.raises(InputError, match=r"features.pkl asks for \S+, which is no plain data, and was not run"):
        load_pickle(path)
    assert not ran.exists()


def claim(opcode: bytes, size: int) -> bytes:
    return b"\x80\x05" + opcode + struct.pack("<Q", size) + b"few bytes."


@pytest.mark.parametrize(
    "content",
    [
        claim(pickle.BYTEARRAY8, 2**40),
        claim(pickle.BINBYTES8, 2**40),
        claim(pickle.BINUNICODE8, 2**40),
        claim(pickle.FRAME, 2**40),
        b"\x80\x02cnumpy\nndarray\n(J\x00\x00\x00\x7ftR.",  # ndarray(2**31)
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\x00\x00\x00\x7ftU\x01btR.",
        b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zlibtR.",
        b"\x80\x02cnumpy\ndtype\n(I5\ntR.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(X\x06\x00\x00\x00V99999tRU\x01atR.",
        b"\x80\x02Pos\n.",
        b"\x80\x02\x82\x01.",
        b"",
        b"not a pickle",
        pickle.dumps(PLAIN, 2)[:-40],
    ],
)
def test_claims_and_damage_are_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"features.pkl is not a whole pickle of plain data .*: copy it again"
    ) as caught:
        load_pickle(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_far_place_of_the_memo_takes_no_memory(tmp_path: Path) -> None:
    assert load_pickle(write(tmp_path, b"\x80\x02]r\xff\xff\xff\x7f.")) == []


def unfold(value: Any, times: int, levels: int) -> Any:
    """A list of a list of a list, each of them one object in many places."""
    for _ in range(levels):
        value = [value] * times
    return value


def ring() -> list[Any]:
    one: list[Any] = []
    one.append(one)
    return one


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (unfold(0.0, 10, 9), "it holds the same lists over and over"),
        (unfold(np.zeros(1000), 10, 6), "it holds the same lists over and over"),
        (unfold("a" * 1000, 10, 6), "it holds the same lists over and over"),
        (unfold({"a": (1,)}, 10, 7), "it holds the same lists over and over"),
        (unfold(0.0, 1, 200), "its lists are too deep in each other"),
        (ring(), "its lists are too deep in each other"),
    ],
)
def test_what_unfolds_to_more_than_it_is_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_pickle(write(tmp_path, pickle.dumps(content, 4)))


def test_what_is_held_in_a_few_places_is_read(tmp_path: Path) -> None:
    found = load_pickle(write(tmp_path, pickle.dumps({"a": unfold([1.0, "x"], 3, 4)}, 4)))
    assert found == {"a": unfold([1.0, "x"], 3, 4)}


@pytest.mark.parametrize(
    ("shape", "kind", "data"),
    [
        ((10**6,), "O", [1]),  # NumPy reads beyond the end of the list.
        ((1,), "O", "a"),
        ((10**12,), "S0", b""),
        ((-1, -1), "f4", b"1234"),
        ((2,), "f4", b"1234"),
    ],
)
def test_an_array_that_is_not_as_large_as_it_says_is_refused(
    shape: tuple[int, ...], kind: str, data: object, tmp_path: Path
) -> None:
    made, given, _ = np.zeros(0).__reduce__()

    class Array:
        def __reduce__(self) -> Any:
            return made, given, (1, shape, np.dtype(kind), False, data)

    with pytest.raises(InputError, match="an array has another shape than its data"):
        load_pickle(write(tmp_path, pickle.dumps(Array(), 2)))


def test_a_pickle_cannot_change_the_reader(tmp_path: Path) -> None:
    """Attributes set on what it may name would outlive it."""
    for name in (b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n", b"c__builtin__\nset\n"):
        with pytest.raises(InputError):
            load_pickle(write(tmp_path, b"\x80\x02" + name + b"}X\x01\x00\x00\x00xK\x01sb."))
    assert load_pickle(write(tmp_path, pickle.dumps(np.arange(3), 2))).tolist() == [0, 1, 2]


def test_files_that_are_missing_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.pkl cannot be read \(No such file or directory\)"):
        load_pickle(tmp_path / "nothing.pkl")
    with pytest.raises(InputError, match="has 100 bytes, more than the 99 that are read"):
        load_pickle(write(tmp_path, b"x" * 100), max_bytes=99)
