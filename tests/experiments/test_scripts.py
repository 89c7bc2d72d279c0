"""The scripts of the paper's tables and figures, each in its quick form on tiny corpora named as the real ones.

The tests that train networks are in this one file, so that one process trains each network once.
"""

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import f1_score

from experiments.ambiguities import Ambiguities, list_ambiguities
from experiments.ambiguities import main as ambiguities
from experiments.baselines import Baselines
from experiments.baselines import main as baselines
from experiments.cross_validate import CrossValidate
from experiments.cross_validate import main as cross_validate
from experiments.ensemble import Ensemble
from experiments.ensemble import main as ensemble
from experiments.figures import Figures
from experiments.figures import main as figures
from experiments.paper import default_preset
from experiments.paper.artifact import render_markdown
from experiments.paper.ensembles import interpolate, predict_by_tfidf
from experiments.paper.feature_study import PAPER_FEATURES, compare_left_out
from experiments.paper.simple_models import MODELS
from experiments.paper.study import NetworkCache, StudyOptions, TrainedNetwork, name_folder
from experiments.paper.untuned_corpus import score_untuned
from experiments.paper.variants import ABLATIONS, FULL, list_alignments
from experiments.protocol import Protocol
from experiments.protocol import main as protocol
from experiments.robustness import Robustness, robust_settings
from experiments.robustness import main as robustness
from experiments.tables import TABLES, Tables
from experiments.tables import main as tables
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus import UNLABELLED, Corpus
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.overrides import override
from macsgr_jax.presets import DEFAULT, PRESETS
from tests.testing.corpora import TINY, compile_quickly, make_corpus
from tests.testing.ten_seeds import watch_compilations
from tests.testing.tiny_study import LENGTHS, NAMES, SETTINGS, SPLITS

RunStudy = Callable[..., dict[str, Any]]


def read_network(study_folder: Path, corpus: str, folder: str = "full") -> dict[str, Any]:
    """Reads the part of a network in the results file of a run."""
    path = study_folder / "runs" / "quick" / corpus / folder / "results.json"
    network: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["networks"]["full"]
    return network


