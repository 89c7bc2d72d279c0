"""Predictions in Python are those of the command, typed; so are their scores, and a conversation line by line."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax import load_predictor
from macsgr_jax.cli.main import main
from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.dialogue import Utterance
from macsgr_jax.errors import InputError
from macsgr_jax.inference.records import PredictionRecord
from macsgr_jax.runs.predictor import EmotionPredictor
from macsgr_jax.viewer.predictions import read_predictions
from tests.testing.corpora import compile_quickly
from tests.testing.random_model import write_random_model

pytest.importorskip("sklearn")
pytest.importorskip("safetensors")
SAID = [
    {"speaker": "Ann", "text": "nobody came", "label": "GLAD"},
    {"speaker": "Bob", "text": "the letter came again", "label": "sad"},
    {"speaker": "Ann", "text": "", "label": ""},
    {"speaker": "Bob", "text": "rain", "label": "sad"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny causal networks of words."""
    return write_random_model(tmp_path_factory.mktemp("words") / "tiny")


@pytest.fixture(scope="module")
def predictor(model: Path) -> EmotionPredictor:
    return load_predictor(model, context=16, samples=2)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "conversation.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in SAID), encoding="utf-8")
    return path


def test_the_numbers_are_those_of_the_command(
    model: Path, predictor: EmotionPredictor, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a file and from a list; as JSON Lines, as a document with the scores, and as a page."""
    arguments = ["predict", str(talk), "--model", str(model), "--context", "16", "--samples", "2", "--out"]
    with compile_quickly():
        from_file, from_list = predictor.predict(talk), predictor.predict(SAID)
        for name in ("said.jsonl", "said.json", "said.html"):
            assert main([*arguments, str(tmp_path / name)]) == 0
    lines = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text(encoding="utf-8").splitlines()]
    assert from_file.to_dicts() == lines and from_list.to_dicts() == lines
    document = json.loads((tmp_path / "said.json").read_text(encoding="utf-8"))
    assert document["utterances"] == lines and document["scores"] == from_file.scores
    assert document["format"] == "macsgr_jax.predictions/1" and document["model"] == "tiny"
    assert document["notices"] == list(from_file.notices)
    assert read_predictions(tmp_path / "said.json")["conversation"] == list(from_file)
    data = (tmp_path / "said.html").read_text(encoding="utf-8")
    assert '"scores":{"waa":' in data
    printed = capsys.readouterr().out
    assert f"3 labelled: WAF1 {100 * document['scores']['waf1']:.1f} %" in printed


def test_records_are_typed(predictor: EmotionPredictor) -> None:
    with compile_quickly():
        predictions = predictor.predict(SAID)
    assert len(predictions) == 4 and predictions[1:3] == predictions.records[1:3]
    first = predictions[0]
    assert isinstance(first, PredictionRecord) and first.label == "glad" and predictions[2].label is None
    assert first.emotion == max(first.probabilities, key=lambda name: first.probabilities[name])
    assert predictions[3].edges[0].utterance == "001" and predictions[3].edges[0].relation == "same speaker, past"
    assert predictions[3].influences[0].relation is not None
    assert set(first.probabilities) == set(predictor.label_names)


def test_scores_count_labelled_utterances(predictor: EmotionPredictor) -> None:
    with compile_quickly():
        predictions = predictor.predict(SAID)
        assert predictor.predict(["rain", "nobody came"]).scores is None
    scores = predictions.scores
    assert scores is not None and scores["utterances"] == 3
    expected = np.zeros((3, 3), int)
    for record in predictions:
        if record.label is not None:
            expected[predictor.label_names.index(record.label), predictor.label_names.index(record.emotion)] += 1
    assert scores["confusion"] == expected.tolist() and scores["labels"] == list(predictor.label_names)
    assert scores["waa"] == pytest.approx(np.trace(expected) / 3)


def test_lists_of_any_kind_of_utterance(predictor: EmotionPredictor, tmp_path: Path) -> None:
    """Texts, mappings under the names of the field, typed utterances, and several conversations."""
    typed = [Utterance("000", "Ann", "nobody came"), Utterance("001", "Bob", "rain")]
    named = [{"Speaker": "Ann", "Utterance": "nobody came"}, {"Speaker": "Bob", "Utterance": "rain"}]
    with compile_quickly():
        assert predictor.predict(typed).to_dicts() == predictor.predict(named).to_dicts()
        texts = predictor.predict(["nobody came", "rain"])
        several = predictor.predict([{**one, "dialogue": str(n // 2)} for n, one in enumerate(SAID)], name="call")
    assert [one.speaker for one in texts] == ["unknown", "unknown"] and "without a speaker" in texts.notices[0]
    assert [one.conversation for one in several] == ["call_0", "call_0", "call_1", "call_1"]


def test_a_conversation_line_by_line(predictor: EmotionPredictor) -> None:
    with compile_quickly():
        whole = predictor.predict(SAID)
        stream = predictor.stream()
        one_by_one = [stream.update(one) for one in SAID[:2]]
        with pytest.raises(InputError, match="utterance 3: its text is true"):
            stream.update({"text": True})
        one_by_one += [stream.update(one) for one in SAID[2:]]
    for found, expected in zip(one_by_one, whole, strict=True):
        assert (found.utterance, found.emotion, found.label) == (expected.utterance, expected.emotion, expected.label)
        np.testing.assert_allclose(list(found.probabilities.values()), list(expected.probabilities.values()), atol=1e-5)
    assert any("without text and audio" in notice for notice in stream.notices)


def test_a_table_of_pandas(predictor: EmotionPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    with compile_quickly():
        predictions = predictor.predict(SAID)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"macsgr-jax\[pandas\]"):
        predictions.to_pandas()
    monkeypatch.undo()
    pytest.importorskip("pandas")
    table = predictions.to_pandas()
    assert table["emotion"].tolist() == [one.emotion for one in predictions]
    assert table["p_glad"].tolist() == [one.probabilities["glad"] for one in predictions]
    assert table["text"].isna().tolist() == [False, False, True, False] and table["available_text"].dtype == bool


def test_what_cannot_be_predicted(predictor: EmotionPredictor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an empty conversation"):
        predictor.predict([])
    with pytest.raises(InputError, match="utterance 0 is of type int: give a mapping"):
        predictor.predict([3])  # type: ignore[list-item]
    with pytest.raises(InputError, match="does not exist"):
        predictor.predict(["rain"], recording=tmp_path / "gone.wav")
    with pytest.raises(InputError, match="give a part of a recording by start and end"):
        predictor.predict([Utterance("0", "Ann", clip=Clip(tmp_path / "a.wav", 1.0, 2.0))])
    with pytest.raises(InputError, match="there is no model nowhere"):
        load_predictor("nowhere")
    ahead = dataclasses.replace(predictor.model.config.model, causal=False)
    other = predictor.model._replace(config=dataclasses.replace(predictor.model.config, model=ahead))
    with pytest.raises(InputError, match="looks ahead"):
        EmotionPredictor(other).stream()
