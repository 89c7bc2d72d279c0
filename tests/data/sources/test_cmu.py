"""Computational sequences of our own: what they become, and what is said of those that cannot be read."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.data.sources.build import ImportedCorpus
from macsgr_jax.data.sources.cmu import read_cmu
from macsgr_jax.errors import InputError
from tests.testing.round_trip import assert_survives

h5py = pytest.importorskip("h5py")

NAN, INF = float("nan"), float("inf")
Entries = Mapping[str, tuple[object, object]]

# Video -> sentiment (and another annotation) and intervals of the segments; those of north are not in order of time.
LABELS: Entries = {
    "north": ([[-1.5, 9], [0, 9], [3, 9]], [[5, 8], [1, 2], [2, 5]]),
    "-sou_th": ([[-0.25, 9]], [[0, 10]]),
    "east": ([[1, 9]], [[0.5, 1]]),
    "west": ([[2, 9], [-3, 9]], [[0, 1], [1, 2]]),
}
WORDS: Entries = {
    "north": (
        [[1, 10], [3, 30], [NAN, 5], [7, -INF], [9, 70]],
        # Within the second; into the third, twice; touches the third and is in the first; touches the second.
        [[1.1, 1.9], [1.9, 2.5], [3, 4], [4.999999, 6], [0.5, 1.000001]],
    ),
    "-sou_th": ([[2, 4], [2, 8]], [[-1, 0.5], [9, 12]]),
    "west": ([[5, 5]], [[1, 2]]),
    "other": ([[1, 1]], [[0, 1]]),
}
FOLDS = {"train": ["north", "-sou_th"], "validation": ["east"], "test": ["west"]}


def write(
    path: Path, entries: Entries, root: str = "words", columns: tuple[str, ...] = ("sentiment", "certainty")
) -> Path:
    with h5py.File(path, "w") as file:
        file[f"{root}/metadata/root name"] = root
        file[f"{root}/metadata/dimension names"] = [json.dumps(columns)]
        for key, (features, intervals) in entries.items():
            for name, values in (("features", features), ("intervals", intervals)):
                if values is not None:
                    file[f"{root}/data/{key}/{name}"] = np.asarray(values, None if name == "features" else np.float32)
    return path


def write_folds(path: Path, folds: object = FOLDS) -> Path:
    path.write_text(folds if isinstance(folds, str) else json.dumps(folds), encoding="utf-8")
    return path


def read(folder: Path, labels: Entries = LABELS, words: Entries = WORDS, folds: object = FOLDS) -> ImportedCorpus:
    return read_cmu(
        write(folder / "labels.csd", labels, "Opinion Segment Labels"),
        {"text_glove": write(folder / "words.csd", words)},
        write_folds(folder / "folds.json", folds),
        "mosi",
    )


def test_segments_and_their_sentiment(tmp_path: Path) -> None:
    imported = read(tmp_path)
    corpus, sentiment = imported.corpus, imported.extra_arrays["sentiment"]
    assert corpus.name == "mosi" and corpus.texts is None and corpus.notices == ()
    assert corpus.dialogue_names == corpus.speaker_names == ("-sou_th", "east", "north", "west")
    assert corpus.offsets.tolist() == [0, 1, 2, 5, 7] and corpus.split.tolist() == [0, 1, 0, 2]
    assert corpus.utterance_ids == ("-sou_th[0]", "east[0]", "north[1]", "north[2]", "north[0]", "west[0]", "west[1]")
    assert sentiment.dtype == np.float32 and sentiment.tolist() == [-0.25, 1, 0, 3, -1.5, 2, -3]
    assert corpus.label_names == ("negative", "positive")
    assert corpus.labels.tolist() == [0, 1, 1, 1, 0, 1, 0]
    assert corpus.speakers.tolist() == [0, 1, 2, 2, 2, 3, 3]
    assert_survives(corpus, tmp_path)


def test_an_utterance_has_the_mean_and_deviation_of_what_overlaps_with_it(tmp_path: Path) -> None:
    corpus = read(tmp_path).corpus
    expected = {
        "-sou_th[0]": [2, 6, 0, 2],
        "east[0]": None,
        "north[1]": [2, 20, 1, 10],
        "north[2]": [3, 17.5, 0, 12.5],  # NaN of a row is left out, the number beside it is not.
        "north[0]": [7, NAN, 0, NAN],
        "west[0]": None,
        "west[1]": [5, 5, 0, 0],
    }
    values, measured = corpus.features["text_glove"], corpus.measured["text_glove"]
    wanted = np.array([[NAN] * 4 if row is None else row for row in expected.values()], np.float32)
    assert tuple(expected) == corpus.utterance_ids and values.dtype == np.float32
    np.testing.assert_array_equal(measured, np.isfinite(wanted))
    np.testing.assert_array_equal(values, np.where(np.isfinite(wanted), wanted, 0))


def test_videos_in_pieces_are_the_same_as_whole_ones(tmp_path: Path) -> None:
    def cut(entries: Entries) -> dict[str, tuple[object, object]]:
        rows = {key: list(zip(features, intervals, strict=True)) for key, (features, intervals) in entries.items()}
        pieces = {f"{key}[{place}]": row for key, found in rows.items() for place, row in enumerate(found)}
        return {key: ([features], [interval]) for key, (features, interval) in reversed(pieces.items())}

    whole, cut_up = read(tmp_path), read(tmp_path, cut(LABELS), cut(WORDS))
    assert cut_up.corpus.utterance_ids == whole.corpus.utterance_ids
    assert cut_up.corpus.sha256 == whole.corpus.sha256
    np.testing.assert_array_equal(cut_up.extra_arrays["sentiment"], whole.extra_arrays["sentiment"])
    for part in ("features", "measured"):
        left, right = (getattr(one.corpus, part)["text_glove"] for one in (cut_up, whole))
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    "folds",
    [
        "train:\nnorth, -sou_th\nvalidation: east\ntest: west\n",
        "# folds\nstandard_train_fold=['north',\n'-sou_th']\nstandard_valid_fold=['east']\nstandard_test_fold=['west']",
        {"TEST": ["west"], "Dev": ["east"], "Training": ["-sou_th", "north", "north"]},
    ],
)
def test_ways_to_write_folds(folds: object, tmp_path: Path) -> None:
    corpus = read(tmp_path, folds=folds).corpus
    assert corpus.split.tolist() == [0, 1, 0, 2] and corpus.notices == ()


def test_videos_without_a_fold_or_without_labels(tmp_path: Path) -> None:
    imported = read(tmp_path, folds={"train": ["north", "gone", "lost"], "test": ["west"]})
    corpus, sentiment = imported.corpus, imported.extra_arrays["sentiment"]
    assert corpus.dialogue_names == ("north", "west") and corpus.split.tolist() == [0, 2]
    assert corpus.speakers.tolist() == [0, 0, 0, 1, 1] and sentiment.tolist() == [0, 3, -1.5, 2, -3]
    assert corpus.features["text_glove"][0].tolist() == [2, 20, 1, 10]
    assert corpus.notices == (
        "2 videos of the folds have no labels (first: gone).",
        "2 of 4 videos are in no fold and left out (first: -sou_th).",
    )


def test_without_folds_the_ids_decide(tmp_path: Path) -> None:
    labels = {f"video{number}": ([[1.0]], [[0, 1]]) for number in range(30)}
    path = write(tmp_path / "labels.csd", labels)
    corpus = read_cmu(path, {}, None, "mosei").corpus
    assert np.bincount(corpus.split).tolist() == [21, 3, 6]
    tested = [corpus.dialogue_names[dialogue] for dialogue in corpus.dialogues_of("test")]
    assert tested == ["video14", "video19", "video2", "video23", "video25", "video7"]
    shown = "21, 3 and 6 videos for train, validation and test"
    assert corpus.notices == (f"No folds were given: {shown}, not those of published scores.",)
    three = dict(list(labels.items())[:3])
    assert sorted(read_cmu(write(path, three), {}, None, "mosei").corpus.split.tolist()) == [0, 1, 2]
    with pytest.raises(InputError, match="2 videos are too few for training, validation and test: give folds"):
        read_cmu(write(path, dict(list(labels.items())[:2])), {}, None, "mosei")


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"train": ["north"], "test": ["nowhere"]}, "no video of test has labels (first: nowhere): give the folds of"),
        ({"train": ["north"], "validation": ["gone"], "test": ["west"]}, "no video of validation has labels"),
        ({"train": ["north", "west"], "test": ["west"]}, "the video west is in train and test: keep it once"),
        ({"train": ["north"]}, "lists no video for test: write test, then the ids of its videos"),
        ("north, west", "'north' stands before the name of a fold: begin with train, validation or test"),
        ("", "lists no video for train"),
    ],
)
def test_folds_that_do_not_fit(folds: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape("folds.json")) as caught:
        read(tmp_path, folds=folds)
    assert message in str(caught.value)


def test_folds_that_are_not_there_or_no_text(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csd", LABELS)
    with pytest.raises(InputError, match=r"none.txt cannot be read \(No such file"):
        read_cmu(labels, {}, tmp_path / "none.txt", "mosi")
    with pytest.raises(InputError, match="stands before the name of a fold"):
        read_cmu(labels, {}, labels, "mosi")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"west": ([[4, 9]], [[0, 1]])}, ": the sentiment of west[0] is 4, not between -3 and 3"),
        ({"west": ([[1, 9], [NAN, 9]], [[0, 1], [1, 2]])}, ": the sentiment of west[1] is nan, not between -3 and 3"),
        ({"west[1]": ([[1, 9]], [[0, 1]])}, " has west[1] for the second time"),
        ({"west": ([[1, 9]], [[0, NAN]])}, ": an interval of west is not a finite time"),
        ({"west": ([[1, 9]], None)}, ": west has no intervals: copy or download the file again"),
        ({"west": (None, [[0, 1]])}, ": west has no features"),
        ({"west": ([[1, 9]], [[0, 1], [1, 2]])}, ": west has features [1, 2] and intervals [2, 2] instead of [n, D]"),
        ({"west": ([1], [[0, 1]])}, ": west has features [1] and intervals [1, 2] instead of [n, D] and [n, 2]"),
        ({"west": ([[1]], [[0, 1]])}, ": west has 1 columns, and videos before it 2"),
        ({"west": ([[b"good"]], [[0, 1]])}, ": the features of west are not numbers: give a file of vectors"),
    ],
)
def test_labels_that_cannot_be_understood(changes: Entries, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'labels.csd'}{message}")):
        read(tmp_path, {**LABELS, **changes})


def test_features_that_cannot_be_understood(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"words.csd has none of the videos that have labels: give the files of one"):
        read(tmp_path, words={"other": ([[1.0]], [[0, 1]])})
    with pytest.raises(InputError, match=r"words.csd: the features of west are not numbers"):
        read(tmp_path, words={**WORDS, "west": ([[b"well"]], [[0, 1]])})
    with pytest.raises(InputError, match="a feature set cannot be named 'glove': begin it with one of text_, audio_"):
        read_cmu(tmp_path / "labels.csd", {"glove": tmp_path / "words.csd"}, None, "mosi")
    with pytest.raises(InputError, match="a feature set cannot be named 'text_mask'"):
        read_cmu(tmp_path / "labels.csd", {"text_mask": tmp_path / "words.csd"}, None, "mosi")


def test_files_that_are_no_sequences(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent.csd: there is no such file: give the path of a .csd file"):
        read_cmu(tmp_path / "absent.csd", {}, None, "mosi")
    other = tmp_path / "other.csd"
    other.write_text("video,sentiment\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"other.csd is damaged, or not an HDF5 file \(OSError\)"):
        read_cmu(other, {}, None, "mosi")
    for name in ("root/metadata/x", "root/data", "data/north/features"):
        with h5py.File(other, "w") as file:
            file[name] = [[1.0]]
        with pytest.raises(InputError, match=r"other.csd is not a computational sequence, a group with data of videos"):
            read_cmu(other, {}, None, "mosi")
    with pytest.raises(InputError, match=r"other.csd is not a computational sequence"):
        read_cmu(write(other, {}), {}, None, "mosi")
    with pytest.raises(InputError, match=r"other.csd has no segment"):
        read_cmu(write(other, {"north": (np.zeros((0, 1)), np.zeros((0, 2)))}), {}, None, "mosi")


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_file_that_was_cut_short(kept: float, tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csd", LABELS)
    words = write(tmp_path / "words.csd", WORDS)
    content = words.read_bytes()
    words.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=r"words.csd is damaged, or not an HDF5 file \(\w+\): copy or download"):
        read_cmu(labels, {"text_glove": words}, None, "mosi")


def test_damage_inside_a_file(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csd", LABELS)
    content = labels.read_bytes()
    for signature in (b"TREE", b"SNOD", b"HEAP"):
        labels.write_bytes(content.replace(signature, b"\x00\x00\x00\x00"))
        with pytest.raises(InputError, match=r"labels.csd is (damaged|not a computational sequence)"):
            read_cmu(labels, {}, None, "mosi")


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = write(tmp_path / "labels.csd", LABELS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        InputError, match=r"labels.csd is an HDF5 file, .* not installed to read it: pip install .macsgr-jax.cmu."
    ):
        read_cmu(labels, {}, None, "mosi")


MANY: Entries = {
    # Sentiment, happy, sad, anger, surprise, disgust, fear.
    "north": ([[1, 3, 0, 0, 0, 0, 0], [-1, 0, 1, 2, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]], [[0, 1], [1, 2], [2, 3]]),
    "east": ([[2, 0, 0, 0, 0, 0, 1 / 3]], [[0, 1]]),
    "west": ([[-3, 0, 1, 1, 0, 0, 0], [-3, 0, 0, 0, 0, 2, 0]], [[0, 1], [1, 2]]),
}


def read_emotions(folder: Path, entries: Entries, target: str = "", columns: tuple[str, ...] = ()) -> ImportedCorpus:
    labels = write(folder / "labels.csd", entries, columns=columns)
    folds = write_folds(folder / "folds.json", {"train": ["north"], "validation": ["east"], "test": ["west"]})
    return read_cmu(labels, {}, folds, "mosei", target=target)


@pytest.mark.parametrize("whole", [True, False])
def test_emotions_are_not_read_as_sentiment(whole: bool, tmp_path: Path) -> None:
    """A file of the six emotions alone, or with the sentiment before them."""
    entries = MANY if whole else {key: (np.array(rows)[:, 1:], times) for key, (rows, times) in MANY.items()}
    imported = read_emotions(tmp_path, entries, "emotion" if whole else "")
    corpus = imported.corpus
    assert corpus.label_names == ("happy", "sad", "anger", "surprise", "disgust", "fear")
    assert corpus.utterance_ids == ("east[0]", "north[0]", "north[1]", "west[1]")
    assert [corpus.label_names[label] for label in corpus.labels] == ["fear", "happy", "anger", "disgust"]
    assert imported.extra_arrays["intensity_sad"].tolist() == [0, 0, 1, 0] and len(imported.extra_arrays) == 6
    assert corpus.notices == (
        "Of 6 segments, 1 without an emotion and 1 with several that are equally strong are left out; the emotion of"
        " the others is their strongest.",
    )


def test_sentiment_is_taken_where_both_are_there(tmp_path: Path) -> None:
    imported = read_emotions(tmp_path, MANY)
    assert imported.corpus.labels.tolist() == [1, 1, 0, 1, 0, 0] and list(imported.extra_arrays) == ["sentiment"]
    assert imported.corpus.notices == (
        "The file has sentiment and emotions, and sentiment is taken: --target emotion takes the others.",
    )
    reordered = {key: (np.array(rows)[:, ::-1], times) for key, (rows, times) in MANY.items()}
    columns = ("Fear", "disgust", "surprised", "angry", "sadness", "Happiness", "sentiment")
    assert read_emotions(tmp_path, reordered, columns=columns).corpus.labels.tolist() == [1, 1, 0, 1, 0, 0]


def test_targets_that_a_file_does_not_have(tmp_path: Path) -> None:
    six = {key: (np.array(rows)[:, 1:], times) for key, (rows, times) in MANY.items()}
    with pytest.raises(InputError, match=r"labels\.csd has emotion, and not sentiment: give --target emotion"):
        read_emotions(tmp_path, six, "sentiment")
    with pytest.raises(InputError, match=r"labels\.csd has 2 columns that are not named: labels have 1, 6, 7 columns"):
        read_emotions(tmp_path, {key: (np.array(rows)[:, :2], times) for key, (rows, times) in MANY.items()})
    six["west"] = ([[0, 0, 0, 0, 0, -1]], [[0, 1]])
    with pytest.raises(InputError, match=r"labels\.csd: fear of west\[0\] is -1, not between 0 and 3"):
        read_emotions(tmp_path, six)
    nothing = {key: (np.zeros((1, 6)), [[0, 1]]) for key in MANY}
    with pytest.raises(InputError, match="has no segment with one strongest emotion"):
        read_emotions(tmp_path, nothing)
