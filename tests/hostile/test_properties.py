"""Whatever is in a file: it is read, or refused in one sentence, and what was written is read as it was.

With each submission about a hundred examples of each property are tried, the same each time; the profile `nightly`
tries 2,000 others: `make test ARGS="tests/hostile/test_properties.py --hypothesis-profile nightly"`.
"""

import copy
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.extractor import from_arrays
from macsgr_jax.data.safe_pickle import load_pickle
from macsgr_jax.data.standardize import Standardizer
from macsgr_jax.data.transcript import read_conversations
from macsgr_jax.data.transcripts import FORMATS
from macsgr_jax.errors import InputError
from macsgr_jax.files import read_npz, write_npz
from macsgr_jax.overrides import from_json, to_json
from macsgr_jax.presets import PRESETS
from macsgr_jax.runs.info import describe_run
from macsgr_jax.runs.schemas import Description, Identity, Recovery, Results, Temperatures, read_checked
from macsgr_jax.viewer import render_page
from macsgr_jax.viewer.predictions import arrange, read_predictions
from tests.testing.corpora import write_corpus
from tests.testing.hostile_cases import RECORD, TRANSCRIPTS, damage, make_pickle

MAX_SHOWN = 25_000  # Characters of a message.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the file of each example, which replaces the one before it."""
    return tmp_path_factory.mktemp("examples")


def is_read(read: Callable[[], object]) -> bool:
    """Whether something is read; anything but an answer and a sentence is raised."""
    try:
        read()
    except InputError as error:
        assert str(error).isprintable() and 0 < len(str(error)) < MAX_SHOWN
        return False
    return True


# What JSON can hold, and what it cannot but Python's parser of it can.
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=12), st.just("\ud800")
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def list_places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path to each value within plain values."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from list_places(value, (*path, key))


def change_values(data: st.DataObject, values: Any, most: int = 3) -> Any:
    """Plain values in which some are replaced by others or left out."""
    values = copy.deepcopy(values)
    for _ in range(data.draw(st.integers(1, most))):
        places = list(list_places(values))
        if not places:
            break
        *path, last = data.draw(st.sampled_from(places))
        inside = values
        for part in path:
            inside = inside[part]
        if data.draw(st.booleans()):
            inside[last] = data.draw(JSON)
        elif isinstance(inside, dict):
            del inside[last]
        else:
            inside.append(data.draw(JSON))
    return values


SCORES = {"waf1": {"mean": 0.5, "std": 0.1}, "nll": {"mean": 1.0, "std": None}}
SPLIT = {**SCORES, "classes": {"calm": {"f1": {"mean": 0.5, "std": 0.1}}, "sad": {"f1": {"mean": 0.5, "std": 0.1}}}}
SEED_SCORES = {"classes": {"calm": {"f1": 0.5}, "sad": {"f1": None}}, "confusion": [[1, 0], [2, 3]], "waf1": 0.5}
CORPUS = {"name": "small", "path": "../small.npz", "sha256": "0" * 64, "labels": ["calm", "sad"]}
CORPUS |= {"splits": {"train": {"dialogues": 3, "utterances": 9}}, "notices": ["one note"]}
CONFIG = to_json(PRESETS["default"])
RESULTS = {
    "version": "1.0",
    "command": ["macsgr", "train"],
    "corpus": CORPUS,
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "networks": {
        "full": {
            "config": CONFIG,
            "features": {"text": ["text_small"]},
            "batch": {"padding_share": 0.5},
            "seeds": [
                {
                    "seed": 0,
                    "epoch": 1,
                    "test": SEED_SCORES,
                    "validation": SEED_SCORES,
                    "curves": {"total": [1.0, None]},
                }
            ],
            "summary": {"test": SPLIT, "validation": SPLIT},
        }
    },
}
DOCUMENTS: dict[str, tuple[type[Any], Any]] = {
    "results.json": (Results, RESULTS),
    "run.json": (Identity, {"corpus_sha256": "0" * 64, "seeds": [0, 1], "networks": {"full": CONFIG}}),
    "description.json": (Description, {"version": "1.0", "corpus": CORPUS, "config": CONFIG}),
    "recovery_0.json": (Recovery, {"runs": ["seed_0", "seed_1"], "states": 2}),
    "temperatures.json": (Temperatures, {"0": 1.25, "7": 0.5}),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_that_are_changed_are_right(name: str, folder: Path) -> None:
    schema, document = DOCUMENTS[name]
    (folder / name).write_text(json.dumps(document))
    assert read_checked(folder / name, schema, "train again").model_dump(exclude_unset=True) == document


@pytest.mark.parametrize("name", DOCUMENTS)
@given(data=st.data())
def test_any_description_is_read_or_refused(name: str, folder: Path, data: st.DataObject) -> None:
    schema, document = DOCUMENTS[name]
    changed = change_values(data, document) if data.draw(st.integers(0, 3)) else data.draw(JSON)
    path = folder / "run" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(changed))
    is_read(lambda: read_checked(path, schema, "train again"))
    if name == "results.json":
        is_read(lambda: describe_run(path.parent))


