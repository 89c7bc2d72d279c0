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
    corpus = read_feature_pickle(write(tmp_path, content)).corpus
    assert list(corpus.features) == ["text_features", "audio_features"]
    assert corpus.label_names[-1] == "anger" and corpus.speaker_names == (
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
        (dialogue_rnn(labels=parts(5)["labels"]), "has labels from 0 to 4: name them with --labels"),
        ({"train": [{"vid": 1}], "test": []}, "train holds a dict instead of a sample"),
        ({"train": [], "test": []}, "it lists no dialogue"),
        ((*dialogue_rnn()[:-1], TRAIN), "it lists a dialogue twice"),
        (dialogue_rnn(labels={name: [10**30] for name in LENGTHS}), "has neither the layout .*OverflowError"),
        (({},) * 8, "has neither the layout .*StopIteration"),
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
