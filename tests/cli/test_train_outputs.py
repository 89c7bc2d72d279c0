"""What the training script leaves behind."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import macsgr_jax
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.overrides import from_json
from macsgr_jax.runs.references import LINEAR, LINEAR_IN_CONTEXT, MAJORITY
from macsgr_jax.runs.results import PER_CLASS, SCALARS

ROOT = Path(__file__).parents[2]
EPOCHS, SEEDS = 4, (0, 1)
MEAN_AND_STD = {"mean": float, "std": float}


def read_results(out: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return results


def read_predictions(out: Path) -> list[dict[str, str]]:
    with open(out / "predictions.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_shape(value: Any, shape: Any, place: str) -> None:
    """Nested dictionaries have exactly these keys, lists these members, leaves these types."""
    if isinstance(shape, dict):
        assert isinstance(value, dict) and list(value) == list(shape), place
        for key, inner in shape.items():
            check_shape(value[key], inner, f"{place}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), place
        for index, inner in enumerate(value):
            check_shape(inner, shape[0], f"{place}[{index}]")
    else:
        assert isinstance(value, shape), place


def results_shape(corpus: Corpus) -> dict[str, Any]:
    """The schema of docs/results.md."""
    scores = {
        **dict.fromkeys(SCALARS, float),
        "classes": {label: dict.fromkeys(PER_CLASS, float) for label in corpus.label_names},
        "confusion": [[int]],
    }
    summary = {
        **dict.fromkeys(SCALARS, MEAN_AND_STD),
        "classes": {label: {"f1": MEAN_AND_STD, "recall": MEAN_AND_STD} for label in corpus.label_names},
    }
    terms = ("classification", "instance", "prototype", "latent", "uncertainty", "total", "validation_waf1")
    network = {
        "features": dict,
        "config": dict,
        "batch": {"rows_per_step": int, "slots_per_row": int, "steps_per_epoch": int, "padding_share": float},
        "seeds": [
            {
                "seed": int,
                "epoch": int,
                "validation": scores,
                "test": scores,
                "curves": {term: [float] for term in terms},
                "seconds": float,
                "parameters": int,
                "collapsed": (type(None), dict),
            }
        ],
        "summary": {"validation": summary, "test": summary},
    }
    scalars = dict.fromkeys(SCALARS, float)
    reference = {**scalars, "validation": scalars, "choice": str}
    packages = ("python", "jax", "jaxlib", "flax", "optax", "jraph", "ott-jax", "orbax-checkpoint", "numpy")
    return {
        "schema": str,
        "version": str,
        "command": [str],
        "corpus": {
            "name": str,
            "path": str,
            "sha256": str,
            "labels": [str],
            "splits": {split: {"dialogues": int, "utterances": int} for split in ("train", "validation", "test")},
            "notices": [str],
        },
        "versions": dict.fromkeys(packages, str),
        "device": {"platform": str, "kind": str, "count": int},
        "reference": {name: reference for name in (MAJORITY, LINEAR, LINEAR_IN_CONTEXT)},
        "networks": {"full": network, "audio": network, "text": network},
    }


def list_keys(value: Any, closed: set[str]) -> set[str]:
    """Every key in nested lists and dictionaries; what is under the keys in `closed` is left out."""
    if isinstance(value, list):
        return set().union(*(list_keys(inner, closed) for inner in value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(list_keys(inner, closed) for key, inner in value.items() if key not in closed))


def test_results_have_the_documented_schema(trained: Any) -> None:
    results = read_results(trained.out)
    check_shape(results, results_shape(trained.corpus), "results")
    assert results["schema"] == "macsgr_jax.results/1"
    documented = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert "schema `macsgr_jax.results/1`" in documented
    words = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`\n]+)`", documented))))
    assert list_keys(results, {"config", "features", "reference"}) - {*trained.corpus.label_names, "audio"} <= words


def test_results_say_what_was_run(trained: Any) -> None:
    results, corpus = read_results(trained.out), trained.corpus
    assert results["version"] == macsgr_jax.__version__
    assert results["corpus"]["path"] == "../talks.npz" and len(results["corpus"]["sha256"]) == 64
    assert results["corpus"]["labels"] == list(corpus.label_names)
    for split, size in results["corpus"]["splits"].items():
        assert size["dialogues"] == len(corpus.dialogues_of(split))
        assert size["utterances"] == len(corpus.utterances_of(split))
    full = results["networks"]["full"]
    config = from_json(full["config"])
    assert config.train.epochs == EPOCHS and config.model.hidden_size == 8
    assert full["features"] == {"audio": ["audio_synthetic"], "text": ["text_synthetic"]}
    assert 0 < full["batch"]["padding_share"] < 1
    assert full["batch"]["slots_per_row"] == round(corpus.lengths.max() * (1 - config.train.utterance_dropout))


def test_a_modality_alone_reads_only_its_features_and_is_not_aligned(trained: Any) -> None:
    networks = read_results(trained.out)["networks"]
    for name in ("audio", "text"):
        assert networks[name]["features"] == {name: [f"{name}_synthetic"]}
        curves = networks[name]["seeds"][0]["curves"]
        assert set(curves["instance"] + curves["prototype"] + curves["latent"]) == {0.0}
        assert networks[name]["seeds"][0]["parameters"] < networks["full"]["seeds"][0]["parameters"]
    assert min(networks["full"]["seeds"][0]["curves"]["latent"]) > 0


def test_the_epoch_is_that_of_the_best_validation_score(trained: Any) -> None:
    for network in read_results(trained.out)["networks"].values():
        assert [one["seed"] for one in network["seeds"]] == list(SEEDS)
        for one in network["seeds"]:
            curve = one["curves"]["validation_waf1"]
            assert len(curve) == EPOCHS and curve[one["epoch"] - 1] == max(curve)
            assert one["validation"]["waf1"] == pytest.approx(max(curve), abs=1e-6)


def test_the_summary_is_mean_and_sample_deviation_over_the_seeds(trained: Any) -> None:
    for network in read_results(trained.out)["networks"].values():
        for split in ("validation", "test"):
            runs, summary = [one[split] for one in network["seeds"]], network["summary"][split]
            for score in SCALARS:
                values = [run[score] for run in runs]
                assert summary[score]["mean"] == pytest.approx(sum(values) / 2, abs=1e-9)
                assert summary[score]["std"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=1e-9)
            for label in trained.corpus.label_names:
                values = [run["classes"][label]["f1"] for run in runs]
                assert summary["classes"][label]["f1"]["mean"] == pytest.approx(sum(values) / 2, abs=1e-9)


def test_predictions_have_a_row_a_seed_and_test_utterance(trained: Any) -> None:
    corpus, rows = trained.corpus, read_predictions(trained.out)
    test = corpus.utterances_of("test").tolist()
    assert [(int(row["seed"]), row["utterance_id"]) for row in rows] == [
        (seed, corpus.utterance_ids[utterance]) for seed in SEEDS for utterance in test
    ]
    assert [row["gold"] for row in rows] == [corpus.label_names[corpus.labels[u]] for u in test] * len(SEEDS)
    heads = [f"p_{label}" for label in corpus.label_names]
    assert list(rows[0]) == ["seed", "utterance_id", "gold", "predicted", *heads, "weight_audio", "weight_text"]
    for row in rows:
        probabilities = [float(row[head]) for head in heads]
        # Six digits are written.
        assert sum(probabilities) == pytest.approx(1, abs=1e-5) and min(probabilities) >= 0
        assert float(row["weight_audio"]) + float(row["weight_text"]) == pytest.approx(1, abs=1e-5)
        assert probabilities[corpus.label_names.index(row["predicted"])] == max(probabilities)


def test_predictions_and_results_agree(trained: Any) -> None:
    labels = trained.corpus.label_names
    for one in read_results(trained.out)["networks"]["full"]["seeds"]:
        rows = [row for row in read_predictions(trained.out) if int(row["seed"]) == one["seed"]]
        confusion = np.zeros((len(labels), len(labels)), int)
        for row in rows:
            confusion[labels.index(row["gold"]), labels.index(row["predicted"])] += 1
        assert one["test"]["confusion"] == confusion.tolist()
        assert one["test"]["waa"] == pytest.approx(np.trace(confusion) / len(rows), abs=1e-6)
        nll = -np.mean([np.log(float(row[f"p_{row['gold']}"])) for row in rows])
        assert one["test"]["nll"] == pytest.approx(nll, abs=1e-4)


@pytest.mark.parametrize("name", ["confusion.png", "curves.png"])
def test_figures_are_png_images_of_some_size(trained: Any, name: str) -> None:
    content = (trained.out / name).read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n") and content.rstrip().endswith(b"IEND\xaeB`\x82")
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
    assert width > 400 and height > 400


def test_the_report_has_the_scores_the_hash_and_the_figures(trained: Any) -> None:
    results = read_results(trained.out)
    report = (trained.out / "report.md").read_text(encoding="utf-8")
    assert results["corpus"]["sha256"] in report
    for network in results["networks"].values():
        waf1 = network["summary"]["test"]["waf1"]
        assert f"{100 * waf1['mean']:.1f} ± {100 * waf1['std']:.1f}" in report
    for name in re.findall(r"!\[[^]]*\]\(([^)]*)\)", report):
        assert (trained.out / name).is_file()
    assert report.count("![") == 2 and "epoch of the best validation WAF1" in report
    for label in trained.corpus.label_names:
        assert f"\n| {label} |" in report


def test_the_references_stand_below_the_networks(trained: Any) -> None:
    """In the report, with their choice in results.json; `--no-references` leaves them out."""
    results = read_results(trained.out)
    report = (trained.out / "report.md").read_text(encoding="utf-8")
    for name in (MAJORITY, LINEAR, LINEAR_IN_CONTEXT):
        reference = results["reference"][name]
        assert f"\n| {name} | {100 * reference['waa']:.1f} | {100 * reference['waf1']:.1f} |" in report
    assert re.match(r"C = \S+ of .*, by validation WAF1", results["reference"][LINEAR]["choice"])
    waf1 = results["networks"]["full"]["summary"]["test"]["waf1"]["mean"]
    assert f"test WAF1: network {100 * waf1:.1f}; {LINEAR} {100 * results['reference'][LINEAR]['waf1']:.1f}; " in report


def test_nothing_else_is_left(trained: Any) -> None:
    files = {
        "run.json",
        "results.json",
        "report.md",
        "predictions.csv",
        "confusion.png",
        "curves.png",
        "log.csv",
        "checkpoints",
    }
    assert {path.name for path in trained.out.iterdir()} == files
    for name in ("full", "audio", "text"):
        inside = {path.name for path in (trained.out / "checkpoints" / name).iterdir()}
        described = {"description.json", "standardizer.npz", "extractors.npz", "temperatures.json"}
        assert inside == described | {"seed_0", "seed_1", "part_0.npz", "part_1.npz"}
