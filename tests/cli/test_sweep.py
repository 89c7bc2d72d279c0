"""The sweep script: its table, its choice, its picture, its pick-up after an interruption."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.cli.common import make_console
from macsgr_jax.cli.main import main
from macsgr_jax.cli.sweep import show_points
from macsgr_jax.config import Config
from macsgr_jax.data.corpus_file import save_corpus
from macsgr_jax.overrides import override
from macsgr_jax.runs import execution as runs
from macsgr_jax.search.results import FinishedRun, choose_point, describe_points, rank_points
from tests.testing.corpora import TINY, compile_quickly, make_corpus

SETTINGS = tuple(part for setting in TINY for part in ("--set", setting))


@pytest.fixture(scope="module")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "small.npz"
    save_corpus(make_corpus(), path)
    return path


def sweep(corpus_file: Path, out: Path, *arguments: str) -> int:
    with compile_quickly():
        fixed = ["--corpus", str(corpus_file), "--out", str(out), "--epochs", "2", *SETTINGS]
        return main(["sweep", *fixed, *arguments])


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, corpus_file: Path) -> Path:
    """Two lambdas and two windows (a compile each), two seeds; three runs at once: the last program is filled up."""
    out = tmp_path_factory.mktemp("swept") / "out"
    axes = ["--grid", "lambda=0.5,0", "--grid", "window_past=1,2"]
    assert sweep(corpus_file, out, *axes, "--seeds", "2", "--runs-at-once", "3", "--save-every", "1") == 0
    return out


@pytest.fixture(scope="module")
def table(swept: Path) -> list[dict[str, str]]:
    with open(swept / "runs.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def results(swept: Path) -> dict[str, Any]:
    return json.loads((swept / "results.json").read_text(encoding="utf-8"))


def test_a_row_a_run_and_epoch(table: list[dict[str, str]]) -> None:
    keys = [(row["point"], row["seed"], row["epoch"]) for row in table]
    assert keys == [(str(p), str(s), str(e)) for p in range(4) for s in range(2) for e in (1, 2)]
    settings = {(row["point"], row["loss.lambda_alignment"], row["model.window_past"]) for row in table}
    assert settings == {("0", "0.5", "1"), ("1", "0.5", "2"), ("2", "0", "1"), ("3", "0", "2")}
    for row in table:
        parts = {name: float(row[f"loss_{name}"]) for name in ("classification", "instance", "prototype", "latent")}
        alignment = 0.4 * parts["instance"] + 0.4 * parts["prototype"] + 0.3 * parts["latent"]
        expected = parts["classification"] + float(row["loss.lambda_alignment"]) * alignment
        assert math.isclose(float(row["loss_total"]), expected, rel_tol=1e-4)


def test_runs_of_one_seed_start_alike_and_part_by_their_setting(table: list[dict[str, str]]) -> None:
    """The first step's weights are the seed's; what lambda weighs shows only from the second step on."""
    last = {(row["point"], row["seed"]): float(row["loss_classification"]) for row in table if row["epoch"] == "2"}
    assert len(set(last.values())) == 8


def test_the_choice_is_the_best_mean_of_the_validation_score(
    table: list[dict[str, str]], results: dict[str, Any]
) -> None:
    means = {}
    for point in range(4):
        rows = [row for row in table if row["point"] == str(point) and row["epoch"] == "2"]
        means[point] = np.mean([float(row["validation_waf1"]) for row in rows])
        found = results["points"][point]["validation"]["waf1"]
        assert math.isclose(found["mean"], means[point], rel_tol=1e-5)
    ranks = [point["rank"] for point in results["points"]]
    assert sorted(ranks) == [1, 2, 3, 4]
    assert means[ranks.index(1)] == max(means.values())
    assert results["chosen"]["setting"] == results["points"][ranks.index(1)]["setting"]


def test_the_test_scores_are_those_of_the_chosen_weights(
    swept: Path, results: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with compile_quickly():
        assert main(["evaluate", str(swept), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert [one["confusion"] for one in scores.values()] == [
        one["confusion"] for one in results["chosen"]["test_by_seed"]
    ]
    assert sorted(path.name for path in (swept / "checkpoints").iterdir()) == ["full"]


def test_the_picture_is_there(swept: Path) -> None:
    assert (swept / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_sweep_goes_on_where_it_was(
    swept: Path, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after the first of the chunks: what is finished is not trained again, the table comes out the same."""
    arguments = ["--grid", "lambda=0.5,0", "--grid", "window_past=1,2", "--seeds", "2", "--runs-at-once", "3"]
    arguments += ["--save-every", "1"]
    trained: list[str] = []
    train_together = runs._train_together

    def count_and_stop(*given: Any) -> Any:
        trained.append(given[1][0].name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train_together(*given)

    monkeypatch.setattr(runs, "_train_together", count_and_stop)
    assert sweep(corpus_file, tmp_path / "out", *arguments) == 130
    assert not (tmp_path / "out" / "results.json").exists()
    assert sweep(corpus_file, tmp_path / "out", *arguments) == 2
    assert sweep(corpus_file, tmp_path / "out", *arguments, "--resume") == 0
    assert trained == [f"point_{run}" for run in ("0_seed_0", "2_seed_1", "2_seed_1", "1_seed_0", "3_seed_1")]
    assert (tmp_path / "out" / "runs.csv").read_bytes() == (swept / "runs.csv").read_bytes()


def make_finished(point: int, seed: int, waf1: float, nll: float = 1.0) -> FinishedRun:
    validation = np.tile(np.float32([0.5, waf1, 0.5, 0.5, nll, 0.1]), (2, 1))
    return FinishedRun(point, seed, Config(), runs.History(np.ones((2, 5), np.float32), validation, 1.0))


def test_points_are_ranked_by_mean_and_diverged_ones_come_last() -> None:
    finished = [
        *(make_finished(0, seed, waf1) for seed, waf1 in enumerate((0.9, float("nan")))),
        *(make_finished(1, seed, waf1, nll=0.7) for seed, waf1 in enumerate((0.4, 0.6))),
        *(make_finished(2, seed, waf1, nll=0.9) for seed, waf1 in enumerate((0.6, 0.6))),
    ]
    finished[1].history.terms[1, -1] = np.nan
    assert rank_points(finished, "validation.waf1") == [2, 1, 0]
    assert choose_point(finished, "validation.nll") == 1
    points = describe_points([{"a": "1"}, {"a": "2"}, {"a": "3"}], finished, "validation.waf1")
    assert [point["diverged"] for point in points] == [1, 0, 0]
    assert points[0]["validation"]["waf1"] == {"mean": None, "std": None}
    assert math.isclose(points[1]["validation"]["waf1"]["std"], math.sqrt(0.02), rel_tol=1e-5)


def test_the_best_epoch_counts_where_the_configuration_says_so() -> None:
    one = make_finished(0, 0, 0.5)
    one.history.validation[0, 1] = 0.8
    assert one.score("waf1") == 0.5
    best = FinishedRun(0, 0, override(Config(), ["train.checkpoint=best"]), one.history)
    assert math.isclose(best.score("waf1"), 0.8, rel_tol=1e-6)


@pytest.fixture
def refused(tmp_path: Path, corpus_file: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    def refused(*arguments: str) -> str:
        assert sweep(corpus_file, tmp_path / "out", *arguments) == 2
        assert not (tmp_path / "out").exists()
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1
        return error

    yield refused


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "give either one --grid or more, or --random N"),
        (("--grid", "lambda=1", "--random", "3", "--range", "lambda=0:1"), "give either one --grid"),
        (("--range", "lambda=0:1"), "give either one --grid"),
        (("--grid", "hidden_size=7"), "model.hidden_size = 7 has to be even"),
        (("--grid", "features=text_small;text_large"), "text_large"),
        (("--grid", "lambda=-1"), "greater than or equal to 0"),
        (("--grid", "lambda=1", "--seeds", "0"), "--seeds must be at least 1"),
        (("--grid", "lambda=1", "--runs-at-once", "some"), "--runs-at-once some: write auto, or a number"),
        (("--grid", "lambda=1", "--split-batch", "3"), "--split-batch 3 does not divide the 1 devices"),
        (("--grid", "lambda=1", "--save-every", "0"), "--save-every must be at least 1"),
    ],
)
def test_bad_input_is_one_sentence(refused: Any, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused(*arguments)


def test_collapsed_runs_are_told(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = json.loads((swept / "results.json").read_text(encoding="utf-8"))
    show_points(make_console(), results, swept)
    assert "stopped learning" not in capsys.readouterr().out
    results["points"][0]["collapsed"] = 2
    show_points(make_console(), results, swept)
    assert "2 runs stopped learning: see `collapsed` of the points in results.json" in capsys.readouterr().out
