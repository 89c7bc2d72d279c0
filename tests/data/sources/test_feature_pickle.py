"""The layouts of the field's pickles, on files made here with sentences and numbers of our own."""

import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.cli.common import run_script
from macsgr_jax.cli.import_corpus import ImportCorpus, main
from macsgr_jax.data.corpus import UNLABELLED
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.sources.feature_pickle import read_feature_pickle
from macsgr_jax.errors import InputError

LENGTHS = {"Ses01F_impro05": 3, "Ses01M_impro01": 2, "Ses02F_script01_1": 4, "Ses05F_impro01": 2}
TRAIN, TEST = list(LENGTHS)[:3], list(LENGTHS)[3:]


def vectors(seed: int, size: int) -> dict[str, list[np.ndarray]]:
    random = np.random.default_rng(seed)
    return {name: list(random.normal(size=(length, size))) for name, length in LENGTHS.items()}


def parts(classes: int = 6) -> dict[str, Any]:
    """Speakers, labels and sentences; the last emotion occurs."""
    labels = {name: [(place + length) % classes for place in range(length)] for name, length in LENGTHS.items()}
    labels["Ses01F_impro05"][0] = classes - 1
    return {
        "ids": {name: [f"{name}_{place}" for place in range(length)] for name, length in LENGTHS.items()},
        "speakers": {name: list("MF" * length)[:length] for name, length in LENGTHS.items()},
        "labels": labels,
        "sentences": {name: [f"turn {place} of {name}" for place in range(length)] for name, length in LENGTHS.items()},
    }


def write(folder: Path, content: Any, protocol: int = 2) -> Path:
    path = folder / "features.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def dialogue_rnn(**changes: Any) -> tuple[Any, ...]:
    """IEMOCAP_features.pkl."""
    given = parts() | changes
    features = [vectors(seed, size) for seed, size in enumerate((5, 4, 3))]
    return (given["ids"], given["speakers"], given["labels"], *features, given["sentences"], set(TRAIN), TEST)


def test_the_layout_of_dialogue_rnn(tmp_path: Path) -> None:
    corpus = read_feature_pickle(write(tmp_path, dialogue_rnn())).corpus
    assert {name: values.shape[1] for name, values in corpus.features.items()} == {
        "text_features": 5,
        "audio_features": 4,
        "video_features": 3,
    }
    assert corpus.label_names == ("happy", "sad", "neutral", "angry", "excited", "frustrated")
    for d, name in enumerate(corpus.dialogue_names):
        rows = slice(corpus.offsets[d], corpus.offsets[d + 1])
        np.testing.assert_array_equal(corpus.labels[rows], parts()["labels"][name])
        np.testing.assert_allclose(corpus.features["audio_features"][rows], vectors(1, 4)[name], rtol=1e-6)
        assert list(corpus.texts[rows]) == parts()["sentences"][name]
        assert [corpus.speaker_names[one] for one in corpus.speakers[rows]] == parts()["speakers"][name]
    splits = dict(zip(corpus.dialogue_names, corpus.split.tolist(), strict=True))
    assert splits == {"Ses01F_impro05": 0, "Ses01M_impro01": 1, "Ses02F_script01_1": 0, "Ses05F_impro01": 2}


def test_melds_layout_with_speakers_as_vectors(tmp_path: Path) -> None:
    given = parts(7)
    speakers = {name: list(np.eye(9)[: len(one)]) for name, one in given["speakers"].items()}
    content = (
        given["ids"],
        speakers,
        given["labels"],
        vectors(0, 5),
        vectors(1, 4),
        given["sentences"],
        TRAIN,
        TEST,
        {name: [0] * length for name, length in LENGTHS.items()},  # Sentiments.
    )
    corpus = read_feature_pickle(write(tmp_path, content), "abcdefg").corpus
    assert list(corpus.features) == ["text_features", "audio_features"]
    assert corpus.label_names[-1] == "g" and corpus.speaker_names == (
        "speaker0",
        "speaker1",
        "speaker2",
        "speaker3",
    )