def weighted_f1(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Computes WAF1 by scikit-learn."""
    return float(f1_score(labels, probabilities.argmax(axis=-1), average="weighted"))


def test_trained_network(full: TrainedNetwork) -> None:
    """A trained network predicts what its files say."""
    assert full.probabilities.shape == (1, len(full.utterances), 3) == (1, 19, 3)
    np.testing.assert_allclose(full.probabilities.sum(-1), 1, atol=1e-5)
    assert full.scores("waf1")[0] == pytest.approx(f1_score(full.labels, full.predicted[0], average="weighted"))
    np.testing.assert_array_equal(np.bincount(full.dialogue), LENGTHS[-3:])
    np.testing.assert_array_equal(full.predicted, full.probabilities.argmax(axis=-1))


def test_probabilities_without_checkpoints(full: TrainedNetwork, tmp_path: Path) -> None:
    """The probabilities have all digits of the checkpoints; a folder without checkpoints has those of its text."""
    text = (full.folder / "predictions.csv").read_text(encoding="utf-8")
    (tmp_path / "predictions.csv").write_text(text, encoding="utf-8")
    copy = TrainedNetwork(corpus=full.corpus, folder=tmp_path, results=full.results)
    np.testing.assert_allclose(copy.probabilities, full.probabilities, atol=1e-6)
    np.testing.assert_array_equal(copy.predicted, full.predicted)
    assert np.any(full.probabilities != full.probabilities.round(6))


def test_predictions_of_the_validation_split(full: TrainedNetwork) -> None:
    """The checkpoints predict the validation split as the training evaluated it."""
    held_out = full.predict("validation")
    labels = full.corpus.labels[full.corpus.utterances_of("validation")]
    assert held_out.shape == (1, LENGTHS[4], 3)
    assert weighted_f1(held_out[0], labels) == pytest.approx(full.network["seeds"][0]["validation"]["waf1"])


def test_emotions(run_study: RunStudy, full: TrainedNetwork, study_folder: Path) -> None:
    """Table I has the scores of the results file, and its text is that of its numbers."""
    artifact = run_study(Tables, tables, "table_1", "--table", "1")
    classes = full.network["seeds"][0]["test"]["classes"]
    emotions = artifact["parts"]["iemocap"]["emotions"]
    assert {name: values["f1"] for name, values in emotions.items()} == {n: [v["f1"]] for n, v in classes.items()}
    made = artifact["made"]["iemocap"]
    assert made["seeds"] == 1 and made["corpus"]["sha256"] == full.corpus.sha256
    text = (study_folder / "results" / "table_1.md").read_text(encoding="utf-8")
    assert text == render_markdown(artifact) and TABLES[1].remarks[0] in text
    waf1 = 100 * full.scores("waf1")[0]
    assert f"| WAA, WAF1 | {100 * full.scores('waa')[0]:.1f} | {waf1:.1f} | 72.4 | 71.6 |" in text
    assert "over 1 seed; 20" in text and str(study_folder) not in json.dumps(made["corpus"])


def test_meld_has_no_reported_accuracy(run_study: RunStudy) -> None:
    """Table II has the F1 scores of the paper, which reports no accuracies."""
    part = run_study(Tables, tables, "table_2", "--table", "2", only="meld")["parts"]["meld"]
    assert part["rows"][-2][-1] == "62.3" and len(part["emotions"]) == 3


def test_sentiment_conventions(run_study: RunStudy, study_corpora: Path) -> None:
    """Table III has the utterances without a sentiment in one of its two conventions."""
    conventions = run_study(Tables, tables, "table_3", "--table", "3", only="mosi")["parts"]["mosi"]["conventions"]
    with np.load(study_corpora / "mosi.npz") as arrays:
        sentiment = arrays["sentiment"][-sum(LENGTHS[-3:]) :]
    assert conventions["Has0"]["utterances"] == 19
    assert conventions["Non0"]["utterances"] == np.count_nonzero(sentiment) < 19
    assert all(0 <= scores[score][0] <= 1 for scores in conventions.values() for score in ("waa", "waf1"))


@pytest.mark.slow
def test_ablations(run_study: RunStudy, full: TrainedNetwork, study_folder: Path) -> None:
    """Table IV tests each ablation against the full network."""
    networks = run_study(Tables, tables, "table_4", "--table", "4")["parts"]["iemocap"]["networks"]
    assert list(networks) == [*ABLATIONS, FULL]
    for name in ABLATIONS:
        network = read_network(study_folder, "iemocap", name_folder(name))
        (setting,) = ABLATIONS[name]
        assert network["config"]["model"][setting.split(".")[1].split("=")[0]] is False
        waf1 = network["seeds"][0]["test"]["waf1"]
        assert networks[name]["waf1"] == [waf1]
        test = networks[name]["against_full"]
        assert test["difference"] == pytest.approx(full.scores("waf1")[0] - waf1, abs=1e-6)
        assert test["low"] <= test["high"] and test["seeds_p"] is None and 0 < test["dialogues_p"] <= 1


@pytest.mark.slow
def test_modalities(run_study: RunStudy, study_folder: Path) -> None:
    """Table V trains each modality alone."""
    networks = run_study(Tables, tables, "table_5", "--table", "5")["parts"]["iemocap"]["networks"]
    assert list(networks) == ["text", "audio", FULL]
    assert read_network(study_folder, "iemocap", "text")["features"] == {"text": ["text_small"]}


def test_nothing_is_trained_twice(run_study: RunStudy, full: TrainedNetwork) -> None:
    """A network in the folder is read: nothing is compiled for it, and its files stay as they are."""
    before = {path: path.stat().st_mtime_ns for path in full.folder.rglob("*") if path.is_file()}
    with watch_compilations() as compiled:
        run_study(Tables, tables, "table_1", "--table", "1")
    assert compiled == []
    assert before == {path: path.stat().st_mtime_ns for path in full.folder.rglob("*") if path.is_file()} != {}


def test_confusion(run_study: RunStudy, full: TrainedNetwork, study_folder: Path) -> None:
    """Fig. 4 has the confusion of the results file."""
    part = run_study(Figures, figures, "figure_4", "--figure", "4")["parts"]["iemocap"]
    assert part["confusion"] == full.network["seeds"][0]["test"]["confusion"]
    assert (study_folder / "results" / "figure_4.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_alignments(run_study: RunStudy, study_folder: Path) -> None:
    """Fig. 5 has every combination of the alignments, each tested against all of them."""
    part = run_study(Figures, figures, "figure_5", "--figure", "5")["parts"]["iemocap"]
    assert set(part["networks"]) == {"none", "IA", "PA", "LSA", "IA+PA", "IA+LSA", "PA+LSA", FULL}
    assert set(part["against_full"]) == set(part["networks"]) - {FULL}
    on = read_network(study_folder, "iemocap", "ia-lsa")["config"]["loss"]
    assert (on["instance_alignment"], on["prototype_alignment"], on["latent_alignment"]) == (True, False, True)
    assert list_alignments()[FULL] == ()


@pytest.mark.slow
def test_fusion_by_emotion(run_study: RunStudy, full: TrainedNetwork) -> None:
    """Fig. 6 has F1 by emotion, and WAF1."""
    networks = run_study(Figures, figures, "figure_6", "--figure", "6")["parts"]["iemocap"]["networks"]
    assert list(networks) == ["w/o UW", "w/o CMI", FULL]
    assert list(networks[FULL]) == [*full.corpus.label_names, "WAF1"]
    assert networks[FULL]["WAF1"] == full.scores("waf1")


@pytest.mark.slow
def test_nodes(run_study: RunStudy, full: TrainedNetwork, study_folder: Path) -> None:
    """Fig. 7 measures the nodes of each stage; the dots stay in the picture, which has one colour per emotion."""
    part = run_study(Figures, figures, "figure_7", "--figure", "7")["parts"]["iemocap"]
    assert set(part) == {"labels", "stages", "chance_purity"}
    assert list(part["stages"]) == ["before refinement", "w/o SyE", "w/o SeE", "full"]
    for scores in part["stages"].values():
        assert all(-1 <= value <= 1 for value in scores["silhouette"]) and all(0 <= p <= 1 for p in scores["purity"])
    assert part["stages"]["before refinement"] != part["stages"]["full"]
    fractions = np.bincount(full.labels) / len(full.labels)
    assert part["chance_purity"] == pytest.approx((fractions**2).sum())
    assert (study_folder / "results" / "figure_7.png").stat().st_size > 10_000


@pytest.mark.slow
def test_lambdas(run_study: RunStudy, full: TrainedNetwork) -> None:
    """Fig. 8 has nine values of lambda; that of the preset is the full network."""
    part = run_study(Figures, figures, "figure_8", "--figure", "8")["parts"]["iemocap"]
    assert part["lambdas"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert part["waf1"][5] == full.scores("waf1")  # The default lambda is 0.6.


def test_simple_models_and_the_network(run_study: RunStudy, full: TrainedNetwork, study_folder: Path) -> None:
    """The baselines stand in one table with the network, which is compared with each."""
    models = run_study(Baselines, baselines, "baselines")["parts"]["iemocap"]["models"]
    assert list(models) == [*MODELS, "recurrence and classifier", "full network"]
    training = full.corpus.labels[full.corpus.utterances_of("train")]
    predicted = np.full(len(full.labels), np.bincount(training).argmax())
    assert models["majority"]["waf1"] == pytest.approx(f1_score(full.labels, predicted, average="weighted"))
    assert len(models["linear"]["folds"]) == 4  # Sessions of the training split.
    assert models["full network"]["full_minus_this"]["difference"] == 0
    assert "| full network |" in (study_folder / "results" / "baselines.md").read_text(encoding="utf-8")


def test_epoch_selection(run_study: RunStudy, study_folder: Path) -> None:
    """Both trainings are the same one, with the two splits swapped."""
    chosen = run_study(Protocol, protocol, "protocol_selection", "--part", "selection")["parts"]["iemocap"]["chosen"]
    seeds = {source: read_network(study_folder, f"iemocap_{source}")["seeds"][0] for source in ("official", "swapped")}
    curves = {source: seed["curves"]["validation_waf1"] for source, seed in seeds.items()}
    assert chosen["last epoch"] == [pytest.approx(seeds["official"]["test"]["waf1"])]
    assert chosen["best epoch on the test split"] == [max(curves["swapped"])]
    assert chosen["best epoch on the validation split"] == [curves["swapped"][int(np.argmax(curves["official"]))]]


def test_refit(run_study: RunStudy, study_folder: Path) -> None:
    """The refitted network trains on the validation split, but for one dialogue."""
    networks = run_study(Protocol, protocol, "protocol_refit", "--part", "refit")["parts"]["iemocap"]["networks"]
    assert list(networks) == ["full, training split alone", "full", *MODELS]
    results = json.loads((study_folder / "runs/quick/iemocap_refit/full/results.json").read_text(encoding="utf-8"))
    counts = {split: SPLITS.count(split) for split in ("train", "validation", "test")}
    assert results["corpus"]["splits"] == {
        "train": {"dialogues": counts["train"] + counts["validation"] - 1, "utterances": ANY},
        "validation": {"dialogues": 1, "utterances": ANY},
        "test": {"dialogues": counts["test"], "utterances": ANY},
    }


@pytest.mark.slow
def test_features_of_the_papers_sizes(run_study: RunStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model stands in the table with the same features, and the full network with those of its preset alike."""
    monkeypatch.setitem(PAPER_FEATURES, "iemocap", ("text_small", "audio_small"))
    part = run_study(Protocol, protocol, "protocol_features", "--part", "features")["parts"]["iemocap"]
    assert part["head"][0] == "text_small + audio_small"
    assert list(part["models"]) == [*MODELS, "recurrence and classifier", "full network"]


def test_features_that_know_the_training_labels(
    tiny_iemocap: Corpus, study_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are far better on training dialogues that a model has not seen than on the test split."""
    known = np.repeat([split == "train" for split in SPLITS], LENGTHS)
    values = tiny_iemocap.features["text_small"].copy()
    values[known, :3] = 9 * np.eye(3)[tiny_iemocap.labels[known]]
    spoiled = dataclasses.replace(tiny_iemocap, features={**tiny_iemocap.features, "text_small": values})
    monkeypatch.setattr(NetworkCache, "corpus", lambda self, name: spoiled)
    found = compare_left_out(NetworkCache(StudyOptions(study_corpora, tmp_path, tmp_path)), "iemocap")["models"]
    assert list(found) == ["audio_small", "text_small", "all"]
    difference = {name: np.mean(of_set["folds"]) - of_set["test"] for name, of_set in found.items()}
    assert np.mean(found["text_small"]["folds"]) > 0.99 and difference["text_small"] > 0.4 > difference["audio_small"]


@pytest.mark.slow
def test_sessions_left_out(run_study: RunStudy, study_folder: Path) -> None:
    """Each session is the test split once, for the networks and for the simple models."""
    networks = run_study(Protocol, protocol, "protocol_sessions", "--part", "sessions")["parts"]["iemocap"]["networks"]
    assert list(networks) == ["full", "recurrence and classifier", *MODELS]
    assert all(list(scores) == ["Ses01", "Ses02", "Ses03", "Ses04", "Ses05"] for scores in networks.values())
    with np.load(study_folder / "runs" / "quick" / "corpora" / "iemocap_ses02.npz") as arrays:
        split, labels = arrays["split_names"][arrays["split"]], arrays["label"]
    np.testing.assert_array_equal(split == "test", np.repeat([name.startswith("Ses02") for name in NAMES], LENGTHS))
    # A model that always predicts the most common emotion of the training split has an F1 of 0 for all others.
    right = labels[split == "test"] == np.bincount(labels[split == "train"]).argmax()
    assert networks["majority"]["Ses02"] == [pytest.approx(right.mean() * 2 * right.mean() / (1 + right.mean()))]


def test_scenes(run_study: RunStudy, full: TrainedNetwork) -> None:
    """Scripted and improvised dialogues are parts of the test split."""
    scenes = run_study(Robustness, robustness, "robustness_scenes", "--part", "scenes")["parts"]["iemocap"]["scenes"]
    scripted = np.repeat(["script" in name for name in NAMES], LENGTHS)[full.utterances]
    for name, kept in (("scripted", scripted), ("improvised", ~scripted)):
        expected = f1_score(full.labels[kept], full.predicted[0][kept], average="weighted")
        assert scenes[name] == {"utterances": kept.sum(), "waf1": [pytest.approx(expected)]}


def test_calibration(run_study: RunStudy, full: TrainedNetwork) -> None:
    """Reliability and accuracy by coverage, by hand."""
    part = run_study(Robustness, robustness, "robustness_calibration", "--part", "calibration")["parts"]["iemocap"]
    confidence, right = full.probabilities[0].max(-1), full.predicted[0] == full.labels
    gaps = [one["utterances"] * abs(one["confidence"] - one["accuracy"]) for one in part["reliability"]]
    assert sum(one["utterances"] for one in part["reliability"]) == len(full.labels)
    assert sum(gaps) / len(full.labels) == pytest.approx(part["ece"][0], abs=1e-5)
    assert part["ece"] == full.scores("ece") and part["accuracy"][-1] == [pytest.approx(right.mean())]
    most_confident = np.argsort(-confidence)[: round(0.5 * len(right))]
    assert part["accuracy"][4] == [pytest.approx(right[most_confident].mean())]


def test_temperature(run_study: RunStudy, full: TrainedNetwork) -> None:
    """One temperature for all logits, by hand."""
    part = run_study(Robustness, robustness, "robustness_calibration", "--part", "calibration")["parts"]["iemocap"]
    (temperature,) = part["scaled"]["temperature"]
    held_out = np.log(full.predict("validation")[0])
    labels = full.corpus.labels[full.corpus.utterances_of("validation")]
    grid = np.geomspace(0.01, 100, 2001)
    best = int(np.argmin([measure_nll(held_out, labels, one) for one in grid]))
    assert grid[best - 1] < temperature < grid[best + 1] and abs(temperature - 1) > 1e-3
    logits = np.log(full.probabilities[0])
    assert part["nll"] == full.scores("nll") == [pytest.approx(measure_nll(logits, full.labels, 1.0), rel=1e-4)]
    assert part["scaled"]["nll"] == [pytest.approx(measure_nll(logits, full.labels, temperature), rel=1e-3)]
    scaled = softmax(logits / temperature, axis=-1)
    confidence, right = scaled.max(-1), full.predicted[0] == full.labels
    bins = (confidence * 15).astype(int)
    gaps = [abs((confidence - right)[bins == index].sum()) for index in np.unique(bins)]
    assert part["scaled"]["ece"] == [pytest.approx(sum(gaps) / len(right), abs=1e-4)]
    cells = part["rows"][0][:5]
    assert cells[1] == f"{100 * part['scaled']['ece'][0]:.1f}" and cells[3] == f"{part['scaled']['nll'][0]:.2f}"


def measure_nll(scores: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Computes the mean negative log-likelihood of the labels by softmax(scores / temperature)."""
    return -float(np.log(softmax(scores / temperature, axis=-1)[np.arange(len(labels)), labels]).mean())


def test_noise(run_study: RunStudy, full: TrainedNetwork) -> None:
    """Without noise the scores and weights are those of the run; noise changes the weight of its modality."""
    modalities = run_study(Robustness, robustness, "robustness_noise", "--part", "noise")["parts"]["iemocap"][
        "modalities"
    ]
    assert list(modalities) == ["audio", "text"]
    with open(full.folder / "predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for modality, scores in modalities.items():
        weight = np.mean([float(row[f"weight_{modality}"]) for row in rows])
        assert scores["waf1"][0] == [pytest.approx(full.scores("waf1")[0])]
        assert scores["weight"][0] == [pytest.approx(weight, abs=1e-5)]
        assert scores["weight"][-2] != scores["weight"][0] > scores["weight"][-1] == [0.0]


def test_the_preset_robust_on_the_recipe_of_a_corpus() -> None:
    """The features and epochs stay; all that makes the preset robust, and what it needs, is taken."""
    changed, published = override(PRESETS["meld"], robust_settings()), PRESETS["meld"]
    robust = PRESETS["robust"]
    assert changed.model == robust.model
    for name in ("decay_distribution", "modality_dropout", "feature_noise", "clip_norm"):
        assert getattr(changed.train, name) == getattr(robust.train, name) != getattr(published.train, name)
    assert (changed.data, changed.loss, changed.train.epochs) == (
        published.data,
        published.loss,
        published.train.epochs,
    )


@pytest.mark.slow
def test_missing_modalities(run_study: RunStudy, full: TrainedNetwork) -> None:
    """With every modality the score is that of the run; without one it is another."""
    networks = run_study(Robustness, robustness, "robustness_missing", "--part", "missing")["parts"]["iemocap"][
        "networks"
    ]
    assert list(networks) == ["full", "full, train.modality_dropout=0.3"]
    assert networks["full"]["everything"] == [pytest.approx(full.scores("waf1")[0])]
    assert list(networks["full"]) == ["everything", "without audio", "without text", "30 % lack one"]
    assert len({scores[0] for of_network in networks.values() for scores in of_network.values()}) > 2


@pytest.mark.slow
def test_missing_labels(run_study: RunStudy, study_folder: Path, tiny_iemocap: Corpus) -> None:
    """Each fold is trained on with all labels, with some of them hidden, and without the same utterances."""
    part = run_study(Robustness, robustness, "robustness_unlabelled", "--part", "unlabelled")["parts"]["iemocap"]
    assert [len(scores) for scores in part["waf1"].values()] == [4, 4, 4]
    corpora = study_folder / "runs" / "quick" / "corpora"
    whole, context, dropped = (
        load_corpus(corpora / f"iemocap_fold_0{ending}.npz") for ending in ("", "_context", "_dropped")
    )
    hidden = np.flatnonzero(context.labels == UNLABELLED)
    training = whole.utterances_of("train")
    assert set(hidden) <= set(training) and len(hidden) == round(0.3 * len(training))
    assert set(whole.utterance_ids) - set(dropped.utterance_ids) == {whole.utterance_ids[row] for row in hidden}
    assert dropped.utterances_of("validation").size == whole.utterances_of("validation").size > 0


@pytest.mark.slow
def test_cross_validation(run_study: RunStudy, study_folder: Path) -> None:
    """Candidates are compared on corpora without any test dialogue."""
    candidates = ["train.learning_rate=0.01", "model.dropout=0.1 loss.lambda_alignment=0"]
    options = [part for candidate in candidates for part in ("--candidate", candidate)]
    part = run_study(CrossValidate, cross_validate, "cross_validation", *options)["parts"]["iemocap"]
    assert list(part["attempts"]) == [FULL, *candidates]
    assert all(len(scores["last"]) == 4 for scores in part["attempts"].values())
    for fold, session in enumerate(("Ses01", "Ses02", "Ses03", "Ses04")):
        with np.load(study_folder / "runs" / "quick" / "corpora" / f"iemocap_fold_{fold}.npz") as arrays:
            names, splits = arrays["dialogue_names"], arrays["split_names"][arrays["split"]][arrays["offsets"][:-1]]
        assert [name for name, split in zip(names, splits, strict=True) if split == "validation"] == [
            name for name in NAMES if name.startswith(session)
        ]
        assert set(names) == set(NAMES[:5])


@pytest.mark.slow
def test_ensemble(run_study: RunStudy, full: TrainedNetwork, study_folder: Path) -> None:
    """The table has the scores of the folds, of the test split and of the refitted models, by hand."""
    artifact = run_study(Ensemble, ensemble, "ensemble")
    part = artifact["parts"]["iemocap"]
    models, weight = part["models"], part["weight"]
    assert artifact["schema"] == "macsgr_jax.ensemble/2" and part["fold_seeds"] == 1
    assert models["network"]["waf1"] == models["ensemble"]["waf1"] == [pytest.approx(full.scores("waf1")[0])]
    assert models["network"]["waa"] == [pytest.approx(full.scores("waa")[0])]
    for fold in range(4):
        (seed,) = read_network(study_folder, f"iemocap_fold_{fold}")["seeds"]
        assert models["network"]["left_out"][fold] == [pytest.approx(seed["validation"]["waf1"])]
    svm = predict_by_tfidf(full.corpus, ("audio_small", "text_small"), "test", quick=True)
    assert models["words"]["waf1"] == [pytest.approx(weighted_f1(svm, full.labels))]
    mixed = interpolate(full.probabilities[0], svm, weight)
    assert models["ensemble + words"]["waf1"] == [pytest.approx(weighted_f1(mixed, full.labels))]
    best = np.mean(models["network + words"]["left_out"])
    assert best >= max(np.mean(models[name]["left_out"]) for name in ("network", "words"))
    text = (study_folder / "results" / "ensemble.md").read_text(encoding="utf-8")
    assert re.search(rf"\| ensemble \+ TF-IDF SVM, w = {weight:.1f} \| {100 * best:.1f} \|", text)
    assert "| WAF1, sessions left out | WAF1, test | WAA, test | WAF1, test, refit | WAA, test, refit |" in text
    refit = predict_by_tfidf(refit_corpus(full.corpus), ("audio_small", "text_small"), "test", quick=True)
    assert models["words"]["refit"]["waf1"] == [pytest.approx(weighted_f1(refit, full.labels))]
    (seed,) = read_network(study_folder, "iemocap_refit")["seeds"]
    assert models["network"]["refit"]["waf1"] == [pytest.approx(seed["test"]["waf1"])]


def refit_corpus(corpus: Corpus) -> Corpus:
    """Returns the corpus with its validation dialogues in the training split."""
    return dataclasses.replace(corpus, split=np.where(corpus.split == 1, 0, corpus.split))


@pytest.mark.slow
def test_ambiguities(run_study: RunStudy, study_folder: Path) -> None:
    """Each ambiguous detail is a network of its own, whose configuration has the detail read in the other way."""
    networks = run_study(Ambiguities, ambiguities, "ambiguities")["parts"]["iemocap"]["networks"]
    assert list(networks) == [*list_ambiguities(), FULL]
    baseline = read_network(study_folder, "iemocap")["config"]
    for name, settings in list_ambiguities().items():
        config = read_network(study_folder, "iemocap", name_folder(name))["config"]
        changed = {
            f"{section}.{field}"
            for section, fields in config.items()
            for field, value in fields.items()
            if value != baseline[section][field]
        }
        assert changed == {setting.split("=")[0] for setting in settings}
    assert any(networks[name]["waf1"] != networks[FULL]["waf1"] for name in networks)


@pytest.mark.parametrize(
    ("command", "main", "arguments", "message"),
    [
        (Tables, tables, ["--table", "1", "--only", "meld"], "--only meld: there is no meld in it, only iemocap"),
        (Tables, tables, ["--table", "1", "--seeds", "0"], "--seeds must be at least 1"),
        (Tables, tables, ["--table", "3", "--set", "data.features=text_small"], "the array sentiment is missing"),
        (Tables, tables, ["--table", "2", "--set", "model.nothing=1"], "model.nothing"),
        (Tables, tables, ["--table", "6"], "--table 6: choose from 1, 2, 3, 4, 5"),
        (Figures, figures, ["--figure", "1"], "--figure 1: choose from 4, 5, 6, 7, 8"),
        (Ensemble, ensemble, ["--fold-seeds", "0"], "--fold-seeds must be at least 1"),
        (Ensemble, ensemble, ["--only", "iemocap"], "iemocap.npz: the array text is missing"),
    ],
)
def test_bad_input(
    command: Any,
    main: Any,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What does not fit is refused with one sentence, before anything is trained."""
    corpus: Corpus = make_corpus(LENGTHS, SPLITS, num_classes=2)
    for name in ("iemocap", "meld", "mosei", "mosi"):
        save_corpus(corpus, tmp_path / f"{name}.npz")
    given = ["--corpora", str(tmp_path), "--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    settings = [part for setting in TINY for part in ("--set", setting)]
    with compile_quickly():
        assert run_script("x", command, main, [*given, "--quick", *settings, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "results").exists() and not (tmp_path / "runs").exists()


def test_networks_of_other_settings(
    full: TrainedNetwork, study_options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A network of other settings in the folder is not taken for the wanted one."""
    settings = [part for setting in (*SETTINGS, "model.dropout=0.1") for part in ("--set", setting)]
    assert run_script("x", Tables, tables, [*study_options, "--quick", "--table", "1", *settings]) == 2
    assert "model.dropout was 0.5 and is 0.1" in capsys.readouterr().err


def test_default_preset(run_study: RunStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part of a corpus has a row: its seeds, the collapsed ones, and the reference rows of the same features."""
    monkeypatch.setitem(default_preset.FEATURES, "iemocap", {"text": ("text_small",)})
    monkeypatch.setattr(default_preset, "default_settings", lambda: ())
    artifact = run_study(Robustness, robustness, "robustness_corpora", "--part", "corpora")
    part = artifact["parts"]["iemocap"]
    assert [row[0] for row in part["rows"]] == list(part["parts"]) == ["text"]
    assert all(len(row) == len(part["head"]) for row in part["rows"])
    for scores in part["parts"].values():
        assert len(scores["validation_waf1"]) == 1
        assert {"majority", "linear"} <= set(scores["references"])
    assert part["parts"]["text"]["features"] == ["text_small"]


@pytest.mark.slow
def test_a_corpus_nobody_tuned_for(
    full: TrainedNetwork, study_corpora: Path, study_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each model has its WAF1, and the micro-F1 of all emotions but the most frequent one."""
    monkeypatch.setitem(default_preset.FEATURES, "iemocap", {"text": ("text_small",)})
    monkeypatch.setattr(default_preset, "default_settings", lambda: ())
    options = StudyOptions(study_corpora, study_folder / "runs", study_folder / "results", quick=True, set=SETTINGS)
    with compile_quickly():
        part = score_untuned(NetworkCache(options), "iemocap")
    assert list(part["models"]) == ["majority", "linear", "recurrence and classifier", "full network"]
    labels = full.labels
    assert part["models"]["majority"]["micro_f1"] == [0.0]
    frequent = np.bincount(full.corpus.labels[full.corpus.labelled_of("train")]).argmax()
    share = np.mean(labels == frequent)
    assert part["models"]["majority"]["waf1"] == [pytest.approx(share * 2 * share / (1 + share), abs=1e-6)]
    for scores in part["models"].values():
        assert len(scores["waf1"]) == len(scores["micro_f1"]) == 1


def test_parts_of_a_corpus() -> None:
    assert default_preset.list_parts("dailydialog") == {"text": ("text_use",)}
    assert default_preset.list_parts("mosei") == {
        "text": ("text_mpnet",),
        "speech": ("audio_timing",),
        "both": ("text_mpnet", "audio_timing"),
    }


def test_default_settings_replace_those_of_a_corpus() -> None:
    changed = override(PRESETS["meld"], default_preset.default_settings())
    assert (changed.model, changed.loss, changed.train) == (DEFAULT.model, DEFAULT.loss, DEFAULT.train)