@given(data=st.data())
def test_any_settings_are_read_or_refused(data: st.DataObject) -> None:
    changed = change_values(data, CONFIG)
    if is_read(lambda: from_json(changed)):
        assert from_json(to_json(from_json(changed))) == from_json(changed)


@given(data=st.data())
def test_any_predictions_become_a_page_or_are_refused(folder: Path, data: st.DataObject) -> None:
    records = [change_values(data, RECORD, 2) for _ in range(data.draw(st.integers(1, 2)))]
    path = folder / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    is_read(lambda: render_page(arrange(read_predictions(path))))


# Transcripts: pieces of their formats in any order, and good ones that are damaged.
PIECES = (
    *("Ann: ", "Bob", "\n", "\n\n", ",", "\t", ";", '"', "speaker,text,start,end\n", "00:00:01,000 --> 00:00:02,000\n"),
    *("WEBVTT\n\n", "<v Ann>", "1\n", "-1", "1e999", "nan", "00:61:00", '{"speaker": "A", "text": "b"}', "[", "]", "{"),
    *("<ANNOTATION_DOCUMENT>", "</TIER>", "<TIME_SLOT/>", '<!DOCTYPE x [<!ENTITY y "z">]>', "&y;", "\x00", "\ufeff"),
    *("ooTextFile\n", "TextGrid\n", "<exists>", "SPEAKER talk 1 0.00 1.00 <NA> <NA> Ann <NA> <NA>\n", "\r", "\x85"),
    *("id,clip,label,dialogue\n", "=1+1", "../../x.wav", "http://x/y.wav", "\u202e", "\U0001f600", "9" * 5000),
)
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=25).map("".join)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1", "cp1252", "utf-7")


@pytest.mark.parametrize("name", TRANSCRIPTS)
@given(text=TEXTS, seed=st.integers(0, 10**9), encoding=st.sampled_from(ENCODINGS), is_damaged=st.booleans())
def test_any_transcript_is_read_or_refused(
    name: str, folder: Path, text: str, seed: int, encoding: str, is_damaged: bool
) -> None:
    content = damage(TRANSCRIPTS[name].encode(), seed) if is_damaged else text.encode(encoding, errors="replace")
    path = folder / name
    path.write_bytes(content)
    for strict in (False, True):
        is_read(lambda strict=strict: read_conversations(path, strict=strict))


def test_a_transcript_of_every_format_is_tried() -> None:
    tried = {Path(name).suffix.lower() for name in TRANSCRIPTS}
    assert set(FORMATS) - tried == {".tab", ".ndjson"}  # Read as .tsv and .jsonl are.


