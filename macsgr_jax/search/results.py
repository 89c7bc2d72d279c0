"""Results of a sweep: one tidy table of all runs and epochs, a summary of the points, and the choice among them."""

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax import __version__
from macsgr_jax.config import Config
from macsgr_jax.files import write_atomically
from macsgr_jax.metrics import summarize
from macsgr_jax.runs.execution import History
from macsgr_jax.runs.progress import EPOCH_COLUMNS, format_epoch
from macsgr_jax.runs.results import SCALARS, describe_command, describe_machine
from macsgr_jax.search.space import Point

SCHEMA = "macsgr_jax.sweep/1"
SMALLER_IS_BETTER = ("nll", "ece")


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A trained run of a sweep.

    Attributes:
        point: the index of its point.
        seed: its seed.
        config: its configuration.
        history: the numbers of its epochs.
        collapsed: whether it had stopped learning at its end.
    """

    point: int
    seed: int
    config: Config
    history: History
    collapsed: bool = False

    def score(self, name: str) -> float:
        """Returns a validation score of the epoch whose weights count; NaN where the training diverged."""
        last = self.config.train.checkpoint == "last"
        epoch = len(self.history.terms) if last else self.history.best_epoch
        trained = np.isfinite(self.history.terms[:epoch]).all() and np.isfinite(self.history.curve("nll")[epoch - 1])
        return float(self.history.curve(name)[epoch - 1]) if trained else float("nan")


def rank_points(finished: Sequence[FinishedRun], select: str) -> list[int]:
    """Ranks the points from the best mean over seeds to the worst; a point with a diverged run comes last.

    Args:
        finished: the runs.
        select: the score that ranks, such as validation.waf1.

    Returns:
        The indices of the points.
    """
    name = select.removeprefix("validation.")
    sign = 1 if name in SMALLER_IS_BETTER else -1
    values: dict[int, list[float]] = defaultdict(list)
    for one in finished:
        values[one.point].append(sign * one.score(name))
    means = {point: float(np.mean(scores)) for point, scores in values.items()}
    return sorted(means, key=lambda point: (not np.isfinite(means[point]), means[point], point))


def choose_point(finished: Sequence[FinishedRun], select: str) -> int:
    """Returns the best point of `rank_points`."""
    return rank_points(finished, select)[0]


def describe_points(points: Sequence[Point], finished: Sequence[FinishedRun], select: str) -> list[dict[str, Any]]:
    """Returns setting, rank and validation scores of every point, in the order of the points.

    A score is null where a run of the point diverged.
    """
    ranks = {point: rank for rank, point in enumerate(rank_points(finished, select), start=1)}
    runs: dict[int, list[FinishedRun]] = defaultdict(list)
    for one in finished:
        runs[one.point].append(one)
    return [
        {
            "setting": setting,
            "rank": ranks[point],
            "diverged": sum(not np.isfinite(one.score("nll")) for one in runs[point]),
            "collapsed": sum(one.collapsed for one in runs[point]),
            "validation": {name: _summarize([one.score(name) for one in runs[point]]) for name in SCALARS},
        }
        for point, setting in enumerate(points)
    ]


def assemble_sweep(
    corpus: dict[str, Any], identity: dict[str, Any], points: list[dict[str, Any]], seeds: list[dict[str, Any]]
) -> dict[str, Any]:
    """Assembles the results file of a sweep.

    Args:
        corpus: the description of `results.describe_corpus`.
        identity: the identity of the sweep.
        points: the descriptions of `describe_points`.
        seeds: the seeds of the chosen point, as in a network's part of the results file.

    Returns:
        Plain values.
    """
    chosen = next(point for point in points if point["rank"] == 1)
    test = [{"seed": seed["seed"], "epoch": seed["epoch"], **seed["test"]} for seed in seeds]
    return {
        "schema": SCHEMA,
        "version": __version__,
        "command": describe_command(),
        "corpus": corpus,
        **describe_machine(),
        "seeds": len(identity["seeds"]),
        "select": identity["select"],
        "config": identity["config"],
        "points": points,
        "chosen": {
            "setting": chosen["setting"],
            "validation": chosen["validation"],
            "test": {name: _summarize([seed[name] for seed in test]) for name in SCALARS},
            "test_by_seed": test,
        },
    }


def write_table(path: Path, points: Sequence[Point], finished: Sequence[FinishedRun]) -> None:
    """Writes runs.csv, one row per run and epoch: mean losses of the steps, and scores of the validation split."""
    axes = list(points[0])
    head = ["point", "seed", *axes, "epoch", *EPOCH_COLUMNS]
    with write_atomically(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for one in sorted(finished, key=lambda run: (run.point, run.seed)):
            start = [one.point, one.seed, *points[one.point].values()]
            for epoch, values in enumerate(zip(one.history.terms, one.history.validation, strict=True), start=1):
                writer.writerow([*start, epoch, *format_epoch(*values)])


def _summarize(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None and np.isfinite(value)]
    if len(known) < len(values):
        return {"mean": None, "std": None}
    mean, deviation = summarize(known)
    return {"mean": mean, "std": deviation}