def test_melds_validation_dialogues_are_listed_behind_the_training_ones(tmp_path: Path) -> None:
    names = list(range(1153))
    one = {name: [0] for name in names}
    content = (one, {name: [[1, 0]] for name in names}, one, *[{n: [np.ones(2)] for n in names}] * 2)
    content = (*content, {name: ["hm"] for name in names}, names[:1152], names[1152:], one)
    corpus = read_feature_pickle(write(tmp_path, content), ["calm"]).corpus
    assert np.bincount(corpus.split).tolist() == [1038, 114, 1]
    assert corpus.split[1037:1039].tolist() == [0, 1]


def test_four_layers_of_text(tmp_path: Path) -> None:
    given = parts()
    features = [vectors(seed, 6) for seed in range(6)]
    content = (given["ids"], given["speakers"], given["labels"], *features, given["sentences"], TRAIN, TEST)
    corpus = read_feature_pickle(write(tmp_path, content)).corpus
    assert list(corpus.features)[:4] == ["text_layer1", "text_layer2", "text_layer3", "text_layer4"]
    assert corpus.modalities == ("audio", "text", "video")


@pytest.fixture
def sample_class() -> Iterator[Any]:
    """A class that is pickled under the name of COGMEN's; it is gone when the file is read."""
    module = types.ModuleType("cogmen.Sample")
    sample = type("Sample", (), {"__module__": "cogmen.Sample"})
    module.Sample = sample  # type: ignore[attr-defined]
    sys.modules |= {"cogmen": types.ModuleType("cogmen"), "cogmen.Sample": module}
    yield sample
    del sys.modules["cogmen"], sys.modules["cogmen.Sample"]


def test_the_layout_of_cogmen(tmp_path: Path, sample_class: Any) -> None:
    given, content = parts(4), {"train": [], "dev": [], "test": []}
    for name, split in zip(LENGTHS, ("train", "dev", "train", "test"), strict=True):
        sample = sample_class()
        sample.__dict__ = {
            "vid": name,
            "speaker": given["speakers"][name],
            "label": given["labels"][name],
            "text": vectors(0, 5)[name],
            "audio": vectors(1, 4)[name],
            "visual": vectors(2, 3)[name],
            "sentence": given["sentences"][name],
            "sbert_sentence_embeddings": np.array(vectors(3, 7)[name], np.float32),
        }
        content[split].append(sample)
    corpus = read_feature_pickle(write(tmp_path, content)).corpus
    assert list(corpus.features) == ["text_features", "text_sbert", "audio_features", "video_features"]
    assert corpus.label_names == ("happy", "sad", "neutral", "angry")
    assert sorted(zip(corpus.dialogue_names, corpus.split.tolist(), strict=True)) == [
        ("Ses01F_impro05", 0),
        ("Ses01M_impro01", 1),
        ("Ses02F_script01_1", 0),
        ("Ses05F_impro01", 2),
    ]


