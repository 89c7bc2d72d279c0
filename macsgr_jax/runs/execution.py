"""Trains the runs of one network, several at once, with progress, checkpoints and histories on disk.

FOLDER/part_0.npz ...       the loss terms and validation scores of the runs that trained together first, ...
FOLDER/recovery_0/ ...      while they train: the last states, from which the training can be resumed
FOLDER/recovery_0.json ...  the runs whose states these are
FOLDER/RUN/                 the weights of one run
"""

import dataclasses
import operator
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.errors import InputError
from macsgr_jax.files import exists, is_file, is_folder, list_folder, read_npz, write_json, write_npz
from macsgr_jax.losses import TERMS
from macsgr_jax.runs.health import Collapse, Floor, describe_advice, find_collapse
from macsgr_jax.runs.interruption import Interrupted, StopRequests
from macsgr_jax.runs.progress import EpochLog, import_summary_writer, show_progress
from macsgr_jax.runs.results import SCALARS
from macsgr_jax.runs.schemas import Recovery, read_checked
from macsgr_jax.runs.tables import count_of
from macsgr_jax.training.checkpoint import RecoveryCheckpoints, RunCheckpoints
from macsgr_jax.training.devices import RUN, agree, fetch, is_writer, make_mesh, wait_for_all
from macsgr_jax.training.loop import (
    EpochReport,
    Runs,
    check_finite,
    init_runs_on_mesh,
    measure_run_bytes,
    train_runs,
)

# With this many runs a device is busy all the time; more of them would only take memory.
MAX_RUNS_PER_DEVICE = 64
MEMORY_FRACTION = 0.8
DAMAGED = "replace the run with --overwrite"


@dataclasses.dataclass(frozen=True)
class Spec:
    """One run to train.

    Attributes:
        name: the name of the folder of its weights.
        seed: the seed of its weights, data order, dropout and sampling.
        config: its configuration.
    """

    name: str
    seed: int
    config: Config


@dataclasses.dataclass(frozen=True)
class History:
    """The numbers of one run, by epoch.

    Attributes:
        terms: f32[epochs, terms], the mean of each loss term of `losses.TERMS`.
        validation: f32[epochs, scores], the scores of `results.SCALARS`.
        seconds: wall-clock time of the runs that trained together.
    """

    terms: np.ndarray
    validation: np.ndarray
    seconds: float

    def curve(self, score: str) -> np.ndarray:
        """Returns a validation score by epoch: f32[epochs]."""
        return self.validation[:, SCALARS.index(score)]

    @property
    def best_epoch(self) -> int:
        """The epoch of the best validation WAF1, from 1."""
        return int(np.argmax(self.curve("waf1"))) + 1


