"""The example that ships: whole, small, and the way from its recording to a page."""

import json
from pathlib import Path

import numpy as np
import pytest

from examples.spoken.make import make_corpus, write_dialogue
from examples.spoken.sentences import AMBIGUOUS, EXAMPLE, OPENINGS, SENTENCES
from macsgr_jax.cli.main import main
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.dialogue import list_utterances
from macsgr_jax.data.transcript import read_conversations
from macsgr_jax.features.audio_io import check_inside

EXAMPLE_FOLDER = Path(__file__).parents[2] / "examples" / "spoken"


def test_the_corpus_is_that_of_the_script() -> None:
    path = EXAMPLE_FOLDER / "spoken.npz"
    corpus = load_corpus(path)
    rng = np.random.default_rng(0)
    dialogues = [write_dialogue(rng, f"spoken_{number:03d}", 10) for number in range(120)]
    utterances = list_utterances(dialogues)
    assert corpus.texts == tuple(utterance.text for utterance in utterances)
    assert [corpus.label_names[label] for label in corpus.labels] == [utterance.label for utterance in utterances]
    assert [corpus.speaker_names[speaker] for speaker in corpus.speakers] == [one.speaker for one in utterances]
    assert corpus.utterance_ids == tuple(utterance.id for utterance in utterances)
    assert set(corpus.extractors) == {"text_lsa", "audio_egemaps"} and path.stat().st_size < 1_000_000
    assert corpus.measured["audio_egemaps"].all()
    again = make_corpus(dialogues, np.random.default_rng(1))
    assert [len(again.dialogues_of(split)) for split in ("train", "validation", "test")] == [84, 18, 18]


def test_the_conversation_is_inside_its_recording() -> None:
    folder = EXAMPLE_FOLDER / "conversation"
    (conversation,) = read_conversations(folder / "conversation.csv")
    assert [(turn.speaker, turn.label, turn.text) for turn in conversation.utterances] == list(EXAMPLE)
    assert all(turn.clip is not None for turn in conversation.utterances)
    check_inside([turn.clip for turn in conversation.utterances], [turn.where for turn in conversation.utterances])
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_000_000
    taught = {text for texts in SENTENCES.values() for text in texts} | set(AMBIGUOUS)
    assert not taught & {text for _, _, text in EXAMPLE} and len(OPENINGS) > 1


@pytest.mark.slow
def test_the_commands_of_the_readme(tmp_path: Path) -> None:
    pytest.importorskip("opensmile")
    model, said, page = tmp_path / "model", tmp_path / "talk.jsonl", tmp_path / "talk.html"
    corpus, talk = EXAMPLE_FOLDER / "spoken.npz", EXAMPLE_FOLDER / "conversation" / "conversation.csv"
    assert main(["train", "--corpus", str(corpus), "--seeds", "1", "--out", str(model)]) == 0
    assert main(["predict", str(talk), "--model", str(model), "--out", str(said)]) == 0
    records = [json.loads(line) for line in said.read_text(encoding="utf-8").splitlines()]
    assert sum(record["emotion"] == record["label"] for record in records) >= 9
    assert main(["view", str(said), "--out", str(page)]) == 0
    assert "I miss how it was last summer." in page.read_text(encoding="utf-8")