def shorten(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return values | {"Ses01F_impro05": values["Ses01F_impro05"][:-1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2, 3], "has neither the layout"),
        ({"a": 1}, "has neither the layout .*it holds a dict"),
        (dialogue_rnn()[:4] + dialogue_rnn()[5:-2] + (3, 4), "has neither the layout"),
        (dialogue_rnn(speakers={}), "has neither the layout .*KeyError"),
        (
            dialogue_rnn(labels=shorten(parts()["labels"])),
            "Ses01F_impro05 has 2 labels and 3 speakers: the file contra",
        ),
        (dialogue_rnn(sentences=shorten(parts()["sentences"])), "Ses01F_impro05 has 3 labels and 2 sentences"),
        (dialogue_rnn(labels=parts(5)["labels"]), "has labels from 0 to 4, .* name them with --labels"),
        ({"train": [{"vid": 1}], "test": []}, "train holds a dict instead of a sample"),
        ({"train": [], "test": []}, "it lists no dialogue"),
        ((*dialogue_rnn()[:-1], TRAIN), "it lists a dialogue twice"),
        (dialogue_rnn(labels={name: [10**30] for name in LENGTHS}), "has the label 1e\\+30, and emotions are numbered"),
        (({},) * 8, "has neither the layout .*it holds 8 dictionaries, and no list of the training"),
    ],
)
def test_other_layouts_are_refused_in_one_sentence(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_feature_pickle(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_the_command_writes_a_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = write(tmp_path, dialogue_rnn(labels=parts(5)["labels"])), tmp_path / "corpus.npz"
    assert run_script("x", ImportCorpus, main, ["pickle", str(source), str(out), "--labels", "a,b, c,d,e"]) == 0
    corpus = load_corpus(out)
    assert corpus.label_names == ("a", "b", "c", "d", "e") and corpus.num_utterances == 11
    assert "train: 2 dialogues of 7 utterances" in capsys.readouterr().out
    before = out.read_bytes()
    assert run_script("x", ImportCorpus, main, ["pickle", str(source), str(out)]) == 2
    assert "is there already" in capsys.readouterr().err and out.read_bytes() == before


def test_the_command_leaves_nothing_that_cannot_be_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write(tmp_path, dialogue_rnn(labels=parts(5)["labels"])), tmp_path / "corpus.npz"
    assert run_script("x", ImportCorpus, main, ["pickle", str(source), str(out), "--labels", "a,a,c,d,e"]) == 2
    assert f"error: {out}: " in capsys.readouterr().err and list(tmp_path.iterdir()) == [source]


def test_the_command_runs_nothing_of_a_pickle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "evil.pkl", tmp_path / "corpus.npz"
    source.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    assert run_script("x", ImportCorpus, main, ["pickle", str(source), str(out)]) == 2
    assert "asks for os.system, which is no plain data, and was not run" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists() and not out.exists()


def test_names_are_taken_only_where_the_corpus_is_certain(tmp_path: Path) -> None:
    """Six or seven numbers alone do not make a file IEMOCAP's or MELD's."""
    corpus = read_feature_pickle(write(tmp_path, dialogue_rnn())).corpus
    assert corpus.notices == (
        "The emotions are numbered as in the usual files of IEMOCAP: 0 happy, 1 sad, 2 neutral, 3 angry, 4 excited,"
        " 5 frustrated; if not, give --labels.",
    )
    renamed = tuple(
        {f"talk{number}": one[name] for number, name in enumerate(LENGTHS)} if isinstance(one, dict) else one
        for one in dialogue_rnn()
    )
    other = (*renamed[:-2], ["talk0", "talk1", "talk2"], ["talk3"])
    with pytest.raises(
        InputError, match=r"labels from 0 to 5, and does not say what they mean: .*--labels neutral,hap"
    ):
        read_feature_pickle(write(tmp_path, other))
    assert read_feature_pickle(write(tmp_path, other), "abcdef").corpus.label_names == tuple("abcdef")
    with pytest.raises(InputError, match="labels from 0 to 5, and --labels names 3: name all emotions from number 0"):
        read_feature_pickle(write(tmp_path, other), "abc")


def test_the_names_of_meld_are_known(tmp_path: Path) -> None:
    names = list(range(1432))
    one = {name: [name % 7] for name in names}
    content = (one, {name: [[1, 0]] for name in names}, one, *[{n: [np.ones(2)] for n in names}] * 2)
    content = (*content, {name: ["hm"] for name in names}, names[:1152], names[1152:], one)
    corpus = read_feature_pickle(write(tmp_path, content)).corpus
    assert corpus.label_names[6] == "anger" and "as in the usual files of MELD" in corpus.notices[0]


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (0.33, "utterance 0 has the label 0.33, a value on a scale .* with --threshold, such as --threshold 0, and"),
        (
            -1,
            "utterance 0 has the label -1, which numbers no emotion: name .* with --labels, and -1 is no label, or, if",
        ),
        (-2, "utterance 0 has the label -2, which numbers no emotion: name the emotions from .* --labels, or, if the"),
        (float("inf"), "has the label inf, and emotions are numbered from 0"),
        ("sad", "has labels that are neither names nor numbers of emotions"),
        ([0, 2], "has labels that are neither names nor numbers"),
    ],
)
def test_labels_that_number_no_emotion(first: Any, message: str, tmp_path: Path) -> None:
    """Each is one sentence that names what helps; none is rounded to an emotion."""
    labels = parts()["labels"]
    labels["Ses01F_impro05"] = [first, 1, 2]
    with pytest.raises(InputError, match=message) as caught:
        read_feature_pickle(write(tmp_path, dialogue_rnn(labels=labels)))
    assert "Ses01F_impro05" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", [float("nan"), -1])
