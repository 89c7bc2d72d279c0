"""A corpus is made of dialogues in one place."""

import ast
from pathlib import Path

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import UNLABELLED, Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances

ROOT = Path(__file__).parents[2]
DIALOGUES = (
    Dialogue("a", (Utterance("a0", "Cy", "yes", "sad"), Utterance("a1", "Ann", label="calm")), "train"),
    Dialogue("b", (Utterance("b0", "Ann", clip=Clip(Path("b.wav"))),)),
)


def test_the_arrays_are_those_of_the_dialogues() -> None:
    corpus = Corpus.from_dialogues("small", DIALOGUES, ("calm", "sad"), notices=["A note."], sha256="x")
    assert (corpus.name, corpus.notices, corpus.sha256) == ("small", ("A note.",), "x")
    assert corpus.labels.tolist() == [1, 0, UNLABELLED] and corpus.labels.dtype == np.int32
    assert corpus.speaker_names == ("Ann", "Cy") and corpus.speakers.tolist() == [1, 0, 0]
    assert corpus.offsets.tolist() == [0, 2, 3] and corpus.offsets.dtype == np.int64
    assert corpus.dialogue_names == ("a", "b") and corpus.split.tolist() == [0, 2] and corpus.split.dtype == np.int8
    assert corpus.utterance_ids == ("a0", "a1", "b0") and corpus.texts == ("yes", "", "")
    assert corpus.features == {} and corpus.measured == {}
    assert [utterance.id for utterance in list_utterances(DIALOGUES)] == ["a0", "a1", "b0"]


def test_features_are_measured_unless_it_is_said_otherwise() -> None:
    features = {"text_a": np.zeros((3, 2), np.float32), "text_b": np.zeros((3, 1), np.float32)}
    measured = {"text_b": np.array([[True], [False], [True]])}
    corpus = Corpus.from_dialogues("small", DIALOGUES, ("calm", "sad"), features=features, measured=measured)
    assert corpus.measured["text_a"].all() and corpus.measured["text_b"].tolist() == [[True], [False], [True]]


def test_speakers_keep_a_given_order_and_a_corpus_without_texts_has_none() -> None:
    silent = [Dialogue("a", [Utterance("a0", "Cy", label="sad")])]
    corpus = Corpus.from_dialogues("small", silent, ("calm", "sad"), speaker_names=("Dan", "Cy"))
    assert corpus.speaker_names == ("Dan", "Cy") and corpus.speakers.tolist() == [1] and corpus.texts is None


def test_the_fields_of_a_corpus_are_spelled_out_once_and_where_a_file_is_read() -> None:
    """Fifteen fields in eight places had to be kept in step by hand."""
    found = set()
    for folder in ("macsgr_jax", "examples", "experiments", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Corpus":
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == {"macsgr_jax/data/corpus_file.py"}
