"""Train and evaluate the seeds of one network: progress on the screen, checkpoints on disk, scores in the hand."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.results import SeedResult, score_counts
from macsgr_jax.checkpoint import Params, SeedCheckpoints, load_params
from macsgr_jax.config import Config
from macsgr_jax.models import build_network
from macsgr_jax.task import Task
from macsgr_jax.train import EpochReport, evaluate, predict, run

LINES_WITHOUT_TERMINAL = 10


class Prediction(NamedTuple):
    """What one seed says of one test utterance.

    Attributes:
        utterance: row of the corpus.
        probabilities: f32[C].
        weights: f32[M], fusion weights.
    """

    utterance: int
    probabilities: np.ndarray
    weights: np.ndarray


def train_seed(task: Task, config: Config, seed: int, folder: Path, console: Console, name: str) -> SeedResult:
    """Train one seed, keep its checkpoints, and evaluate the one that the configuration chooses.

    Args:
        task: the data.
        config: the settings.
        seed: the seed.
        folder: for the checkpoints.
        console: for the progress.
        name: heads the progress.

    Returns:
        What it reached. The test split is read once, here, after training.
    """
    start = time.perf_counter()
    curves: dict[str, list[float]] = {}
    with SeedCheckpoints(folder, seed) as checkpoints, _show_progress(console, name, config.train.epochs) as show:

        def on_epoch(report: EpochReport) -> None:
            waf1 = float(report.validation["waf1"])
            if report.epoch == config.train.epochs or waf1 > max(curves.get("validation_waf1", [-1.0])):
                checkpoints.save(report.epoch, report.state.params, waf1)
            for term, value in {**report.terms, "validation_waf1": waf1}.items():
                curves.setdefault(term, []).append(value)
            show(report)

        run(task, config, seed, on_epoch)
    params, epoch = load_params(folder, seed, config.train.checkpoint)
    return SeedResult(
        seed=seed,
        epoch=epoch,
        validation=evaluate_split(task, config, params, "validation"),
        test=evaluate_split(task, config, params, "test"),
        curves=curves,
        seconds=time.perf_counter() - start,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(params)),
    )


def evaluate_split(task: Task, config: Config, params: Params, split: str) -> dict[str, Any]:
    """The scores of a split as plain values."""
    network = build_network(config.model, task.corpus.num_classes)
    rows = jnp.asarray(task.evaluation_rows(split))
    return score_counts(evaluate(params, task.utterances, rows, network=network), task.corpus.label_names)


def predict_split(task: Task, config: Config, params: Params, split: str) -> Iterator[Prediction]:
    """What the network says of every utterance of a split, in the corpus's order."""
    network = build_network(config.model, task.corpus.num_classes)
    rows = task.evaluation_rows(split)
    said = predict(params, task.utterances, jnp.asarray(rows), network=network)
    probabilities, weights = np.asarray(said.probabilities), np.asarray(said.weights)
    places = {int(rows[place]): place for place in zip(*np.nonzero(rows >= 0), strict=True)}
    for utterance in sorted(places):
        step, row, slot = places[utterance]
        yield Prediction(utterance, probabilities[step, row, slot], weights[step, :, row, slot])


@contextmanager
def _show_progress(console: Console, name: str, epochs: int) -> Iterator:
    """A bar on a terminal; elsewhere (a log file) a line now and then."""
    if not console.is_terminal:
        every = max(1, epochs // LINES_WITHOUT_TERMINAL)

        def print_line(report: EpochReport) -> None:
            if report.epoch % every == 0 or report.epoch == epochs:
                console.print(
                    f"{name} epoch {report.epoch}/{epochs} {_describe(report)}", highlight=False, soft_wrap=True
                )

        yield print_line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[terms]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(name, total=epochs, terms="compiling")
        yield lambda report: progress.update(bar, completed=report.epoch, terms=_describe(report))


def _describe(report: EpochReport) -> str:
    terms = " ".join(f"{term} {value:.3f}" for term, value in report.terms.items())
    return f"{terms} | validation WAF1 {100 * float(report.validation['waf1']):.1f}"
