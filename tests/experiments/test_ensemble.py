"""Seeds together and mixed with a model of words: by hand, on the tiny study, and without the test split."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import f1_score

from experiments.baselines import train_models
from experiments.cross_validate import derive_folds
from experiments.ensemble import Ensemble, Said, choose_weight, mix, predict_by_words, score
from experiments.ensemble import main as ensemble
from experiments.paper.calibration_study import predict_seeds
from experiments.paper.cross_validation import split_training
from experiments.paper.study import Study, StudyOptions, Trained
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus_file import save_corpus
from macsgr_jax.errors import InputError
from tests.testing.corpora import make_corpus
from tests.testing.tiny_study import LENGTHS, NAMES, SETTINGS, SPLITS


def draw(seed: int, seeds: int = 3, utterances: int = 40, sharpness: float = 1.0) -> Said:
    """Networks and words that each know a part of the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, utterances)
    gold = 1.5 * np.eye(3)[labels]
    networks = softmax(sharpness * (gold + random.normal(size=(seeds, utterances, 3))), axis=-1)
    return Said(networks, softmax(gold + random.normal(size=gold.shape), axis=-1), labels)


def weigh(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """WAF1 by scikit-learn."""
    return float(f1_score(labels, probabilities.argmax(axis=-1), average="weighted"))


def test_every_way_to_combine_by_hand() -> None:
    said = draw(0)
    found = score(said, 0.3, 3)
    together = sum(said.networks) / 3
    expected = {
        "network": list(said.networks),
        "ensemble": [together],
        "words": [said.words],
        "network + words": [0.7 * one + 0.3 * said.words for one in said.networks],
        "ensemble + words": [0.7 * together + 0.3 * said.words],
    }
    assert list(found) == list(expected)
    for name, probabilities in expected.items():
        assert found[name]["waf1"] == pytest.approx([weigh(one, said.labels) for one in probabilities])
        assert found[name]["waa"] == [np.mean(one.argmax(-1) == said.labels) for one in probabilities]
    assert len({scores["waf1"][0] for scores in found.values()}) > 3


def test_the_weight_is_the_best_over_parts_and_seeds() -> None:
    parts = [draw(1, sharpness=4.0), draw(2, utterances=25), draw(3)]
    reached = {
        weight: np.mean(
            [np.mean([weigh((1 - weight) * p + weight * s.words, s.labels) for p in s.networks]) for s in parts]
        )
        for weight in (tenth / 10 for tenth in range(11))
    }
    chosen = choose_weight(parts, 3)
    assert 0 < chosen < 1 and reached[chosen] == max(reached.values())
    assert all(value < reached[chosen] for weight, value in reached.items() if weight < chosen)


def test_what_helps_nothing_weighs_nothing() -> None:
    said = draw(4)
    right, wrong = np.eye(3)[said.labels], np.eye(3)[(said.labels + 1) % 3]
    assert choose_weight([Said(right[None], wrong, said.labels)], 3) == 0.0
    assert choose_weight([Said(right[None], right, said.labels)], 3) == 0.0
    assert choose_weight([Said(wrong[None], right, said.labels)], 3) == 0.6  # From there on it outvotes the network.
    np.testing.assert_array_equal(mix(right, wrong, 0.0), right)
    np.testing.assert_array_equal(mix(right, wrong, 1.0), wrong)


def test_checkpoints_say_what_the_predictions_say(full: Trained) -> None:
    np.testing.assert_allclose(predict_seeds(full, "test"), full.probabilities, atol=1e-6)
    held_out = predict_seeds(full, "validation")
    labels = full.corpus.labels[full.corpus.utterances_of("validation")]
    assert held_out.shape == (1, LENGTHS[4], 3)
    assert weigh(held_out[0], labels) == pytest.approx(full.network["seeds"][0]["validation"]["waf1"])


def test_probabilities_of_words_are_those_of_the_simple_model(full: Trained) -> None:
    features = ("audio_small", "text_small")
    found = predict_by_words(full.corpus, features, "test", quick=True)
    outcome = dict(train_models(full.corpus, features, quick=True))["SVM, words in context"]
    np.testing.assert_array_equal(found.argmax(axis=-1), outcome.predicted)
    np.testing.assert_allclose(found.sum(axis=-1), 1)
    assert found.min() > 0 and found.std(axis=0).min() > 0
    left_out = np.concatenate([rows for _, rows in split_training(full.corpus)])
    np.testing.assert_array_equal(np.sort(left_out), full.corpus.utterances_of("train"))
    for train, rows in split_training(full.corpus):
        sessions = [{NAMES[full.corpus.dialogue_of_utterance[row]][:5] for row in some} for some in (train, rows)]
        assert len(sessions[0]) == 3 and len(sessions[1]) == 1 and not sessions[0] & sessions[1]


def test_no_test_dialogue_is_in_what_chooses(study_corpora: Path, tmp_path: Path) -> None:
    study = Study(StudyOptions(study_corpora, tmp_path / "runs", tmp_path / "results", quick=True, set=SETTINGS))
    folds = derive_folds(study, "iemocap")
    assert folds == {place: f"iemocap_fold_{place}" for place in range(4)}
    for place, name in folds.items():
        corpus = study.corpus(name)
        assert corpus.dialogue_names == NAMES[:5]
        assert [corpus.dialogue_names[d] for d in corpus.dialogues_of("validation")] == [NAMES[place]]
        assert list(corpus.dialogues_of("test")) == [4]  # The official validation dialogue.
    assert (tmp_path / "runs" / "quick" / "corpora" / "iemocap_fold_0.npz").is_file()


@pytest.mark.slow
def test_from_folds_to_the_table(run_study: Callable[..., dict[str, Any]], full: Trained, study_folder: Path) -> None:
    numbers = run_study(Ensemble, ensemble, "ensemble")
    part = numbers["parts"]["iemocap"]
    found = part["models"]
    assert numbers["schema"] == "macsgr_jax.ensemble/1" and part["fold_seeds"] == 1
    assert found["network"]["waf1"] == found["ensemble"]["waf1"] == [pytest.approx(full.scores("waf1")[0])]
    assert found["network"]["waa"] == [pytest.approx(full.scores("waa")[0])]
    for place in range(4):
        results = study_folder / "runs" / "quick" / f"iemocap_fold_{place}" / "full" / "results.json"
        (seed,) = json.loads(results.read_text(encoding="utf-8"))["networks"]["full"]["seeds"]
        assert found["network"]["left_out"][place] == [pytest.approx(seed["validation"]["waf1"])]
    words = predict_by_words(full.corpus, ("audio_small", "text_small"), "test", quick=True)
    assert found["words"]["waf1"] == [pytest.approx(weigh(words, full.labels))]
    mixed = mix(full.probabilities[0], words, part["weight"])
    assert found["ensemble + words"]["waf1"] == [pytest.approx(weigh(mixed, full.labels))]
    best = np.mean(found["network + words"]["left_out"])
    assert best >= max(np.mean(found[name]["left_out"]) for name in ("network", "words"))
    text = (study_folder / "results" / "ensemble.md").read_text(encoding="utf-8")
    assert f"Chosen with 1 seed for each part left out: iemocap w = {part['weight']:.1f}." in text
    assert f"| ensemble + words, w = {part['weight']:.1f} | {100 * best:.1f} |" in text
    assert "| WAF1, sessions left out | WAF1, test | WAA, test | WAF1, test, refit | WAA, test, refit |" in text
    split = np.where(full.corpus.split == 1, 0, full.corpus.split)
    refit = predict_by_words(dataclasses.replace(full.corpus, split=split), ("audio_small", "text_small"), "test", True)
    assert found["words"]["refit"]["waf1"] == [pytest.approx(weigh(refit, full.labels))]
    results = json.loads((study_folder / "runs/quick/iemocap_refit/full/results.json").read_text(encoding="utf-8"))
    (seed,) = results["networks"]["full"]["seeds"]
    assert found["network"]["refit"]["waf1"] == [pytest.approx(seed["test"]["waf1"])]


def test_too_few_dialogues_to_leave_any_out(tmp_path: Path) -> None:
    save_corpus(make_corpus((3,) * 6, ["train"] * 5 + ["test"]), tmp_path / "mosi.npz")
    study = Study(StudyOptions(tmp_path, tmp_path / "runs", tmp_path / "results", set=SETTINGS))
    with pytest.raises(InputError, match=r"mosi\.npz: part \d of the training dialogues is a single one"):
        derive_folds(study, "mosi")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--fold-seeds", "0"], "--fold-seeds must be at least 1"), ([], "iemocap.npz: the array text is missing")],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_corpus(make_corpus(LENGTHS, SPLITS), tmp_path / "iemocap.npz")
    places = ["--corpora", str(tmp_path), "--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert run_script("x", Ensemble, ensemble, [*places, "--only", "iemocap", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists() and not (tmp_path / "results").exists()
