"""How one measures: epochs, sessions, scenes, calibration, noise, missing modalities, readings; and bad input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import f1_score

from experiments.ambiguities import Readings, list_readings
from experiments.ambiguities import main as readings
from experiments.baselines import MODELS
from experiments.cross_validate import Choose
from experiments.cross_validate import main as choose
from experiments.paper.calibration_study import predict_seeds
from experiments.paper.cross_validation import assign_folds, choose_strength, find_best
from experiments.paper.study import Trained, name_folder
from experiments.paper.variants import FULL
from experiments.protocol import Protocol
from experiments.protocol import main as protocol
from experiments.tables import Tables
from experiments.tables import main as tables
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import save_corpus
from tests.testing.corpora import TINY, compile_quickly, make_corpus
from tests.testing.tiny_study import LENGTHS, NAMES, SETTINGS, SPLITS


def test_epochs_chosen_by_either_split(run_study: Callable[..., dict[str, Any]], study_folder: Path) -> None:
    found = run_study(Protocol, protocol, "protocol_selection", "--part", "selection")["parts"]["iemocap"]["chosen"]
    curves = {}
    for source in ("official", "swapped"):
        results = study_folder / "runs" / "quick" / f"iemocap_{source}" / "full" / "results.json"
        network = json.loads(results.read_text(encoding="utf-8"))["networks"]["full"]
        (seed,) = network["seeds"]
        curves[source] = seed["curves"]["validation_waf1"]
        if source == "official":
            assert found["last epoch"] == [pytest.approx(seed["test"]["waf1"])]  # The very same training.
    assert found["best epoch on the test split"] == [max(curves["swapped"])]
    assert found["best epoch on the validation split"] == [curves["swapped"][int(np.argmax(curves["official"]))]]


def test_scenes_are_parts_of_the_test_split(run_study: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run_study(Protocol, protocol, "protocol_scenes", "--part", "scenes")["parts"]["iemocap"]["scenes"]
    scripted = np.repeat(["script" in name for name in NAMES], LENGTHS)[full.utterances]
    for name, kept in (("scripted", scripted), ("improvised", ~scripted)):
        expected = f1_score(full.labels[kept], full.predicted[0][kept], average="weighted")
        assert found[name] == {"utterances": kept.sum(), "waf1": [pytest.approx(expected)]}


def test_calibration_by_hand(run_study: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run_study(Protocol, protocol, "protocol_calibration", "--part", "calibration")["parts"]["iemocap"]
    confidence, right = full.probabilities[0].max(-1), full.predicted[0] == full.labels
    gaps = [one["utterances"] * abs(one["confidence"] - one["accuracy"]) for one in found["reliability"]]
    assert sum(one["utterances"] for one in found["reliability"]) == len(full.labels)
    assert sum(gaps) / len(full.labels) == pytest.approx(found["ece"][0], abs=1e-5)
    assert found["ece"] == full.scores("ece") and found["accuracy"][-1] == [pytest.approx(right.mean())]
    surest = np.argsort(-confidence)[: round(0.5 * len(right))]
    assert found["accuracy"][4] == [pytest.approx(right[surest].mean())]


def test_one_temperature_by_hand(run_study: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run_study(Protocol, protocol, "protocol_calibration", "--part", "calibration")["parts"]["iemocap"]
    (temperature,) = found["scaled"]["temperature"]
    held_out = np.log(predict_seeds(full, "validation")[0].astype(np.float64))
    labels = full.corpus.labels[full.corpus.utterances_of("validation")]
    grid = np.geomspace(0.01, 100, 2001)
    best = int(np.argmin([measure_nll(held_out, labels, one) for one in grid]))
    assert grid[best - 1] < temperature < grid[best + 1] and abs(temperature - 1) > 1e-3
    said = np.log(full.probabilities[0])
    assert found["nll"] == full.scores("nll") == [pytest.approx(measure_nll(said, full.labels, 1.0), rel=1e-4)]
    assert found["scaled"]["nll"] == [pytest.approx(measure_nll(said, full.labels, temperature), rel=1e-3)]
    scaled = softmax(said / temperature, axis=-1)
    confidence, right = scaled.max(-1), full.predicted[0] == full.labels
    bins = (confidence * 15).astype(int)
    gaps = [abs((confidence - right)[bins == place].sum()) for place in np.unique(bins)]
    assert found["scaled"]["ece"] == [pytest.approx(sum(gaps) / len(right), abs=1e-4)]
    cells = found["rows"][0][:5]
    assert cells[1] == f"{100 * found['scaled']['ece'][0]:.1f}" and cells[3] == f"{found['scaled']['nll'][0]:.2f}"


def measure_nll(scores: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean negative log-likelihood of the labels by softmax(scores / temperature)."""
    return -float(np.log(softmax(scores / temperature, axis=-1)[np.arange(len(labels)), labels]).mean())


