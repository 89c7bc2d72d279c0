"""Each point of a sweep is the run that `train_and_evaluate` makes, and its weights are used likewise."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.config import Config
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.overrides import override
from macsgr_jax.runs import execution as execution_module
from macsgr_jax.runs.execution import Execution
from macsgr_jax.runs.load import load_model, load_weights, open_checkpoints, read_temperatures
from macsgr_jax.runs.train import train_and_evaluate
from macsgr_jax.search.run import run_sweep
from macsgr_jax.search.space import make_grid
from macsgr_jax.training.loop import DivergenceError
from tests.testing.corpora import compile_quickly, make_corpus, tiny_config

SEEDS = (0, 1)
# A network that compiles quickly, in which every setting below matters.
SETTINGS = (
    "model.semantic_encoder=false",
    "loss.instance_alignment=false",
    "loss.prototype_alignment=false",
    "train.epochs=2",
    "train.utterance_dropout=0",
)


def sweep(out: Path, axes: Sequence[str], **options: Any) -> dict[str, Any]:
    config = tiny_config(*SETTINGS)
    with compile_quickly():
        return run_sweep(config, make_grid(axes, config), make_corpus(), SEEDS, out, **options)


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        pytest.param("data.clip", ("5", "0.5"), marks=pytest.mark.slow),
        pytest.param("model.window_past", ("2", "1"), marks=pytest.mark.slow),
        ("loss.lambda_alignment", ("0.6", "5")),
        pytest.param("train.utterance_dropout", ("0", "0.5"), marks=pytest.mark.slow),
        pytest.param("train.dialogues_per_step", ("16", "2"), marks=pytest.mark.slow),
        ("train.epochs", ("2", "1")),
    ],
)
def test_point_is_the_training_of_its_configuration(setting: str, values: tuple[str, str], tmp_path: Path) -> None:
    """For settings of every section: epochs, validation scores, weights, temperatures and test scores agree."""
    swept = sweep(tmp_path / "sweep", [f"{setting}={','.join(values)}"])
    with open(tmp_path / "sweep" / "runs.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves = []
    for point, value in enumerate(values):
        config = override(tiny_config(*SETTINGS), [f"{setting}={value}"])
        with compile_quickly():
            trained = train_and_evaluate(config, make_corpus(), SEEDS, tmp_path / value)["networks"]["full"]
        for seed in trained["seeds"]:
            of_run = [row for row in rows if (row["point"], row["seed"]) == (str(point), str(seed["seed"]))]
            assert len(of_run) == config.train.epochs
            for name, curve in seed["curves"].items():
                column = name if name.startswith("validation") else f"loss_{name}"
                np.testing.assert_allclose([float(row[column]) for row in of_run], curve, rtol=1e-5, atol=1e-5)
            curves.append(seed["curves"]["classification"])
        for name, summary in swept["points"][point]["validation"].items():
            assert summary["mean"] == pytest.approx(trained["summary"]["validation"][name]["mean"], rel=1e-5, abs=1e-5)
        if swept["points"][point]["rank"] == 1:
            assert_same_network(tmp_path / "sweep", tmp_path / value)
            for name, summary in swept["chosen"]["test"].items():
                assert summary == pytest.approx(trained["summary"]["test"][name], rel=1e-5, abs=1e-5)
    assert curves[0] != curves[2]  # The setting matters.


def assert_same_network(swept: Path, trained: Path) -> None:
    """Weights, temperatures, configuration and scaling in the checkpoints of two folders agree."""
    found, expected = open_checkpoints(swept), open_checkpoints(trained)
    assert (found.config, found.seeds, found.corpus) == (expected.config, expected.seeds, expected.corpus)
    for seed in SEEDS:
        jax.tree.map(
            lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5),
            load_weights(found, seed)[0],
            load_weights(expected, seed)[0],
        )
    temperatures = read_temperatures(found, SEEDS)
    assert temperatures is not None
    np.testing.assert_allclose(temperatures, read_temperatures(expected, SEEDS), rtol=1e-4)


def test_predictions_of_a_sweep_are_calibrated(tmp_path: Path) -> None:
    """The folder of a sweep has temperatures, so that nothing calls it older than calibration."""
    text = Extractor({"kind": "words"}, {})
    corpus = make_corpus(modalities=("text",))
    config = tiny_config(*SETTINGS)
    with compile_quickly(), pytest.MonkeyPatch.context() as patch:
        run_sweep(config, make_grid(["lambda=0,1"], config), corpus, SEEDS, tmp_path / "out")
        patch.setattr("macsgr_jax.runs.load.load_extractors", lambda folder: {"text_small": text})
        patch.setattr("macsgr_jax.runs.load.check_extractor", lambda name, extractor: None)
        model = load_model(tmp_path / "out")
    assert model.notices == ()
    temperatures = json.loads((tmp_path / "out/checkpoints/full/temperatures.json").read_text(encoding="utf-8"))
    assert model.predictor.temperatures.tolist() == pytest.approx(list(temperatures.values()))


@pytest.mark.slow
def test_memory_is_measured_for_each_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--runs-at-once auto` asks how many runs fit once per group of points, each with its own network."""
    measured: list[tuple[int, int]] = []

    def count_fitting_runs(prepared: Any, config: Config) -> int:
        measured.append((config.model.hidden_size, prepared.slots))
        return 1 if config.model.hidden_size > 8 else 4

    programs: list[list[str]] = []
    train_together = execution_module._train_together

    def record(*given: Any) -> Any:
        programs.append(list(dict.fromkeys(spec.name for spec in given[1])))
        return train_together(*given)

    monkeypatch.setattr(execution_module, "count_fitting_runs", count_fitting_runs)
    monkeypatch.setattr(execution_module, "_train_together", record)
    sweep(tmp_path / "out", ["hidden_size=8,16"])
    assert measured == [(8, 6), (16, 6)]
    assert programs == [["point_0_seed_0", "point_0_seed_1"], ["point_1_seed_0"], ["point_1_seed_1"]]


def test_finished_sweep_is_read_with_another_execution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = sweep(tmp_path / "out", ["lambda=0,1"])
    monkeypatch.setattr("macsgr_jax.search.run.train_network", None)
    assert sweep(tmp_path / "out", ["lambda=0,1"], execution=Execution(runs_at_once=3), resume=True) == results


def test_sweep_in_which_everything_diverges(tmp_path: Path) -> None:
    """It ends with a sentence, not with results that hold no number."""
    with pytest.raises(DivergenceError, match=r"a run of every setting diverged: lower train\.learning_rate"):
        sweep(tmp_path / "out", ["learning_rate=1e29,1e30"])
    assert not (tmp_path / "out" / "results.json").exists()


def test_log_has_one_row_per_run_and_epoch(tmp_path: Path) -> None:
    sweep(tmp_path / "out", ["window_past=1,2"])
    with open(tmp_path / "out" / "log.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["network"], row["run"], row["epoch"]) for row in rows] == [
        (f"group_{point}", f"point_{point}_seed_{seed}", str(epoch))
        for point in range(2)
        for seed in SEEDS
        for epoch in (1, 2)
    ]