def test_utterances_without_a_label_are_context(missing: float, tmp_path: Path) -> None:
    """NaN is no label; -1 is none where the emotions are named, and a value otherwise."""
    labels = parts()["labels"]
    labels["Ses01F_impro05"] = [missing, 1, 2]
    path = write(tmp_path, dialogue_rnn(labels=labels))
    corpus = read_feature_pickle(path, "abcdef").corpus
    hidden = corpus.utterance_ids.index("Ses01F_impro05_000")
    assert np.flatnonzero(corpus.labels == UNLABELLED).tolist() == [hidden]
    divided = read_feature_pickle(path, thresholds=[1]).corpus.labels
    assert (divided == UNLABELLED).sum() == (1 if np.isnan(missing) else 0)
    with pytest.raises(InputError, match="no utterance has a label"):
        nothing = {name: [float("nan")] * length for name, length in LENGTHS.items()}
        read_feature_pickle(write(tmp_path, dialogue_rnn(labels=nothing)))


def test_labels_as_vectors_and_as_names(tmp_path: Path) -> None:
    one_hot = {name: list(np.eye(6)[numbers]) for name, numbers in parts()["labels"].items()}
    plain = read_feature_pickle(write(tmp_path, dialogue_rnn())).corpus
    corpus = read_feature_pickle(write(tmp_path, dialogue_rnn(labels=one_hot))).corpus
    np.testing.assert_array_equal(corpus.labels, plain.labels)
    several = {name: [[1, 1, 0]] * length for name, length in LENGTHS.items()}
    with pytest.raises(InputError, match="has 3 values per label that are not one-hot vectors"):
        read_feature_pickle(write(tmp_path, dialogue_rnn(labels=several)))
    words = {name: [("sad", "calm")[number % 2] for number in numbers] for name, numbers in parts()["labels"].items()}
    corpus = read_feature_pickle(write(tmp_path, dialogue_rnn(labels=words))).corpus
    assert corpus.label_names == ("calm", "sad") and corpus.notices == ()
    with pytest.raises(InputError, match="has the label 'calm', which --labels does not name"):
        read_feature_pickle(write(tmp_path, dialogue_rnn(labels=words)), ["sad"])


def test_a_scale_is_divided_at_thresholds(tmp_path: Path) -> None:
    values = {name: list(np.linspace(-3, 3, length)) for name, length in LENGTHS.items()}
    path = write(tmp_path, dialogue_rnn(labels=values))
    corpus = read_feature_pickle(path, thresholds=[0]).corpus
    assert corpus.label_names == ("negative", "positive") and np.bincount(corpus.labels).tolist() == [5, 6]
    corpus = read_feature_pickle(path, thresholds=[-1, 1]).corpus
    assert corpus.label_names == ("below -1", "-1 to 1", "1 and more")
    assert np.bincount(corpus.labels).tolist() == [4, 2, 5]
    assert read_feature_pickle(path, "ab", [0]).corpus.label_names == ("a", "b")
    with pytest.raises(InputError, match="--threshold: give the thresholds in ascending order"):
        read_feature_pickle(path, thresholds=[1, -1])
