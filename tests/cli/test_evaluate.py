"""Evaluating again from the checkpoints alone."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.cli.main import main
from tests.testing.corpora import TINY, compile_quickly

ROOT = Path(__file__).parents[2]


@pytest.fixture
def evaluate(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """The evaluation script in this process; what it prints as JSON."""

    def evaluate(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        with compile_quickly():  # As the run was compiled: another program rounds otherwise.
            assert main(["evaluate", *arguments, "--json"]) == 0
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    return evaluate


def assert_same(found: dict[str, Any], known: dict[str, Any]) -> None:
    """Sums of several threads differ in their last digit from one process to the next."""
    assert jax.tree.structure(found) == jax.tree.structure(known)
    np.testing.assert_allclose(jax.tree.leaves(found), jax.tree.leaves(known), rtol=1e-6)


@pytest.fixture
def checkpoints_alone(trained: Any, tmp_path: Path) -> Path:
    """A copy of the run of which nothing but the checkpoints is left."""
    shutil.copytree(trained.out / "checkpoints", tmp_path / "moved" / "checkpoints")
    shutil.copy(trained.corpus_file, tmp_path)  # Its path is known as seen from the run.
    return tmp_path / "moved"


@pytest.mark.parametrize("network", ["full", "audio", "text"])
def test_the_test_scores_come_out_exactly(
    trained: Any, checkpoints_alone: Path, evaluate: Callable[..., dict[str, Any]], network: str
) -> None:
    results = json.loads((trained.out / "results.json").read_text(encoding="utf-8"))
    scores = evaluate(str(checkpoints_alone), "--network", network)
    known = {str(one["seed"]): {"epoch": one["epoch"], **one["test"]} for one in results["networks"][network]["seeds"]}
    assert_same(scores, known)


def test_other_splits_can_be_evaluated(
    trained: Any, checkpoints_alone: Path, evaluate: Callable[..., dict[str, Any]]
) -> None:
    results = json.loads((trained.out / "results.json").read_text(encoding="utf-8"))
    scores = evaluate(str(checkpoints_alone), "--split", "validation")
    first = results["networks"]["full"]["seeds"][0]
    assert_same(scores["0"], {"epoch": first["epoch"], **first["validation"]})


def test_a_corpus_that_has_moved(
    trained: Any,
    checkpoints_alone: Path,
    evaluate: Callable[..., dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    elsewhere = tmp_path / "elsewhere.npz"
    shutil.copy(trained.corpus_file, elsewhere)
    moved = evaluate(str(checkpoints_alone), "--corpus", str(elsewhere))
    assert_same(moved, evaluate(str(checkpoints_alone)))
    (tmp_path / trained.corpus_file.name).unlink()
    assert main(["evaluate", str(checkpoints_alone)]) == 2
    assert "talks.npz: say with --corpus where it is now" in capsys.readouterr().err


def test_the_table_has_a_row_a_seed(trained: Any, checkpoints_alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(checkpoints_alone)]) == 0
    printed = capsys.readouterr().out
    results = json.loads((trained.out / "results.json").read_text(encoding="utf-8"))
    for one in results["networks"]["full"]["seeds"]:
        (line,) = [line for line in printed.splitlines() if line.strip("│┃| ").startswith(f"{one['seed']} ")]
        assert f"{100 * one['test']['waf1']:.2f}" in line and f"{one['test']['nll']:.3f}" in line


def test_evaluating_leaves_the_run_as_it_is(
    trained: Any, checkpoints_alone: Path, evaluate: Callable[..., dict[str, Any]]
) -> None:
    def contents() -> dict[str, bytes]:
        files = [path for path in checkpoints_alone.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in files}

    before = contents()
    evaluate(str(checkpoints_alone))
    assert contents() == before


@pytest.mark.slow
def test_other_processes_get_the_same_numbers(trained: Any, tmp_path: Path) -> None:
    """Two processes train alike, and a third gets their scores from the checkpoints alone."""
    settings = ["--epochs", "2", "--corpus", str(trained.corpus_file), "--seeds", "1", "--overwrite"]
    settings += [part for setting in TINY for part in ("--set", setting)]

    def run(script: str, *arguments: str) -> str:
        command = [sys.executable, "-m", "macsgr_jax", script, *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    def read() -> tuple[str, str]:
        run("train", "--out", str(tmp_path / "run"), *settings)
        results = re.sub(r'"seconds": .*', "", (tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
        return results, (tmp_path / "run" / "predictions.csv").read_text(encoding="utf-8")

    first = read()
    assert read() == first
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    (tmp_path / "run" / "results.json").unlink()
    scores = json.loads(run("evaluate", str(tmp_path / "run"), "--json"))
    (one,) = results["networks"]["full"]["seeds"]
    assert scores == {"0": {"epoch": one["epoch"], **one["test"]}}
