"""Progress of a training: a bar or lines with the time left, and log.csv with one row per run and epoch."""

import csv
import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from macsgr_jax.errors import InputError
from macsgr_jax.files import is_file, read_file, write_text
from macsgr_jax.limits import MAX_TABLE_BYTES
from macsgr_jax.losses import TERMS
from macsgr_jax.runs.results import SCALARS
from macsgr_jax.training.devices import is_writer
from macsgr_jax.training.loop import EpochReport

LINES_WITHOUT_TERMINAL = 10
# The first epoch includes the compilation, so the time left is estimated from the second and the third.
ESTIMATE_AFTER = 3
LOG_FILE, TENSORBOARD_FOLDER = "log.csv", "tensorboard"
EPOCH_COLUMNS = (*(f"loss_{name}" for name in TERMS), *(f"validation_{name}" for name in SCALARS))

ReportEpoch = Callable[[EpochReport], None]
LogEpoch = Callable[[int], None]


@contextmanager
def show_progress(console: Console, title: str, epochs: int, later_epochs: int | None = 0) -> Iterator[ReportEpoch]:
    """Shows the progress of runs that train together.

    Args:
        console: the console to print on; a bar if it is a terminal, otherwise a line for every tenth of the epochs.
        title: the text in front of each line.
        epochs: the last epoch.
        later_epochs: epochs of the programs that follow this one, for the estimate of the time left; None: no estimate.

    Yields:
        The function to call with the report of each epoch.
    """
    if not console.is_terminal:
        every = max(1, epochs // LINES_WITHOUT_TERMINAL)
        times: list[float] = []

        def print_line(report: EpochReport) -> None:
            times.append(time.perf_counter())
            if report.epoch % every == 0 or report.epoch == epochs:
                line = f"{title} epoch {report.epoch}/{epochs} {_describe(report)}"
                console.print(line, highlight=False, soft_wrap=True)
            if later_epochs is not None and len(times) == ESTIMATE_AFTER and report.epoch < epochs:
                seconds = (times[-1] - times[0]) / (ESTIMATE_AFTER - 1) * (epochs - report.epoch + later_epochs)
                console.print(f"{title}: about {describe_duration(seconds)} left", highlight=False, soft_wrap=True)

        yield print_line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[terms]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(title, total=epochs, terms="compiling")
        yield lambda report: progress.update(bar, completed=report.epoch, terms=_describe(report))


def describe_duration(seconds: float) -> str:
    """Returns a duration in words of a fitting unit, such as "3 min"."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _describe(report: EpochReport) -> str:
    """Returns loss terms and validation WAF1, averaged over the runs."""
    means = {name: np.mean(report.terms[name]) for name in TERMS}
    terms = " ".join(f"{name} {mean:.3f}" for name, mean in means.items() if mean or name != "uncertainty")
    waf1 = 100 * report.validation["waf1"]
    spread = "" if len(waf1) == 1 else f" ({waf1.min():.1f} to {waf1.max():.1f})"
    return f"{terms} | validation WAF1 {waf1.mean():.1f}{spread}"


def format_epoch(terms: np.ndarray, validation: np.ndarray) -> list[str]:
    """Returns the values of EPOCH_COLUMNS as text.

    Args:
        terms: f32[terms], the mean of each loss term over the steps of the epoch.
        validation: f32[scores], the scores of the validation split after the epoch.
    """
    return [f"{value:.6g}" for value in (*terms, *validation)]


class EpochLog:
    """The numbers of every epoch of one network's runs, written as epochs end: OUT/log.csv and, if asked, TensorBoard.

    Args:
        out: the folder of the run.
        network: the name of the network, written into every row.
        tensorboard: whether to write event files into OUT/tensorboard/NETWORK/RUN too.

    Attributes:
        network: the name of the network.
    """

    def __init__(self, out: Path, network: str, tensorboard: bool = False) -> None:
        self._path, self.network = out / LOG_FILE, network
        self._events = out / TENSORBOARD_FOLDER / network if tensorboard else None
        self._logged = {(row[0], row[1]) for row in self._read()}
        self._inherited = self._path.is_file()  # Its last row may have been cut short.

    @contextmanager
    def open(self, runs: Sequence[tuple[str, int]], history: dict[str, np.ndarray], done: int) -> Iterator[LogEpoch]:
        """Logs the epochs of runs that train together; rows of earlier attempts are replaced.

        Args:
            runs: name and seed of each run.
            history: `terms` f32[S, epochs, terms], `validation` f32[S, epochs, scores] and `collapsed` bool[S, epochs],
                whether each run had stopped learning; filled as epochs end.
            done: the number of epochs that are trained already; they are in `history`.

        Yields:
            The function to call with the number of each epoch once it is in `history`.
        """
        if not is_writer():
            yield lambda epoch: None
            return
        self._begin(runs, history, done)
        with ExitStack() as stack:
            file = stack.enter_context(open(self._path, "a", newline="", encoding="utf-8"))
            writers = [stack.enter_context(self._open_events(name, done)) for name, _ in runs] if self._events else []

            def log_epoch(epoch: int) -> None:
                self._write(file, runs, history, epoch)
                for index, writer in enumerate(writers):
                    numbers = np.concatenate([history[name][index, epoch - 1] for name in ("terms", "validation")])
                    for column, value in zip(EPOCH_COLUMNS, numbers, strict=True):
                        writer.add_scalar(column.replace("_", "/", 1), float(value), epoch)
                    writer.flush()

            yield log_epoch

    def _begin(self, runs: Sequence[tuple[str, int]], history: dict[str, np.ndarray], done: int) -> None:
        """Writes the file so that it holds the epochs that are done of these runs, and all rows of others."""
        names = {(self.network, name) for name, _ in runs}
        if not self._path.is_file() or self._inherited or names & self._logged:
            others = [row for row in self._read() if (row[0], row[1]) not in names]
            head = ["network", "run", "seed", "epoch", *EPOCH_COLUMNS, "collapsed"]
            write_text(self._path, "".join(",".join(row) + "\n" for row in [head, *others]))
        self._logged, self._inherited = self._logged | names, False
        with open(self._path, "a", newline="", encoding="utf-8") as file:
            for epoch in range(1, done + 1):
                self._write(file, runs, history, epoch)

    def _write(self, file: TextIO, runs: Sequence[tuple[str, int]], history: dict[str, np.ndarray], epoch: int) -> None:
        writer = csv.writer(file, lineterminator="\n")
        for index, (name, seed) in enumerate(runs):
            values = format_epoch(history["terms"][index, epoch - 1], history["validation"][index, epoch - 1])
            writer.writerow([self.network, name, seed, epoch, *values, int(history["collapsed"][index, epoch - 1])])
        file.flush()

    def _read(self) -> list[list[str]]:
        """Returns the rows of the file without those that a killed process has cut short."""
        if not is_file(self._path):
            return []
        content = read_file(self._path, MAX_TABLE_BYTES).decode("utf-8", errors="replace")
        lines = content.splitlines(keepends=True)[1:]
        try:
            rows = list(csv.reader(line for line in lines if line.endswith("\n")))
        except csv.Error:  # Damaged: the training does not need it.
            return []
        return [row for row in rows if len(row) == 5 + len(EPOCH_COLUMNS)]

    @contextmanager
    def _open_events(self, name: str, done: int) -> Iterator[Any]:
        assert self._events is not None
        writer = import_summary_writer()(str(self._events / name), purge_step=done + 1)
        try:
            yield writer
        finally:
            writer.close()


def import_summary_writer() -> Any:
    """Imports the class that writes TensorBoard event files.

    Raises:
        InputError: tensorboardX is not installed.
    """
    try:
        return importlib.import_module("tensorboardX").SummaryWriter
    except ImportError:
        raise InputError(
            "--tensorboard needs tensorboardX, which is not installed: pip install 'macsgr-jax[tensorboard]'"
        ) from None
