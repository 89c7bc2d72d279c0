"""Loading, checking and saving a corpus."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.errors import InputError
from tests.testing.small_corpus import LENGTHS, NAN, changed, load_changed, make_arrays, write


def test_load_reads_every_field(tmp_path: Path) -> None:
    arrays, corpus = make_arrays(), load_changed(tmp_path)
    assert corpus.name == "small" and corpus.notices == ()
    assert list(corpus.features) == ["text_a", "text_b", "audio_c"]
    np.testing.assert_array_equal(corpus.features["text_a"], arrays["text_a"].astype(np.float32))
    expected = np.where(arrays["audio_c_mask"], arrays["audio_c"], 0)
    assert not arrays["audio_c_mask"].all()
    np.testing.assert_array_equal(corpus.features["audio_c"], expected)
    np.testing.assert_array_equal(corpus.measured["audio_c"], arrays["audio_c_mask"])
    assert corpus.measured["text_b"].all()
    assert corpus.labels.tolist() == arrays["label"].tolist()
    assert corpus.speakers.tolist() == arrays["speaker"].tolist()
    assert corpus.split.tolist() == [0, 0, 1, 2]
    assert corpus.texts is not None and corpus.texts[10] == "word 10"
    dtypes = (corpus.labels.dtype, corpus.speakers.dtype, corpus.offsets.dtype, corpus.split.dtype)
    assert dtypes == (np.int32, np.int32, np.int64, np.int8)
    assert {values.dtype for values in corpus.features.values()} == {np.dtype(np.float32)}


def test_properties(tmp_path: Path) -> None:
    corpus = load_changed(tmp_path)
    assert (corpus.num_utterances, corpus.num_dialogues, corpus.num_classes) == (11, 4, 3)
    assert corpus.lengths.tolist() == list(LENGTHS)
    assert corpus.modalities == ("audio", "text")
    assert corpus.dialogues_of("train").tolist() == [0, 1]
    assert corpus.utterances_of("validation").tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize("name", ["val", "dev", "valid", "validation"])
def test_every_name_of_the_validation_split_and_any_order(tmp_path: Path, name: str) -> None:
    codes = np.repeat([2, 1, 0, 1], LENGTHS)
    corpus = load_changed(tmp_path, split=codes, split_names=np.array([name, "test", "train"]))
    assert corpus.split.tolist() == [0, 2, 1, 2]


def test_what_is_absent_is_made(tmp_path: Path) -> None:
    absent = ["utt_id", "dialogue_names", "speaker", "speaker_names", "dialogue_id", "text", "split_names"]
    corpus = load_changed(tmp_path, **dict.fromkeys(absent))
    assert corpus.dialogue_names == ("dialogue_000", "dialogue_001", "dialogue_002", "dialogue_003")
    assert corpus.utterance_ids[:4] == ("dialogue_000_000", "dialogue_000_001", "dialogue_000_002", "dialogue_001_000")
    assert corpus.texts is None
    assert corpus.split.tolist() == [0, 0, 1, 2]
    for dialogue in range(4):
        rows = slice(corpus.offsets[dialogue], corpus.offsets[dialogue + 1])
        assert len(set(corpus.speakers[rows].tolist())) == 1
    assert len(corpus.notices) == 1 and "monologue" in corpus.notices[0]


def test_annotations_are_not_features(tmp_path: Path) -> None:
    corpus = load_changed(tmp_path, vad=np.zeros((11, 3), np.float32), text_tokens=np.zeros((11, 3), np.int32))
    assert list(corpus.features) == ["text_a", "text_b", "audio_c"]
    assert "vad, text_tokens" in corpus.notices[0]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.npz: there is no such file"):
        load_corpus(tmp_path / "absent.npz")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}: this is a folder")):
        load_corpus(tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_truncated_file(tmp_path: Path, kept: float, save: Callable[..., None]) -> None:
    path = tmp_path / "small.npz"
    save(path, **make_arrays())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=r"small\.npz: this file is not a readable \.npz archive"):
        load_corpus(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_bytes_never_end_in_another_exception(tmp_path: Path, save: Callable[..., None]) -> None:
    path = tmp_path / "small.npz"
    save(path, **make_arrays())
    content = path.read_bytes()
    refused = 0
    for position in range(0, len(content), 41):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :])
        try:
            load_corpus(path)
        except InputError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("content", [b"", b"utterance,emotion\n1,sad\n", b"\x93NUMPY garbage"])
def test_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.npz: this file is not a readable"):
        load_corpus(path)


def test_single_array_is_not_a_corpus(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InputError, match="not a readable"):
        load_corpus(tmp_path / "one.npy")


def test_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"small\.npz: the array text holds Python objects"):
        load_changed(tmp_path, text=np.array([None] * 11, dtype=object))


@pytest.mark.parametrize("name", ["label", "label_names", "offsets", "split", "speaker_names"])
def test_missing_array(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"small\.npz: the array {name} is missing; it should be (integers|strings)"):
        load_changed(tmp_path, **{name: None})


MIXED = "dialogue east is in validation and, at row 7, utterance u7, test; put each whole"
WRONG = [
    (changed("label", 4, 3), "label 3 at row 4, utterance u4 is not one of the 3 label_names"),
    (changed("label", 4, -2), "label -2 at row 4, utterance u4"),
    ({"label": np.zeros(11)}, "the array label is float64[11]; it should be integers [U]"),
    ({"label": np.zeros((11, 1), int)}, "the array label is int64[11, 1]; it should be"),
    ({"label": np.zeros(0, int)}, "there are 0 rows in label"),
    ({"label_names": np.array(["sad", "calm", "sad"])}, "label_names has 'sad' at rows 0 and 2"),
    ({"split": np.zeros(10, int)}, "the array split has 10 entries instead of 11"),
    ({"speaker": np.zeros(12, int)}, "the array speaker has 12 entries instead of 11"),
    ({"utt_id": np.array(["a", "b"])}, "the array utt_id has 2 entries instead of 11"),
    ({"text": np.array(["a", "b"])}, "the array text has 2 entries instead of 11"),
    ({"dialogue_names": np.array(["a", "b"])}, "the array dialogue_names has 2 entries instead of 4"),
    ({"text_a": np.zeros((10, 3))}, "the array text_a is float64[10, 3]; it should be float [11, D]"),
    ({"text_a": np.zeros(11)}, "the array text_a is float64[11]; it should be float [11, D]"),
    ({"text_a": np.zeros((11, 0))}, "the array text_a is float64[11, 0]; it should be"),
    ({"audio_c_mask": np.ones((11, 3), bool)}, "the array audio_c_mask is bool[11, 3]; it should be bool[11, 4]"),
    (changed("offsets", 0, 1), "offsets[0] is 1; the first dialogue has to begin at row 0"),
    (changed("offsets", 4, 10), "the last of offsets is 10; it has to be the number of rows of label, 11"),
    (changed("offsets", 2, 3), "dialogue 1 begins at row 3 and ends before row 3 by offsets"),
    (changed("offsets", 2, 2), "dialogue 1 begins at row 3 and ends before row 2 by offsets"),
    ({"offsets": np.array([0])}, "1 entries in offsets; give a dialogue"),
    (changed("dialogue_id", 3, 7), "within dialogue south of offsets, at row 4, utterance u4"),
    (changed("dialogue_id", slice(3, 5), 7), "dialogue_id has 7 at dialogues (by offsets) 0 and 1"),
    ({"dialogue_names": np.array(["a", "b", "c", "b"])}, "dialogue_names has 'b' at rows 1 and 3"),
    (changed("split", 7, 3), "split 3 at row 7, utterance u7 is not one of the 3 split_names"),
    (changed("split", 7, -1), "split -1 at row 7, utterance u7"),
    ({"split_names": np.array(["train", "hidden", "test"])}, "split_names has 'hidden'; use train, val, dev"),
    (changed("split", 7, 2), MIXED),
    (changed("split", slice(0, 5), 1), "train is a split without utterances"),
    (changed("split", slice(9, 11), 1), "test is a split without utterances"),
    (changed("utt_id", 8, "u2"), "the array utt_id has 'u2' at rows 2 and 8"),
    (changed("speaker", 6, 3), "dialogue east has no speaker at row 6, utterance u6: its code is 3"),
    (changed("speaker", 6, -1), "dialogue east has no speaker at row 6, utterance u6: its code is -1"),
    (changed("speaker_names", 2, " "), "dialogue south has no speaker at row 4, utterance u4: its code is 2"),
    (changed("text_a", (4, 1), NAN), "text_a is nan in column 1 of row 4, utterance u4"),
    (changed("text_b", (9, 0), np.inf), "text_b is inf in column 0 of row 9, utterance u9"),
    (changed("text_a", (2, 2), 1e300), "text_a is 1e+300 in column 2 of row 2, utterance u2, not a finite float32"),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=[sentence[:50] for _, sentence in WRONG])
def test_error_says_what_where_and_what_to_do(tmp_path: Path, changes: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        load_changed(tmp_path, **changes)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'small.npz'}: ") and sentence in message
    assert "; " in message and message.endswith(".") and "\n" not in message


def test_no_feature_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no feature set; give a float array"):
        load_changed(tmp_path, text_a=None, text_b=None, audio_c=None)


def test_not_finite_is_allowed_where_masked_or_the_whole_row(tmp_path: Path) -> None:
    arrays = make_arrays()
    arrays["audio_c"][3, 2], arrays["audio_c_mask"][3] = NAN, [True, True, False, True]
    arrays["audio_c_mask"][6] = False
    arrays["text_a"][[2, 5]] = NAN
    corpus = load_corpus(write(tmp_path, arrays))
    assert corpus.features["audio_c"][3, 2] == 0 and not corpus.measured["audio_c"][3, 2]
    assert corpus.measured["audio_c"][3].tolist() == [True, True, False, True]
    assert (corpus.features["text_a"][[2, 5]] == 0).all()
    assert np.flatnonzero(~corpus.measured["text_a"].any(axis=1)).tolist() == [2, 5]
    assert corpus.notices == (
        "text_a is not available for 2 of 11 utterances (first: row 2, utterance u2).",
        "audio_c is not available for 1 of 11 utterances (first: row 6, utterance u6).",
    )


def test_a_row_too_large_for_float32_is_damage_not_absence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="text_a is 1e\\+300 in column 0 of row 4, utterance u4"):
        load_changed(tmp_path, **changed("text_a", 4, 1e300))


def assert_same(one: Corpus, other: Corpus) -> None:
    for field in dataclasses.fields(Corpus):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if field.name in ("features", "measured"):
            assert list(left) == list(right)
            for name in left:
                np.testing.assert_array_equal(left[name], right[name], strict=True)
        elif isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right, strict=True)
        elif field.name not in ("notices", "sha256"):
            assert left == right, field.name


@pytest.mark.parametrize("absent", [[], ["text", "utt_id", "speaker", "speaker_names", "dialogue_names"]])
def test_round_trip(tmp_path: Path, absent: list[str]) -> None:
    corpus = load_changed(tmp_path, **dict.fromkeys(absent))
    target = tmp_path / "copy.npz"
    target.write_bytes(b"old")
    save_corpus(corpus, target)
    assert_same(load_corpus(target), corpus)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.npz", "small.npz"]


def test_utterances_without_a_label_are_kept(tmp_path: Path) -> None:
    corpus = load_changed(tmp_path, **changed("label", [1, 4, 9], -1))
    assert corpus.labels.tolist() == [0, -1, 2, 0, -1, 2, 0, 1, 2, -1, 1]
    assert [corpus.labelled_of(split).tolist() for split in SPLITS] == [[0, 2, 3], [5, 6, 7, 8], [10]]
    save_corpus(corpus, tmp_path / "copy.npz")
    assert_same(load_corpus(tmp_path / "copy.npz"), corpus)


def test_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    corpus = load_changed(tmp_path)
    with pytest.raises(InputError, match=r"nowhere/copy\.npz cannot be written \(No such file"):
        save_corpus(corpus, tmp_path / "nowhere" / "copy.npz")
    with pytest.raises(InputError, match="is a folder"):
        save_corpus(corpus, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["small.npz"]


def test_save_interrupted_at_the_end_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = load_changed(tmp_path)
    target = tmp_path / "copy.npz"
    target.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match=r"copy\.npz cannot be written \(No space left on device\)"):
        save_corpus(corpus, target)
    assert target.read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.npz", "small.npz"]


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs" / "corpus.md"
    example = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    monkeypatch.chdir(tmp_path)
    exec(example[1], {})
    corpus = load_corpus("mine.npz")
    assert (corpus.num_dialogues, corpus.modalities, corpus.notices) == (3, ("audio", "text"), ())
