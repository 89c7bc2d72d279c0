"""The progress of a training: the time left, log.csv, and TensorBoard."""

import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from macsgr_jax.errors import InputError
from macsgr_jax.losses import TERMS
from macsgr_jax.runs import progress
from macsgr_jax.runs.execution import Execution
from macsgr_jax.runs.progress import EPOCH_COLUMNS, EpochLog, describe_duration, show_progress
from macsgr_jax.runs.results import SCALARS
from macsgr_jax.runs.tables import count_of
from macsgr_jax.runs.train import train_and_evaluate
from macsgr_jax.training.loop import EpochReport
from tests.testing.corpora import make_corpus, tiny_config


def make_report(epoch: int) -> EpochReport:
    terms = {name: np.ones((1, 2), np.float32) for name in TERMS}
    return EpochReport(epoch, terms, {"waf1": np.array([0.5])})


@pytest.mark.parametrize(("later", "estimate"), [(0, "34 s"), (120, "5 min"), (None, None)])
def test_time_left_is_estimated_from_two_epochs(
    later: int | None, estimate: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first epoch, with its compilation, does not count; two seconds per epoch, for all that is left."""
    times = iter([100.0, 102.0, 104.0, *range(106, 200)])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(times))
    text = io.StringIO()
    with show_progress(Console(file=text, width=120), "full seed_0", 20, later) as show:
        for epoch in range(1, 21):
            show(make_report(epoch))
    lines = [line for line in text.getvalue().splitlines() if "left" in line]
    assert lines == ([f"full seed_0: about {estimate} left"] if estimate else [])


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h")])
def test_durations(seconds: float, text: str) -> None:
    assert describe_duration(seconds) == text


def test_counts() -> None:
    assert [count_of(number, "seed") for number in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]


def fill(history: dict[str, np.ndarray], epoch: int, value: float) -> None:
    history["terms"][:, epoch - 1], history["validation"][:, epoch - 1] = value, value


def make_history(runs: int, epochs: int) -> dict[str, np.ndarray]:
    return {
        "terms": np.zeros((runs, epochs, len(TERMS))),
        "validation": np.zeros((runs, epochs, len(SCALARS))),
        "collapsed": np.zeros((runs, epochs), bool),
    }


def read_rows(path: Path) -> list[tuple[str, str, str]]:
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[0] == ["network", "run", "seed", "epoch", *EPOCH_COLUMNS, "collapsed"]
    return [(line[1], line[3], line[4]) for line in lines[1:]]


def test_log_is_complete_and_has_nothing_twice_after_it_was_resumed(tmp_path: Path) -> None:
    """Of a run that was killed in its third epoch and resumed after its first, a row being cut short."""
    history = make_history(2, 3)
    log = EpochLog(tmp_path, "full")
    with log.open([("seed_8", 8)], make_history(1, 1), 0) as log_epoch:
        log_epoch(1)
    with log.open([("seed_0", 0), ("seed_1", 1)], history, 0) as log_epoch:
        for epoch in (1, 2):
            fill(history, epoch, epoch)
            log_epoch(epoch)
            assert read_rows(tmp_path / "log.csv")[-1] == ("seed_1", str(epoch), str(epoch))  # At once.
    with open(tmp_path / "log.csv", "a", encoding="utf-8") as file:
        file.write("full,seed_0,0,3,0.")
    with EpochLog(tmp_path, "full").open([("seed_0", 0), ("seed_1", 1)], history, 1) as log_epoch:
        for epoch in (2, 3):
            fill(history, epoch, 10 * epoch)
            log_epoch(epoch)
    assert read_rows(tmp_path / "log.csv") == [
        ("seed_8", "1", "0"),
        *((f"seed_{seed}", epoch, value) for epoch, value in (("1", "1"), ("2", "20"), ("3", "30")) for seed in (0, 1)),
    ]


def test_tensorboard_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package nothing is begun."""
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"--tensorboard needs tensorboardX.*pip install 'macsgr-jax\[tensorboard\]'"):
        train_and_evaluate(tiny_config(), make_corpus(), [0], tmp_path / "run", Execution(tensorboard=True))
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_every_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One writer per run; after a resumption the epochs that are trained again replace the old ones."""
    written: list[tuple[str, int, str, float, int]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            self.folder, self.first = folder, purge_step

        def add_scalar(self, name: str, value: float, epoch: int) -> None:
            written.append((Path(self.folder).name, self.first, name, value, epoch))

        def flush(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(progress, "import_summary_writer", lambda: Writer)
    history: dict[str, Any] = make_history(1, 2)
    with EpochLog(tmp_path, "full", tensorboard=True).open([("seed_0", 0)], history, 1) as log_epoch:
        fill(history, 2, 3)
        log_epoch(2)
    assert [name for *_, name, _, _ in written] == [name.replace("_", "/", 1) for name in EPOCH_COLUMNS]
    assert {(run, first, value, epoch) for run, first, _, value, epoch in written} == {("seed_0", 2, 3.0, 2)}


@pytest.mark.skipif(importlib.util.find_spec("tensorboardX") is None, reason="needs the extra tensorboard")
def test_event_files_are_written(tmp_path: Path) -> None:
    with EpochLog(tmp_path, "full", tensorboard=True).open([("seed_0", 0)], make_history(1, 1), 0) as log_epoch:
        log_epoch(1)
    assert list((tmp_path / "tensorboard" / "full" / "seed_0").glob("events.*"))
