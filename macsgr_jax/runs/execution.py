"""Train the runs of one network, several at once: progress on screen, checkpoints on disk, histories in the hand."""

import dataclasses
import operator
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.files import write_npz
from macsgr_jax.losses import TERMS
from macsgr_jax.runs.interruption import Interrupted, StopRequests
from macsgr_jax.runs.progress import show_progress
from macsgr_jax.runs.results import SCALARS
from macsgr_jax.training.checkpoint import RecoveryCheckpoints, RunCheckpoints
from macsgr_jax.training.devices import agree, fetch, is_writer, wait_for_all
from macsgr_jax.training.loop import EpochReport, Runs, check_finite, init_runs_on_mesh, train_runs


@dataclasses.dataclass(frozen=True)
class Spec:
    """One run to train.

    Attributes:
        name: of its folder of weights.
        seed: the seed.
        config: the settings.
    """

    name: str
    seed: int
    config: Config


@dataclasses.dataclass(frozen=True)
class History:
    """What one run did.

    Attributes:
        terms: f32[epochs, terms], the mean of each loss term of `losses.TERMS`.
        validation: f32[epochs, scores], the scores of `results.SCALARS`.
        seconds: wall-clock time of the runs that trained together.
    """

    terms: np.ndarray
    validation: np.ndarray
    seconds: float

    def curve(self, score: str) -> np.ndarray:
        """A validation score by epoch: f32[epochs]."""
        return self.validation[:, SCALARS.index(score)]

    @property
    def best_epoch(self) -> int:
        """The epoch of the best validation WAF1, from 1."""
        return int(np.argmax(self.curve("waf1"))) + 1


@dataclasses.dataclass(frozen=True)
class Execution:
    """How runs are trained.

    Attributes:
        console: for the progress.
        mesh: the devices.
        runs_at_once: runs of one program.
        save_every: epochs between two checkpoints to resume from.
        stop: requests to stop.
        stop_at_divergence: raise DivergenceError where a loss is not finite; without it the run goes on, worthless.
    """

    console: Console
    mesh: Mesh
    runs_at_once: int
    save_every: int
    stop: StopRequests
    stop_at_divergence: bool = True


def train_network(
    prepared: PreparedCorpus,
    specs: Sequence[Spec],
    folder: Path,
    execution: Execution,
    title: str,
    keep: Callable[[list[tuple[Spec, History]]], set[str]] | None = None,
) -> list[History]:
    """Train runs that differ in their seed and in their traced hyperparameters; those that are finished are read instead.

    Args:
        prepared: the data.
        specs: the runs.
        folder: for checkpoints, weights and histories.
        execution: how.
        title: heads the progress.
        keep: called with all finished runs; the names of those whose weights are kept, by default all.

    Returns:
        What each run did.

    Raises:
        Interrupted: a stop was requested; everything up to it is saved.
        DivergenceError: see `Execution`.
    """
    size = min(execution.runs_at_once, len(specs))
    finished: list[tuple[Spec, History]] = []
    for number, first in enumerate(range(0, len(specs), size)):
        chunk = list(specs[first : first + size])
        part = folder / f"part_{number}.npz"
        if not part.is_file():
            heading = f"{title} {chunk[0].name}" + (f" to {chunk[-1].name}" if len(chunk) > 1 else "")
            # Filled up, so that the last program has the shape of the others.
            together = chunk + chunk[:1] * (size - len(chunk))
            runs, histories = _train_together(prepared, together, folder / f"recovery_{number}", execution, heading)
            candidates = finished + list(zip(chunk, histories, strict=False))
            kept = {spec.name for spec in specs} if keep is None else keep(candidates)
            _save_weights(folder, chunk, histories, fetch((runs.state.params, runs.best_params)), kept)
            if is_writer():
                _save_part(part, histories[: len(chunk)])
            wait_for_all("runs finished")
        finished += zip(chunk, _load_part(part), strict=True)
        if is_writer():
            shutil.rmtree(folder / f"recovery_{number}", ignore_errors=True)
            if keep is not None:
                _forget_weights(folder, {spec.name for spec, _ in finished} - keep(finished))
    return [history for _, history in finished]


