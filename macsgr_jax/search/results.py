"""What a sweep found: one tidy table of all runs and epochs, a summary of the points, and the choice among them."""

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.files import write_atomically
from macsgr_jax.losses import TERMS
from macsgr_jax.metrics import summarize
from macsgr_jax.runs.execution import History
from macsgr_jax.runs.results import SCALARS, describe_command, describe_machine
from macsgr_jax.search.space import Point

SCHEMA = "macsgr_jax.training.loop/1"
SMALLER_IS_BETTER = ("nll", "ece")


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run of a sweep that is trained.

    Attributes:
        point: which point.
        seed: the seed.
        config: the settings.
        history: what it did.
    """

    point: int
    seed: int
    config: Config
    history: History

    def score(self, name: str) -> float:
        """A validation score of the epoch whose weights count; not a number where the training diverged."""
        last = self.config.train.checkpoint == "last"
        epoch = len(self.history.terms) if last else self.history.best_epoch
        trained = np.isfinite(self.history.terms[:epoch]).all() and np.isfinite(self.history.curve("nll")[epoch - 1])
        return float(self.history.curve(name)[epoch - 1]) if trained else float("nan")


def rank_points(finished: Sequence[Finished], select: str) -> list[int]:
    """The points from the best mean over seeds to the worst; a point with a diverged run comes last.

    Args:
        finished: the runs.
        select: such as validation.waf1.

    Returns:
        Points.
    """
    name = select.removeprefix("validation.")
    sign = 1 if name in SMALLER_IS_BETTER else -1
    values: dict[int, list[float]] = defaultdict(list)
    for one in finished:
        values[one.point].append(sign * one.score(name))
    means = {point: float(np.mean(scores)) for point, scores in values.items()}
    return sorted(means, key=lambda point: (not np.isfinite(means[point]), means[point], point))


def choose_point(finished: Sequence[Finished], select: str) -> int:
    """The first of `rank_points`."""
    return rank_points(finished, select)[0]


def describe_points(points: Sequence[Point], finished: Sequence[Finished], select: str) -> list[dict[str, Any]]:
    """Setting, rank and validation scores of every point, in the order of the points.

    A score is null where a run of the point diverged.
    """
    ranks = {point: rank for rank, point in enumerate(rank_points(finished, select), start=1)}
    runs: dict[int, list[Finished]] = defaultdict(list)
    for one in finished:
        runs[one.point].append(one)
    return [
        {
            "setting": setting,
            "rank": ranks[point],
            "diverged": sum(not np.isfinite(one.score("nll")) for one in runs[point]),
            "validation": {name: _summarize([one.score(name) for one in runs[point]]) for name in SCALARS},
        }
        for point, setting in enumerate(points)
    ]


def assemble_sweep(
    corpus: dict[str, Any], identity: dict[str, Any], points: list[dict[str, Any]], test: list[dict[str, Any]]
) -> dict[str, Any]:
    """The whole results file of a sweep.

    Args:
        corpus: of `results.describe_corpus`.
        identity: what the sweep is.
        points: of `describe_points`.
        test: test scores of the chosen point, a dictionary a seed.

    Returns:
        Plain values.
    """
    chosen = next(point for point in points if point["rank"] == 1)
    return {
        "schema": SCHEMA,
        "command": describe_command(),
        "corpus": corpus,
        **describe_machine(),
        "seeds": identity["seeds"],
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


def write_table(path: Path, points: Sequence[Point], finished: Sequence[Finished]) -> None:
    """runs.csv: a row a run and epoch; losses are means over the epoch's steps, scores are the validation split's."""
    axes = list(points[0])
    head = ["point", "seed", *axes, "epoch", *(f"loss_{name}" for name in TERMS)]
    head += [f"validation_{name}" for name in SCALARS]
    with write_atomically(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for one in sorted(finished, key=lambda run: (run.point, run.seed)):
            start = [one.point, one.seed, *points[one.point].values()]
            for epoch, values in enumerate(np.hstack([one.history.terms, one.history.validation]), start=1):
                writer.writerow([*start, epoch, *(f"{value:.6g}" for value in values)])


def _summarize(values: list[float]) -> dict[str, float | None]:
    if not np.isfinite(values).all():
        return {"mean": None, "std": None}
    mean, deviation = summarize(values)
    return {"mean": mean, "std": deviation}
