"""The pickles of COSMIC and of MMSA, on files made here with sentences and numbers of our own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.data.sources.feature_pickle import read_feature_pickle
from macsgr_jax.errors import InputError
from tests.data.sources.test_feature_pickle import LENGTHS, dialogue_rnn, parts, vectors, write
from tests.testing.round_trip import assert_survives

NAMES = list(LENGTHS)
LISTS: tuple[Any, ...] = (NAMES[:2], NAMES[3:], {NAMES[2]})


def cosmic(sentiments: bool = False, **changes: Any) -> tuple[Any, ...]:
    given = parts() | changes
    layers = [vectors(seed, 5) for seed in range(4)]
    more = [given["labels"]] if sentiments else []
    return (given["speakers"], given["labels"], *more, *layers, given["sentences"], *LISTS)


@pytest.mark.parametrize("sentiments", [False, True])
def test_the_layout_of_cosmic(sentiments: bool, tmp_path: Path) -> None:
    corpus = read_feature_pickle(write(tmp_path, cosmic(sentiments))).corpus
    assert list(corpus.features) == ["text_layer1", "text_layer2", "text_layer3", "text_layer4"]
    assert dict(zip(corpus.dialogue_names, corpus.split.tolist(), strict=True)) == {
        name: (0, 0, 1, 2)[number] for number, name in enumerate(NAMES)
    }
    last = slice(corpus.offsets[-2], corpus.offsets[-1])
    np.testing.assert_allclose(corpus.features["text_layer3"][last], vectors(2, 5)[NAMES[-1]], rtol=1e-6)
    assert corpus.labels[last].tolist() == parts()["labels"][NAMES[-1]] and corpus.label_names[0] == "happy"
    assert corpus.texts is not None and list(corpus.texts[last]) == parts()["sentences"][NAMES[-1]]
    assert [corpus.speaker_names[one] for one in corpus.speakers[last]] == ["M", "F"]
    assert_survives(corpus, tmp_path)


def test_the_knowledge_of_cosmic_alone_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it holds 9 dictionaries, and no list of the training dialogues, as COSMIC's"):
        read_feature_pickle(write(tmp_path, tuple(vectors(seed, 3) for seed in range(9))))


def mmsa(**changes: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)

    def draw(ids: list[str]) -> dict[str, Any]:
        count = len(ids)
        return {
            "raw_text": [f"said {id_}" for id_ in ids],
            "text": random.normal(size=(count, 4, 3)).astype(np.float32),
            "audio": random.normal(size=(count, 4, 2)).astype(np.float32),
            "vision": random.normal(size=(count, 2)).astype(np.float32),
            "audio_lengths": [2] * count,
            "id": ids,
            "regression_labels": np.linspace(-3, 3, count, dtype=np.float32),
        } | changes

    return {"train": draw(["b$_$10", "a$_$3", "b$_$9"]), "valid": draw(["c$_$1"]), "test": draw(["d$_$0", "d$_$1"])}


def test_the_layout_of_mmsa(tmp_path: Path) -> None:
    content = mmsa()
    corpus = read_feature_pickle(write(tmp_path, content)).corpus
    assert corpus.dialogue_names == ("b", "a", "c", "d") and corpus.split.tolist() == [0, 0, 1, 2]
    assert corpus.texts == ("said b$_$9", "said b$_$10", "said a$_$3", "said c$_$1", "said d$_$0", "said d$_$1")
    assert corpus.label_names == ("negative", "positive") and corpus.labels.tolist() == [1, 0, 1, 0, 0, 1]
    assert {name: values.shape[1] for name, values in corpus.features.items()} == {
        "text_mean_std": 6,
        "audio_mean_std": 4,
        "video_mean_std": 2,
    }
    steps = content["train"]["audio"][2, :2]  # Of b$_$9; what follows is padding.
    expected = np.concatenate([steps.mean(axis=0), steps.std(axis=0)])
    np.testing.assert_allclose(corpus.features["audio_mean_std"][0], expected, rtol=1e-5, atol=1e-6)
    assert "below 0 is negative; --threshold divides them otherwise" in corpus.notices[0]
    divided = read_feature_pickle(write(tmp_path, content), "abc", (-1, 1)).corpus
    assert divided.label_names == ("a", "b", "c") and divided.notices == ()
    assert_survives(corpus, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ["x", "y", "z"]}, "has the segment 'x', which does not say its video"),
        ({"regression_labels": np.zeros(7)}, "has neither the layout .* cannot reshape"),
    ],
)
def test_relatives_of_mmsa_are_refused_with_the_reason(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_feature_pickle(write(tmp_path, mmsa(**changes)))


def test_what_a_file_lacks_is_told(tmp_path: Path) -> None:
    content = mmsa()
    for name, message in (
        ("id", "lack id, the videos and numbers"),
        ("regression_labels", "lack regression_labels or"),
    ):
        without = content | {"train": {key: value for key, value in content["train"].items() if key != name}}
        with pytest.raises(InputError, match=f"the arrays of train {message}"):
            read_feature_pickle(write(tmp_path, without))
    with pytest.raises(InputError, match="it holds a dictionary of models, state"):
        read_feature_pickle(write(tmp_path, {"models": 1, "state": 2}))
    assert read_feature_pickle(write(tmp_path, dialogue_rnn())).corpus.num_dialogues == len(LENGTHS)