def _train_together(
    prepared: PreparedCorpus, specs: Sequence[Spec], folder: Path, execution: Execution, title: str
) -> tuple[Runs, list[History]]:
    """The last state of some runs, and what they did."""
    configs, seeds = [spec.config for spec in specs], [spec.seed for spec in specs]
    epochs = configs[0].train.epochs
    history: dict[str, np.ndarray] = {
        "terms": np.full((len(specs), epochs, len(TERMS)), np.nan, np.float32),
        "validation": np.full((len(specs), epochs, len(SCALARS)), np.nan, np.float32),
        "seconds": np.zeros(1),
    }
    start_time = time.perf_counter()
    if agree(execution.stop.received is not None):
        raise _interrupt(execution, f"{title}: stopped before its first epoch")
    with RecoveryCheckpoints(folder) as recovery, show_progress(execution.console, title, epochs) as show:
        start = _resume(recovery, prepared, specs, history, execution)
        before = float(history["seconds"][0])

        def record(report: EpochReport) -> None:
            history["terms"][:, report.epoch - 1] = np.stack([report.terms[name].mean(axis=1) for name in TERMS], 1)
            history["validation"][:, report.epoch - 1] = np.stack([report.validation[name] for name in SCALARS], 1)
            history["seconds"][0] = before + time.perf_counter() - start_time
            if execution.stop_at_divergence:
                check_finite(report, seeds)
            show(report)

        runs, waiting = start[1] if start else None, None
        for epoch in train_runs(prepared, configs, seeds, start=start, mesh=execution.mesh):
            if waiting:
                record(waiting.report)  # While the devices work on the next epoch.
            runs, waiting = epoch.runs, epoch
            stopping = agree(execution.stop.received is not None)
            if epoch.number < epochs and (stopping or epoch.number % execution.save_every == 0):
                record(epoch.report)
                waiting = None
                recovery.save(epoch.number, {"runs": runs, "history": history})
                if stopping:
                    raise _interrupt(execution, f"{title}: stopped after epoch {epoch.number} of {epochs}")
        if waiting:
            record(waiting.report)
    parts = zip(history["terms"], history["validation"], strict=True)
    return runs, [History(terms, validation, float(history["seconds"][0])) for terms, validation in parts]


def _interrupt(execution: Execution, message: str) -> Interrupted:
    return Interrupted(message, execution.stop.received or signal.SIGTERM)


def _resume(
    recovery: RecoveryCheckpoints,
    prepared: PreparedCorpus,
    specs: Sequence[Spec],
    history: dict[str, np.ndarray],
    execution: Execution,
) -> tuple[int, Runs] | None:
    """The state to go on from, its history put into `history`; None where there is no checkpoint."""
    if recovery.is_empty():
        return None
    like = init_runs_on_mesh(prepared, specs[0].config, [spec.seed for spec in specs], mesh=execution.mesh)
    epoch, state, notices = recovery.restore({"runs": like, "history": history})
    for notice in notices:
        execution.console.print(f"note: {notice}", highlight=False, soft_wrap=True)
    for name, values in state["history"].items():
        history[name][...] = np.asarray(values)
    return epoch, state["runs"]


def _save_weights(
    folder: Path, specs: Sequence[Spec], histories: Sequence[History], weights: tuple[Any, Any], kept: set[str]
) -> None:
    """The last and the best weights of each run; `weights` has the runs in front."""
    if not is_writer():
        return
    for place, (spec, history) in enumerate(zip(specs, histories, strict=False)):
        if spec.name not in kept:
            continue
        last, best = (jax.tree.map(operator.itemgetter(place), params) for params in weights)
        shutil.rmtree(folder / spec.name, ignore_errors=True)  # Half of it, where an earlier try was killed.
        with RunCheckpoints(folder / spec.name) as checkpoints:
            for epoch, params in sorted({len(history.terms): last, history.best_epoch: best}.items()):
                checkpoints.save(epoch, params, float(history.curve("waf1")[epoch - 1]))


def _forget_weights(folder: Path, names: set[str]) -> None:
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)


def _save_part(path: Path, histories: Sequence[History]) -> None:
    """The histories of runs that trained together, as one file."""
    write_npz(
        path,
        {
            "terms": np.stack([history.terms for history in histories]),
            "validation": np.stack([history.validation for history in histories]),
            "seconds": np.array([history.seconds for history in histories]),
        },
    )


def _load_part(path: Path) -> list[History]:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        columns = (arrays["terms"], arrays["validation"], arrays["seconds"])
        return [History(terms, validation, float(seconds)) for terms, validation, seconds in zip(*columns, strict=True)]
