"""Tables, figures and simple models, each in its quick form on tiny corpora with the names of the real ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from experiments.baselines import Baselines, average_context, name_scenarios, train_models
from experiments.baselines import main as baselines
from experiments.figures import Figures
from experiments.figures import main as figures
from experiments.paper.artifact import render
from experiments.paper.study import Trained, name_folder
from experiments.paper.variants import ABLATIONS, FULL, list_alignments
from experiments.tables import REMARKS, Tables
from experiments.tables import main as tables
from tests.testing.tiny_study import LENGTHS


def test_a_trained_network_is_what_its_files_say(full: Trained) -> None:
    assert full.probabilities.shape == (1, len(full.utterances), 3) == (1, 19, 3)
    np.testing.assert_allclose(full.probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(full.weights.sum(-1), 1, atol=1e-5)
    assert full.scores("waf1")[0] == pytest.approx(f1_score(full.labels, full.predicted[0], average="weighted"))
    np.testing.assert_array_equal(np.bincount(full.dialogue), LENGTHS[-3:])


def test_emotions(run_study: Callable[..., dict[str, Any]], full: Trained, study_folder: Path) -> None:
    numbers = run_study(Tables, tables, "table_1", "--table", "1")
    classes = full.network["seeds"][0]["test"]["classes"]
    found = numbers["parts"]["iemocap"]["emotions"]
    assert {name: values["f1"] for name, values in found.items()} == {n: [v["f1"]] for n, v in classes.items()}
    assert numbers["seeds"] == 1 and numbers["corpora"]["iemocap"]["sha256"] == full.corpus.sha256
    text = (study_folder / "results" / "table_1.md").read_text(encoding="utf-8")
    assert text == render(numbers, REMARKS[:1])
    waf1 = 100 * full.scores("waf1")[0]
    assert f"| WAA, WAF1 | {100 * full.scores('waa')[0]:.1f} | {waf1:.1f} | 72.4 | 71.6 |" in text
    assert "over 1 seed; 20" in text and str(study_folder) not in json.dumps(numbers["corpora"])


def test_meld_has_no_accuracy_to_quote(run_study: Callable[..., dict[str, Any]]) -> None:
    part = run_study(Tables, tables, "table_2", "--table", "2", only="meld")["parts"]["meld"]
    assert part["rows"][-2][-1] == "62.3" and len(part["emotions"]) == 3


def test_sentiment_by_both_conventions(run_study: Callable[..., dict[str, Any]], study_corpora: Path) -> None:
    found = run_study(Tables, tables, "table_3", "--table", "3", only="mosi")["parts"]["mosi"]["conventions"]
    with np.load(study_corpora / "mosi.npz") as arrays:
        sentiment = arrays["sentiment"][-sum(LENGTHS[-3:]) :]
    assert found["Has0"]["utterances"] == 19
    assert found["Non0"]["utterances"] == np.count_nonzero(sentiment) < 19
    assert all(0 <= found[name][score][0] <= 1 for name in found for score in ("waa", "waf1"))


@pytest.mark.slow
def test_ablations_are_tested_against_the_full_network(
    run_study: Callable[..., dict[str, Any]], full: Trained, study_folder: Path
) -> None:
    found = run_study(Tables, tables, "table_4", "--table", "4")["parts"]["iemocap"]["networks"]
    assert list(found) == [*ABLATIONS, FULL]
    for name in ABLATIONS:
        results = study_folder / "runs" / "quick" / "iemocap" / name_folder(name) / "results.json"
        network = json.loads(results.read_text(encoding="utf-8"))["networks"]["full"]
        (setting,) = ABLATIONS[name]
        assert network["config"]["model"][setting.split(".")[1].split("=")[0]] is False
        waf1 = network["seeds"][0]["test"]["waf1"]
        assert found[name]["waf1"] == [waf1]
        test = found[name]["against_full"]
        assert test["difference"] == pytest.approx(full.scores("waf1")[0] - waf1, abs=1e-6)
        assert test["low"] <= test["high"] and test["seeds_p"] is None and 0 < test["dialogues_p"] <= 1


@pytest.mark.slow
def test_modalities(run_study: Callable[..., dict[str, Any]], study_folder: Path) -> None:
    found = run_study(Tables, tables, "table_5", "--table", "5")["parts"]["iemocap"]["networks"]
    assert list(found) == ["text", "audio", FULL]
    results = json.loads((study_folder / "runs/quick/iemocap/text/results.json").read_text(encoding="utf-8"))
    assert results["networks"]["full"]["features"] == {"text": ["text_small"]}


def test_what_is_trained_is_not_trained_again(run_study: Callable[..., dict[str, Any]], study_folder: Path) -> None:
    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (study_folder / "runs").rglob("results.json")}

    run_study(Tables, tables, "table_5", "--table", "5")
    before = written()
    run_study(Tables, tables, "table_5", "--table", "5")
    assert before == written() != {}


def test_confusion(run_study: Callable[..., dict[str, Any]], full: Trained, study_folder: Path) -> None:
    found = run_study(Figures, figures, "figure_4", "--figure", "4")["parts"]["iemocap"]
    assert found["confusion"] == full.network["seeds"][0]["test"]["confusion"]
    assert (study_folder / "results" / "figure_4.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_alignments(run_study: Callable[..., dict[str, Any]], study_folder: Path) -> None:
    found = run_study(Figures, figures, "figure_5", "--figure", "5")["parts"]["iemocap"]
    assert set(found["networks"]) == {"none", "IA", "PA", "LSA", "IA+PA", "IA+LSA", "PA+LSA", FULL}
    assert set(found["against_full"]) == set(found["networks"]) - {FULL}
    losses = json.loads((study_folder / "runs/quick/iemocap/ia-lsa/results.json").read_text(encoding="utf-8"))
    on = losses["networks"]["full"]["config"]["loss"]
    assert (on["instance_alignment"], on["prototype_alignment"], on["latent_alignment"]) == (True, False, True)
    assert list_alignments()[FULL] == ()


@pytest.mark.slow
def test_fusion_by_emotion(run_study: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run_study(Figures, figures, "figure_6", "--figure", "6")["parts"]["iemocap"]["networks"]
    assert list(found) == ["w/o UW", "w/o CMI", FULL]
    assert list(found[FULL]) == [*full.corpus.label_names, "WAF1"]
    assert found[FULL]["WAF1"] == full.scores("waf1")


@pytest.mark.slow
def test_nodes(run_study: Callable[..., dict[str, Any]], full: Trained, study_folder: Path) -> None:
    found = run_study(Figures, figures, "figure_7", "--figure", "7")["parts"]["iemocap"]
    assert set(found) == {"labels", "stages", "chance_purity"}  # The dots stay in the picture.
    assert list(found["stages"]) == ["before refinement", "w/o SyE", "w/o SeE", "full"]
    shares = np.bincount(full.labels) / len(full.labels)
    assert found["chance_purity"] == pytest.approx((shares**2).sum())
    assert (study_folder / "results" / "figure_7.png").stat().st_size > 10_000


@pytest.mark.slow
def test_lambdas(run_study: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run_study(Figures, figures, "figure_8", "--figure", "8")["parts"]["iemocap"]
    assert found["lambdas"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert found["waf1"][5] == full.scores("waf1")  # The default lambda is 0.6.


def test_simple_models_beside_the_networks(
    run_study: Callable[..., dict[str, Any]], full: Trained, study_folder: Path
) -> None:
    found = run_study(Baselines, baselines, "baselines")["parts"]["iemocap"]["models"]
    assert list(found) == [
        "majority",
        "scenario",
        "linear",
        "linear, averaged context",
        "SVM, words in context",
        "recurrence and classifier",
        "full network",
    ]
    training = full.corpus.labels[full.corpus.utterances_of("train")]
    said = np.full(len(full.labels), np.bincount(training).argmax())
    assert found["majority"]["waf1"] == pytest.approx(f1_score(full.labels, said, average="weighted"))
    assert len(found["linear"]["folds"]) == 4  # Sessions of the training split.
    assert found["full network"]["full_minus_this"]["difference"] == 0
    assert "| full network |" in (study_folder / "results" / "baselines.md").read_text(encoding="utf-8")


def test_averaged_context_by_hand(full: Trained) -> None:
    corpus = full.corpus
    values = np.random.default_rng(0).normal(size=(corpus.num_utterances, 3))
    same, others = average_context(corpus, values)
    for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True):
        for row in range(start, end):
            near = [n for n in range(start, end) if n != row and abs(n - row) <= 10]
            for result, alike in ((same, True), (others, False)):
                chosen = [values[n] for n in near if (corpus.speakers[n] == corpus.speakers[row]) is np.bool_(alike)]
                np.testing.assert_allclose(result[row], np.mean(chosen, axis=0) if chosen else 0.0, atol=1e-12)


def test_scenarios_are_those_of_other_sessions(full: Trained) -> None:
    scenarios = name_scenarios(full.corpus)
    assert scenarios[0].startswith("impro01 ") and len(set(scenarios)) == 8
    outcomes = dict(train_models(full.corpus, ("text_small",), quick=True))
    train, test = (full.corpus.utterances_of(split) for split in ("train", "test"))
    for utterance, said in zip(test, outcomes["scenario"].predicted, strict=True):
        alike = full.corpus.labels[train[scenarios[train] == scenarios[utterance]]]
        assert said == np.bincount(alike if len(alike) else full.corpus.labels[train]).argmax()