def test_noise_on_a_modality(run_study: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run_study(Protocol, protocol, "protocol_noise", "--part", "noise")["parts"]["iemocap"]["modalities"]
    assert list(found) == ["audio", "text"]
    for place, modality in enumerate(found):
        assert found[modality]["waf1"][0] == [pytest.approx(full.scores("waf1")[0])]
        assert found[modality]["weight"][0] == [pytest.approx(full.weights[0, :, place].mean(), abs=1e-5)]
        assert found[modality]["weight"][-1] != found[modality]["weight"][0]


def test_missing_modalities(run_study: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run_study(Protocol, protocol, "protocol_missing", "--part", "missing")["parts"]["iemocap"]["networks"]
    assert list(found) == ["full", "full, train.modality_dropout=0.3"]
    assert found["full"]["everything"] == [pytest.approx(full.scores("waf1")[0])]
    assert list(found["full"]) == ["everything", "without audio", "without text", "30 % lack one"]
    assert len({scores[0] for of_network in found.values() for scores in of_network.values()}) > 2


@pytest.mark.slow
def test_sessions_left_out(run_study: Callable[..., dict[str, Any]], study_folder: Path) -> None:
    found = run_study(Protocol, protocol, "protocol_sessions", "--part", "sessions")["parts"]["iemocap"]["networks"]
    assert list(found) == ["full", "recurrence and classifier", *MODELS]
    assert all(list(scores) == ["Ses01", "Ses02", "Ses03", "Ses04", "Ses05"] for scores in found.values())
    with np.load(study_folder / "runs" / "quick" / "corpora" / "iemocap_ses02.npz") as arrays:
        split, labels = arrays["split_names"][arrays["split"]], arrays["label"]
    np.testing.assert_array_equal(split == "test", np.repeat([name.startswith("Ses02") for name in NAMES], LENGTHS))
    # Who always says the most common emotion of the training split has no other emotion's F1.
    right = labels[split == "test"] == np.bincount(labels[split == "train"]).argmax()
    assert found["majority"]["Ses02"] == [pytest.approx(right.mean() * 2 * right.mean() / (1 + right.mean()))]


def test_refit_trains_on_the_validation_split(run_study: Callable[..., dict[str, Any]], study_folder: Path) -> None:
    found = run_study(Protocol, protocol, "protocol_refit", "--part", "refit")["parts"]["iemocap"]["networks"]
    assert list(found) == ["full, training split alone", "full", *MODELS]
    results = json.loads((study_folder / "runs/quick/iemocap_refit/full/results.json").read_text(encoding="utf-8"))
    counts = {split: SPLITS.count(split) for split in ("train", "validation", "test")}
    assert results["corpus"]["splits"] == {
        "train": {"dialogues": counts["train"] + counts["validation"] - 1, "utterances": ANY},
        "validation": {"dialogues": 1, "utterances": ANY},
        "test": {"dialogues": counts["test"], "utterances": ANY},
    }


@pytest.mark.slow
def test_settings_are_compared_without_the_test_split(
    run_study: Callable[..., dict[str, Any]], study_folder: Path
) -> None:
    attempts = ["train.learning_rate=0.01", "model.dropout=0.1 loss.lambda_alignment=0"]
    options = [part for attempt in attempts for part in ("--attempt", attempt)]
    found = run_study(Choose, choose, "choice", *options)["parts"]["iemocap"]
    assert list(found["attempts"]) == [FULL, *attempts]
    assert all(len(of_attempt["last"]) == 4 for of_attempt in found["attempts"].values())
    for fold, session in enumerate(("Ses01", "Ses02", "Ses03", "Ses04")):
        with np.load(study_folder / "runs" / "quick" / "corpora" / f"iemocap_fold_{fold}.npz") as arrays:
            names, splits = arrays["dialogue_names"], arrays["split_names"][arrays["split"]][arrays["offsets"][:-1]]
        assert [name for name, split in zip(names, splits, strict=True) if split == "validation"] == [
            name for name in NAMES if name.startswith(session)
        ]
        assert set(names) == set(NAMES[:5])  # No test dialogue.


def test_what_is_within_one_standard_error_of_the_best_is_named() -> None:
    folds = np.array([0.90, 0.94, 0.92, 0.96])  # Mean 0.93, deviation 0.0258, standard error 0.0129.
    scores = {"simple": folds - 0.012, "simplest": folds - 0.014, "best": folds}
    assert find_best(scores) == ["simple", "best"]
    assert find_best({"one": np.array([0.5]), "two": np.array([0.6])}) == ["two"]


def test_the_simplest_strength_of_those_as_good_as_the_best() -> None:
    corpus = make_corpus((10,) * 8, ["train"] * 8)
    wrong = {0.1: (0, 2, 0, 1), 0.2: (0, 0, 0.5, 1), 0.3: (0, 0, 0, 1)}  # Wrong tenths of each two dialogues left out.

    def predict(train: np.ndarray, rows: np.ndarray, strength: float) -> np.ndarray:
        left_out = np.setdiff1d(np.arange(4), assign_folds(corpus)[corpus.dialogue_of_utterance[train]])[0]
        count = int(2 * wrong[strength][left_out])
        said: np.ndarray = corpus.labels[rows].copy()
        said[:count] = (said[:count] + 1) % corpus.num_classes
        return said

    assert [choose_strength(corpus, predict, tuple(wrong), simplest)[0] for simplest in (False, True)] == [0.3, 0.2]


@pytest.mark.slow
def test_readings(run_study: Callable[..., dict[str, Any]]) -> None:
    found = run_study(Readings, readings, "readings")["parts"]["iemocap"]["networks"]
    assert list(found) == [*list_readings(), FULL]
    assert any(found[name]["waf1"] != found[FULL]["waf1"] for name in found)


def test_networks_have_folders_of_their_own() -> None:
    assert name_folder("w/o UW") == "w-o-uw" and name_folder("IA+PA") == "ia-pa"
    long = [name_folder("model.dropout=0.1 " * 20 + end) for end in ("a", "b")]
    assert len(set(long)) == 2 and max(map(len, long)) < 120


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "1", "--only", "meld"], "--only meld: there is no meld in it, only iemocap"),
        (["--table", "1", "--seeds", "0"], "--seeds must be at least 1"),
        (["--table", "3", "--set", "data.features=text_small"], "the array sentiment is missing"),
        (["--table", "2", "--set", "model.nothing=1"], "model.nothing"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], message: str, study_corpora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus: Corpus = make_corpus(LENGTHS, SPLITS, num_classes=2)
    for name in ("iemocap", "meld", "mosi"):
        save_corpus(corpus, tmp_path / f"{name}.npz")
    given = ["--corpora", str(tmp_path), "--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    settings = [part for setting in TINY for part in ("--set", setting)]
    with compile_quickly():
        assert run_script("x", Tables, tables, [*given, "--quick", *settings, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_networks_of_other_settings_are_not_taken(
    full: Trained, study_places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [part for setting in (*SETTINGS, "model.dropout=0.1") for part in ("--set", setting)]
    assert run_script("x", Tables, tables, [*study_places, "--quick", "--table", "1", *settings]) == 2
    assert "model.dropout was 0.5 and is 0.1" in capsys.readouterr().err
