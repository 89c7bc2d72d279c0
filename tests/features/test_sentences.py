"""Sentence embeddings of a model from a folder; another model of the same name is noticed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.errors import InputError
from macsgr_jax.features import sentences


class TinyModel:
    """Says of a sentence how often each of four letters is in it."""

    def __init__(self, letters: str = "aeio") -> None:
        self._letters = letters

    def encode(self, texts: list[str], normalize_embeddings: bool, show_progress_bar: bool) -> np.ndarray:
        counts = np.array([[text.count(letter) + 0.01 for letter in self._letters] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sentences, "load_model", lambda name: TinyModel())
    monkeypatch.setattr("importlib.metadata.version", lambda name: "5.0")
    return sentences.describe_sentences("tiny")


def test_embeddings_are_those_of_the_model(described: sentences.Extractor) -> None:
    values, known = sentences.apply_sentences(described, ["a tea", " ", "oo"])
    wanted = np.array([2.01, 1.01, 0.01, 0.01])
    np.testing.assert_allclose(values[0], wanted / np.linalg.norm(wanted), rtol=1e-5)
    assert known.tolist() == [True, False, True] and np.all(values[1] == 0)
    assert described.description["columns"] == 4 and described.description["model"] == "tiny"


def test_another_model_is_refused(described: sentences.Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "load_model", lambda name: TinyModel("oiea"))
    with pytest.raises(InputError, match="the sentence model tiny is not the one of the training"):
        sentences.apply_sentences(described, ["a tea"])


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(InputError, match=r"the sentence model .*nowhere cannot be loaded"):
        sentences.load_model(str(tmp_path / "nowhere"))


def test_a_description_is_kept_as_it_is(described: sentences.Extractor) -> None:
    assert dataclasses.replace(described).description["probe"] == described.description["probe"]
    assert len(described.description["probe"]) == 4