@dataclasses.dataclass(frozen=True)
class Execution:
    """How runs are trained: nothing here changes their numbers beyond rounding.

    Attributes:
        runs_at_once: the number of runs that are vmapped into one program; None takes as many as fit into the memory of
            the devices, and one on a CPU, where more gain nothing.
        split_batch: the number of devices that share each batch; the others share the runs.
        save_every: epochs between two checkpoints from which a training can be resumed.
        console: the console that progress is printed on; by default nothing is printed.
        stop: requests to stop, looked at after every epoch.
        stop_at_divergence: whether to raise DivergenceError where a loss is not finite; otherwise the run is trained to
            its end and counts as diverged.
        warn_of_collapse: whether to print a line where a run stops learning; log.csv marks it in any case.
        tensorboard: whether to write TensorBoard event files beside log.csv.
    """

    runs_at_once: int | None = None
    split_batch: int = 1
    save_every: int = 5
    console: Console = dataclasses.field(default_factory=lambda: Console(quiet=True))
    stop: StopRequests | None = None
    stop_at_divergence: bool = True
    warn_of_collapse: bool = True
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Raises InputError where a number is too small."""
        for name, value in (("runs-at-once", self.runs_at_once), ("save-every", self.save_every)):
            if value is not None and value < 1:
                raise InputError(f"--{name} must be at least 1")


DEFAULT_EXECUTION = Execution()


def check_execution(execution: Execution) -> Mesh:
    """Checks that the devices and the installed packages allow an execution; compiles nothing.

    Returns:
        The mesh of the devices.

    Raises:
        InputError: the devices cannot be divided so, or a package is missing.
    """
    if execution.tensorboard:
        import_summary_writer()
    return make_mesh(execution.split_batch)


def choose_runs_at_once(execution: Execution, mesh: Mesh, prepared: PreparedCorpus, config: Config) -> int:
    """Returns the number of runs of one program; where that is left open, it compiles a run to measure its memory."""
    return execution.runs_at_once or mesh.shape[RUN] * count_fitting_runs(prepared, config)


def count_fitting_runs(prepared: PreparedCorpus, config: Config) -> int:
    """Returns the number of runs that one device should train at once: one on a CPU, otherwise as many as fit."""
    device = jax.local_devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    if not statistics:
        return 1
    free = MEMORY_FRACTION * statistics["bytes_limit"] - statistics["bytes_in_use"]
    return max(1, min(MAX_RUNS_PER_DEVICE, int(free / measure_run_bytes(prepared, config))))


def train_network(
    prepared: PreparedCorpus,
    specs: Sequence[Spec],
    folder: Path,
    execution: Execution,
    log: EpochLog,
    title: str,
    keep: Callable[[list[tuple[Spec, History]]], set[str]] | None = None,
) -> list[History]:
    """Trains runs that differ in seed and traced hyperparameters; those that are finished are read instead.

    Args:
        prepared: the prepared corpus.
        specs: the runs.
        folder: the folder for checkpoints, weights and histories.
        execution: how they are trained.
        log: the log of their epochs.
        title: the text in front of each line of progress.
        keep: called with all finished runs, returns the names of those whose weights are kept; by default all are.

    Returns:
        The history of each run.

    Raises:
        InputError: a state to resume from belongs to another number of runs per program.
        Interrupted: a stop was requested; everything up to it is saved.
        DivergenceError: see `Execution`.
    """
    mesh = check_execution(execution)
    histories = load_histories(folder, specs)
    first = _count_parts(folder)
    if is_writer():
        for number in range(first):  # A process may have been killed between the end of a part and this.
            _forget_recovery(folder / f"recovery_{number}")
    if len(histories) < len(specs):
        floor = Floor(prepared)
        size = min(choose_runs_at_once(execution, mesh, prepared, specs[0].config), len(specs))
    while len(histories) < len(specs):
        remaining = [spec for spec in specs if spec.name not in histories]
        number = _count_parts(folder)
        recovery = folder / f"recovery_{number}"
        chunk, together = _choose_together(remaining, size, recovery, execution, mesh)
        heading = f"{title} {chunk[0].name}" + (f" to {chunk[-1].name}" if len(chunk) > 1 else "")
        programs_left = -(-(len(remaining) - len(chunk)) // size)
        later = None if number > first else programs_left * chunk[0].config.train.epochs
        runs, trained = _train_together(prepared, together, recovery, execution, mesh, log, heading, later, floor)
        finished = [(spec, histories[spec.name]) for spec in specs if spec.name in histories]
        finished += zip(chunk, trained, strict=False)
        kept = {spec.name for spec in specs} if keep is None else keep(finished)
        _save_weights(folder, chunk, trained, fetch((runs.state.params, runs.best_params)), kept)
        if is_writer():
            _save_part(folder / f"part_{number}.npz", chunk, trained[: len(chunk)])
        wait_for_all("runs finished")
        histories = load_histories(folder, specs)
        if is_writer():
            _forget_recovery(recovery)
            if keep is not None:
                _forget_weights(folder, {spec.name for spec, _ in finished} - keep(finished))
    return [histories[spec.name] for spec in specs]


def _choose_together(
    remaining: Sequence[Spec], size: int, recovery: Path, execution: Execution, mesh: Mesh
) -> tuple[list[Spec], list[Spec]]:
    """Chooses the runs to train next, and fills them up with copies so that all programs have one shape.

    A state to resume from decides where the number of runs at once is left open.
    """
    chunk = list(remaining[:size])
    stored = _read_recovery(recovery)
    if stored is None or (stored["runs"] == [spec.name for spec in chunk] and stored["states"] == _pad(size, mesh)):
        together = chunk + chunk[:1] * (size - len(chunk))
        if is_writer() and stored is None:
            recovery.parent.mkdir(parents=True, exist_ok=True)
            names = [spec.name for spec in chunk]
            write_json(recovery.with_suffix(".json"), {"runs": names, "states": _pad(size, mesh)})
        return chunk, together
    names, states = stored["runs"], stored["states"]
    chunk = [spec for spec in remaining if spec.name in names]
    if execution.runs_at_once is None and len(chunk) == len(names) and _pad(states, mesh) == states:
        return chunk, chunk + chunk[:1] * (states - len(chunk))
    advice = f"resume with --runs-at-once {len(names)}"
    if _pad(len(names), mesh) != states:
        advice += f" on a number of devices that divides {states}"
    raise InputError(
        f"--resume: {recovery} holds the state of {count_of(len(names), 'run')} in one program, and now"
        f" {count_of(min(size, len(remaining)), 'run')} would be: {advice}, or replace everything with --overwrite"
    )


def _pad(runs: int, mesh: Mesh) -> int:
    """Returns the number of states of a program: its runs are padded to a multiple of the devices."""
    return -(-runs // mesh.shape[RUN]) * mesh.shape[RUN]


def _read_recovery(recovery: Path) -> dict[str, Any] | None:
    """Returns which runs a recovery folder holds the states of; None where there is no state."""
    description = recovery.with_suffix(".json")
    if not exists(description) or not is_folder(recovery):
        return None
    if not any(path.name.isdecimal() for path in list_folder(recovery)):
        return None
    return read_checked(description, Recovery, DAMAGED).model_dump()


def _forget_recovery(recovery: Path) -> None:
    shutil.rmtree(recovery, ignore_errors=True)
    recovery.with_suffix(".json").unlink(missing_ok=True)


def _train_together(
    prepared: PreparedCorpus,
    specs: Sequence[Spec],
    folder: Path,
    execution: Execution,
    mesh: Mesh,
    log: EpochLog,
    title: str,
    later_epochs: int | None,
    floor: Floor,
) -> tuple[Runs, list[History]]:
    """Trains runs as one program; returns their last state and their histories."""
    configs, seeds = [spec.config for spec in specs], [spec.seed for spec in specs]
    epochs = configs[0].train.epochs
    history: dict[str, np.ndarray] = {
        "terms": np.full((len(specs), epochs, len(TERMS)), np.nan, np.float32),
        "validation": np.full((len(specs), epochs, len(SCALARS)), np.nan, np.float32),
        "seconds": np.zeros(1),
    }
    names = list(dict.fromkeys((spec.name, spec.seed) for spec in specs))  # The copies come last.
    start_time = time.perf_counter()
    if _agree_to_stop(execution):
        raise _interrupt(execution, f"{title}: stopped before its first epoch")
    with RecoveryCheckpoints(folder) as recovery:
        start = _resume(recovery, prepared, specs, history, execution, mesh)
        before = float(history["seconds"][0])
        watch = _Watch(specs[: len(names)], history, floor, execution, log.network)
        watch.look_back(start[0] if start else 0)
        with (
            log.open(names, history | {"collapsed": watch.collapsed}, start[0] if start else 0) as log_epoch,
            show_progress(execution.console, title, epochs, later_epochs) as show,
        ):

            def record(report: EpochReport) -> None:
                history["terms"][:, report.epoch - 1] = np.stack([report.terms[name].mean(axis=1) for name in TERMS], 1)
                history["validation"][:, report.epoch - 1] = np.stack([report.validation[name] for name in SCALARS], 1)
                history["seconds"][0] = before + time.perf_counter() - start_time
                collapses = watch.look(report.epoch)
                log_epoch(report.epoch)
                watch.warn(collapses)
                if execution.stop_at_divergence:
                    check_finite(report, seeds, configs)
                show(report)

            unreported = None
            for epoch in train_runs(prepared, configs, seeds, start=start, mesh=mesh):
                if unreported:
                    record(unreported.report)  # While the devices work on this epoch.
                runs, unreported = epoch.runs, epoch
                stopping = _agree_to_stop(execution)
                if epoch.number < epochs and (stopping or epoch.number % execution.save_every == 0):
                    record(epoch.report)
                    unreported = None
                    recovery.save(epoch.number, {"runs": runs, "history": history})
                    if stopping:
                        raise _interrupt(execution, f"{title}: stopped after epoch {epoch.number} of {epochs}")
            if unreported:
                record(unreported.report)
    parts = zip(history["terms"], history["validation"], strict=True)
    return runs, [History(terms, validation, float(history["seconds"][0])) for terms, validation in parts]


class _Watch:
    """Looks at the runs of a program after each epoch, and names once each that stops learning.

    Attributes:
        collapsed: bool[S, epochs], whether each run had stopped learning after each epoch.
    """

    def __init__(
        self, specs: Sequence[Spec], history: dict[str, np.ndarray], floor: Floor, execution: Execution, network: str
    ) -> None:
        self._specs, self._history, self._floor = specs, history, floor
        self._console, self._network = execution.console if execution.warn_of_collapse else None, network
        self._named: set[str] = set()
        self.collapsed = np.zeros((len(specs), history["terms"].shape[1]), bool)

    def look(self, epoch: int) -> list[tuple[Spec, Collapse]]:
        """Returns the runs that have stopped learning, at an epoch that is in the history."""
        found = []
        for index, spec in enumerate(self._specs):
            terms, validation = (self._history[name][index, :epoch] for name in ("terms", "validation"))
            collapse = find_collapse(terms, validation, spec.config, self._floor)
            self.collapsed[index, epoch - 1] = collapse is not None
            if collapse is not None:
                found.append((spec, collapse))
        return found

    def look_back(self, done: int) -> None:
        """Looks at the epochs that an earlier attempt has trained."""
        for epoch in range(1, done + 1):
            self.look(epoch)

    def warn(self, collapses: Sequence[tuple[Spec, Collapse]]) -> None:
        """Prints a line for each run that has not been named before."""
        for spec, (epoch, reason) in collapses:
            if self._console and spec.name not in self._named:
                line = f"warning: {self._network} {spec.name}, from epoch {epoch} on: {reason}"
                self._console.print(f"{line}: {describe_advice(spec.config)}", highlight=False, soft_wrap=True)
                self._named.add(spec.name)


def _agree_to_stop(execution: Execution) -> bool:
    return agree(execution.stop is not None and execution.stop.received is not None)


def _interrupt(execution: Execution, message: str) -> Interrupted:
    received = execution.stop.received if execution.stop else None
    return Interrupted(message, received or signal.SIGTERM)


def _resume(
    recovery: RecoveryCheckpoints,
    prepared: PreparedCorpus,
    specs: Sequence[Spec],
    history: dict[str, np.ndarray],
    execution: Execution,
    mesh: Mesh,
) -> tuple[int, Runs] | None:
    """Reads the state to resume from, and its history into `history`; returns None where there is no checkpoint."""
    if recovery.is_empty():
        return None
    like = init_runs_on_mesh(prepared, specs[0].config, [spec.seed for spec in specs], mesh=mesh)
    epoch, state, notices = recovery.restore({"runs": like, "history": history})
    for notice in notices:
        execution.console.print(f"note: {notice}", highlight=False, soft_wrap=True)
    for name, values in state["history"].items():
        history[name][...] = np.asarray(values)
    return epoch, state["runs"]


def _save_weights(
    folder: Path, specs: Sequence[Spec], histories: Sequence[History], weights: tuple[Any, Any], kept: set[str]
) -> None:
    """Writes the last and the best weights of each run; `weights` has the runs in front."""
    if not is_writer():
        return
    for index, (spec, history) in enumerate(zip(specs, histories, strict=False)):
        if spec.name not in kept:
            continue
        last, best = (jax.tree.map(operator.itemgetter(index), params) for params in weights)
        shutil.rmtree(folder / spec.name, ignore_errors=True)  # A part of it, where an earlier attempt was killed.
        with RunCheckpoints(folder / spec.name) as checkpoints:
            for epoch, params in sorted({len(history.terms): last, history.best_epoch: best}.items()):
                checkpoints.save(epoch, params, float(history.curve("waf1")[epoch - 1]))


def _forget_weights(folder: Path, names: set[str]) -> None:
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)


def _save_part(path: Path, specs: Sequence[Spec], histories: Sequence[History]) -> None:
    """Writes the histories of runs that trained together as one file."""
    write_npz(
        path,
        {
            "runs": np.array([spec.name for spec in specs]),
            "terms": np.stack([history.terms for history in histories]),
            "validation": np.stack([history.validation for history in histories]),
            "seconds": np.array([history.seconds for history in histories]),
        },
    )


def _count_parts(folder: Path) -> int:
    number = 0
    while is_file(folder / f"part_{number}.npz"):
        number += 1
    return number


def load_histories(folder: Path, specs: Sequence[Spec]) -> dict[str, History]:
    """Reads the histories of the finished runs in a folder.

    Args:
        folder: the folder of `train_network`.
        specs: the runs; files of version 0.1 do not name theirs, and hold them in this order.

    Returns:
        The name of each finished run -> its history.
    """
    histories: dict[str, History] = {}
    epochs = {spec.name: spec.config.train.epochs for spec in specs}
    for number in range(_count_parts(folder)):
        path = folder / f"part_{number}.npz"
        arrays = read_npz(path, DAMAGED)
        first = len(histories)
        if "runs" not in arrays and "seconds" in arrays:
            arrays["runs"] = np.array([spec.name for spec in specs[first : first + arrays["seconds"].size]], np.str_)
        _check_part(path, arrays, epochs)
        columns = [arrays[name] for name in ("terms", "validation", "seconds")]
        for name, terms, validation, seconds in zip(arrays["runs"].tolist(), *columns, strict=True):
            histories[name] = History(terms, validation, float(seconds))
    return histories


def _check_part(path: Path, arrays: dict[str, np.ndarray], epochs: Mapping[str, int]) -> None:
    """Checks that the arrays of a part are the histories of runs of this training.

    Raises:
        InputError: they are not.
    """
    missing = [name for name in ("runs", "terms", "validation", "seconds") if name not in arrays]
    if missing:
        raise InputError(f"{path} is damaged (it lacks the array {missing[0]}): {DAMAGED}")
    runs = arrays["runs"].tolist() if arrays["runs"].ndim == 1 and arrays["runs"].dtype.kind == "U" else []
    unknown = [name for name in runs if name not in epochs]
    if not runs or unknown or len(set(runs)) < len(runs):
        raise InputError(f"{path} is damaged (it does not name the runs of this training): {DAMAGED}")
    lengths = (len(runs), epochs[runs[0]])
    shapes = {"terms": (*lengths, len(TERMS)), "validation": (*lengths, len(SCALARS)), "seconds": (len(runs),)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype.kind != "f":
            found = f"{arrays[name].dtype}{list(arrays[name].shape)}"
            raise InputError(f"{path} is damaged ({name} is {found} instead of float{list(shape)}): {DAMAGED}")