# Pickles: plain data come back; any instructions are read or refused, and nothing runs.
PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False), st.text(), st.binary()
    ),
    lambda inner: st.one_of(
        *(st.lists(inner, max_size=4), st.lists(inner, max_size=3).map(tuple)),
        st.dictionaries(st.text(max_size=6) | st.integers(0, 99), inner, max_size=4),
    ),
    max_leaves=12,
)
OPCODES = [bytes([code]) for code in range(256) if code not in b"\x8a\x8b\x8d\x8e\x96BTX"]
ARGUMENTS = (
    *(
        b"",
        b"\x00",
        b"\x01",
        b"\xff\xff\xff\xff",
        b"1\n",
        b"'a'\n",
        b"os\nsystem\n",
        b"builtins\nlist\n",
        b"(",
        b"q\x00",
    ),
    *(b"h\x00", b"numpy\nndarray\n", b"numpy\ndtype\n", b"numpy.core.multiarray\n_reconstruct\n", b"-1\n"),
    *(b"collections\nOrderedDict\n", b"_codecs\nencode\n", b"copyreg\n_reconstructor\n", b"\x03\x00\x00\x00abc"),
)
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(OPCODES) | st.binary(max_size=3), st.sampled_from(ARGUMENTS)), max_size=20
)


@given(values=PLAIN, protocol=st.integers(0, 5))
def test_any_plain_data_come_back(folder: Path, values: Any, protocol: int) -> None:
    (folder / "plain.pkl").write_bytes(pickle.dumps(values, protocol))
    assert load_pickle(folder / "plain.pkl") == values


@given(program=PROGRAMS, seed=st.integers(0, 10**9), protocol=st.integers(0, 5), is_damaged=st.booleans())
def test_any_pickle_is_read_or_refused(folder: Path, program: Any, seed: int, protocol: int, is_damaged: bool) -> None:
    content = b"".join(code + argument for code, argument in program) + b"."
    path = folder / "any.pkl"
    path.write_bytes(damage(pickle.dumps(make_pickle(), protocol), seed) if is_damaged else content)
    is_read(lambda: load_pickle(path))


# Arrays.
DTYPES = st.one_of(
    *(arrays_of.boolean_dtypes(), arrays_of.integer_dtypes(), arrays_of.unsigned_integer_dtypes()),
    *(arrays_of.floating_dtypes(), arrays_of.unicode_string_dtypes(max_len=6), arrays_of.byte_string_dtypes(max_len=6)),
    *(arrays_of.complex_number_dtypes(), arrays_of.datetime64_dtypes()),
)
ARRAYS = DTYPES.flatmap(
    lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
)


@given(arrays=st.dictionaries(st.text("abcdefghijklmnop_/", min_size=1, max_size=8), ARRAYS, max_size=4))
def test_any_arrays_come_back(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    write_npz(folder / "a.npz", arrays)
    found = read_npz(folder / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Path:
    return write_corpus(folder)


@given(seed=st.integers(0, 10**9))
def test_any_damaged_archive_is_read_or_refused(folder: Path, corpus: Path, seed: int) -> None:
    (folder / "damaged.npz").write_bytes(damage(corpus.read_bytes(), seed))
    is_read(lambda: read_npz(folder / "damaged.npz"))


@given(data=st.data())
def test_a_corpus_of_any_arrays_is_read_or_refused(folder: Path, corpus: Path, data: st.DataObject) -> None:
    arrays = read_npz(corpus)
    for _ in range(data.draw(st.integers(1, 2))):
        name = data.draw(
            st.sampled_from(sorted(arrays)) | st.sampled_from(("text_x", "audio_small_names", "text", "x"))
        )
        arrays[name] = data.draw(ARRAYS)
    write_npz(folder / "changed.npz", arrays)
    is_read(lambda: load_corpus(folder / "changed.npz"))


STANDARDIZER = {
    **{"modality": np.array(["text"]), "feature_set": np.array(["text_a"]), "clip": np.float32(5)},
    **{f"{name}_text_a": np.ones(3, np.float32) for name in ("mean", "scale", "log_scale")},
}


@given(data=st.data())
def test_a_scaling_of_any_arrays_is_read_or_refused(data: st.DataObject) -> None:
    arrays = dict(STANDARDIZER)
    arrays[data.draw(st.sampled_from(sorted(arrays)))] = data.draw(ARRAYS)
    is_read(lambda: Standardizer.from_arrays(arrays))


@given(arrays=st.dictionaries(st.sampled_from(("extractor", "extractor_a", "extractor_a_terms", "a")), ARRAYS))
def test_extractors_of_any_arrays_are_read_or_refused(arrays: dict[str, np.ndarray]) -> None:
    is_read(lambda: from_arrays(arrays))
