"""How runs are executed decides nothing about a finished run, and of an interrupted one only what its state needs."""

import csv
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.errors import InputError
from macsgr_jax.runs import execution as execution_module
from macsgr_jax.runs.execution import Execution
from macsgr_jax.runs.interruption import Interrupted, StopRequests
from macsgr_jax.runs.train import train_and_evaluate
from macsgr_jax.training.checkpoint import RecoveryCheckpoints
from tests.testing.corpora import compile_quickly, make_corpus, tiny_config
from tests.testing.ten_seeds import SIMPLE

SEEDS = (0, 1, 2)


def train(out: Path, **options: Any) -> dict[str, Any]:
    """Trains three seeds for three epochs; the keyword arguments are those of `Execution`."""
    resume = options.pop("resume", False)
    execution = Execution(save_every=1, **options)
    with compile_quickly():
        return train_and_evaluate(
            tiny_config(*SIMPLE, "train.epochs=3"), make_corpus(), SEEDS, out, execution, resume=resume
        )


def read_log(out: Path) -> list[dict[str, str]]:
    with open(out / "log.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "run"
    train(out, runs_at_once=2)
    return out


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs as one program, stopped after two of three epochs; not to be changed."""
    out = tmp_path_factory.mktemp("interrupted") / "run"
    save = RecoveryCheckpoints.save

    def save_and_signal(self: RecoveryCheckpoints, epoch: int, state: Any) -> None:
        save(self, epoch, state)
        if epoch == 1:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch, StopRequests() as stop:
        patch.setattr(RecoveryCheckpoints, "save", save_and_signal)
        with pytest.raises(Interrupted):
            train(out, runs_at_once=2, stop=stop)
    return out


@pytest.fixture
def copied(interrupted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(interrupted, tmp_path / "run"))


def test_finished_run_is_read_wherever_it_was_trained(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other devices and another number of runs per program, and before anything is prepared to be compiled."""
    expected = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    for name in ("make_mesh", "measure_run_bytes", "train_runs"):
        monkeypatch.setattr(execution_module, name, None)
    assert train(finished, resume=True) == expected
    assert train(finished, resume=True, runs_at_once=64, split_batch=5) == expected


def test_run_file_of_version_0_1_opens(finished: Path, tmp_path: Path) -> None:
    """It took devices and runs per program for a part of the run, and had other names for some settings."""
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    identity = json.loads((out / "run.json").read_text(encoding="utf-8"))
    settings = identity["networks"]["full"]
    settings["loss"]["gate"] = settings["loss"].pop("gate_positives")
    settings["model"]["least_std"] = settings["model"].pop("min_std")
    old = {**identity, "runs_at_once": 64, "devices": {"run": 8, "data": 1}}
    (out / "run.json").write_text(json.dumps(old), encoding="utf-8")
    expected = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    assert train(out, resume=True, runs_at_once=1) == expected


def test_histories_of_version_0_1_are_read(finished: Path, tmp_path: Path) -> None:
    """Their files do not name the runs, which are in the order of the seeds."""
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    (out / "results.json").unlink()
    for part in (out / "checkpoints" / "full").glob("part_*.npz"):
        with np.load(part) as arrays:
            kept = {name: arrays[name] for name in arrays.files if name != "runs"}
        np.savez(part, **kept)
    expected = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    assert train(out, resume=True)["networks"] == expected["networks"]


def test_state_of_two_runs_is_not_resumed_by_one(copied: Path) -> None:
    with pytest.raises(InputError, match=r"holds the state of 2 runs in one program, and now 1 run would be") as caught:
        train(copied, resume=True, runs_at_once=1)
    assert "--runs-at-once 2, or replace everything with --overwrite" in str(caught.value)
    assert (copied / "checkpoints" / "full" / "recovery_0" / "2").is_dir()


@pytest.mark.parametrize("runs_at_once", [2, None])
def test_state_decides_where_the_number_of_runs_is_open(
    copied: Path, finished: Path, runs_at_once: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One per program on this CPU, but the state is that of two; the log has each epoch once."""
    programs: list[int] = []
    train_together = execution_module._train_together
    monkeypatch.setattr(
        execution_module, "_train_together", lambda *given: programs.append(len(given[1])) or train_together(*given)
    )
    results = train(copied, resume=True, runs_at_once=runs_at_once)
    assert programs == ([2, 2] if runs_at_once else [2, 1])
    expected = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    for found, seed in zip(results["networks"]["full"]["seeds"], expected["networks"]["full"]["seeds"], strict=True):
        assert found["test"]["confusion"] == seed["test"]["confusion"]
        np.testing.assert_allclose(found["curves"]["total"], seed["curves"]["total"], rtol=1e-5)
    keys = [(row["run"], row["epoch"]) for row in read_log(copied)]
    assert sorted(keys) == [(f"seed_{seed}", str(epoch)) for seed in SEEDS for epoch in (1, 2, 3)]


def test_runs_that_are_finished_do_not_bind_the_others(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two programs, the rest is trained with any number of runs at once."""
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    (out / "results.json").unlink()
    (out / "checkpoints" / "full" / "part_1.npz").unlink()
    results = train(out, resume=True, runs_at_once=3)
    expected = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    for found, seed in zip(results["networks"]["full"]["seeds"], expected["networks"]["full"]["seeds"], strict=True):
        np.testing.assert_allclose(found["curves"]["total"], seed["curves"]["total"], rtol=1e-5)
    assert len(read_log(out)) == 9


def test_log_is_that_of_the_results(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    for seed in results["networks"]["full"]["seeds"]:
        rows = [row for row in read_log(finished) if row["run"] == f"seed_{seed['seed']}"]
        assert [int(row["epoch"]) for row in rows] == [1, 2, 3] and {row["network"] for row in rows} == {"full"}
        np.testing.assert_allclose([float(row["loss_total"]) for row in rows], seed["curves"]["total"], rtol=1e-5)
        waf1 = [float(row["validation_waf1"]) for row in rows]
        np.testing.assert_allclose(waf1, seed["curves"]["validation_waf1"], rtol=1e-5)


def test_missing_figures_are_drawn_again(finished: Path, tmp_path: Path) -> None:
    """Numbers are written before pictures, so a run without its pictures is finished."""
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    (out / "curves.png").unlink()
    train(out, resume=True)
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"runs_at_once": 0}, "--runs-at-once must be at least 1"),
        ({"save_every": 0}, "--save-every must be at least 1"),
    ],
)
def test_numbers_that_are_too_small(options: dict[str, int], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Execution(**options)


@pytest.mark.parametrize("seeds", [(), (-1,), (0, 0)])
def test_seeds_that_cannot_be_used(seeds: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give at least one seed, each once, and none below 0"):
        train_and_evaluate(tiny_config(), make_corpus(), seeds, tmp_path / "run")
