"""Compares settings without the test split: folds of the training dialogues are left out in turn."""

import dataclasses
import functools
import sys
from typing import Annotated, Any

import numpy as np
import tyro

from experiments.paper.artifact import Table, run_table
from experiments.paper.cross_validation import derive_folds, find_best
from experiments.paper.formatting import format_percent
from experiments.paper.study import NetworkCache, StudyOptions
from experiments.paper.variants import CORPORA, FULL
from macsgr_jax.cli.common import describe_settings, run_script

REMARKS = (
    "WAF1 of the fold that was left out of the training: each training session of IEMOCAP in turn, otherwise quarters",
    "of the training dialogues; the test split is in none of it. full: the baseline, the preset of the corpus. last:",
    "after the last epoch; best epoch: after the epoch with the best score, an upper bound. ±: over the seeds, of the",
    "mean over the folds. best: the best last score, and what is within one standard error of it, over the folds; of",
    "those, the simplest settings are to be preferred (Breiman et al., Classification and Regression Trees, 1984).",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossValidate(StudyOptions):
    """Train with each of several candidates on folds of the training split, and score what was left out.

    Attributes:
        candidate: Settings that form one candidate, separated by spaces; may be repeated. The baseline, the preset of
            the corpus, comes first.
        name: Name of the table's files.
    """

    candidate: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="SETTINGS")] = ()
    name: str = "cross_validation"


def main(command: CrossValidate) -> None:
    """Makes NAME.json and NAME.md."""
    candidates = {FULL: (), **{candidate: tuple(candidate.split()) for candidate in command.candidate}}
    table = Table(
        name=command.name,
        title="Settings compared without the test split",
        corpora=CORPORA,
        compute=functools.partial(cross_validate, candidates=candidates),
        remarks=REMARKS,
        kind="choice",
    )
    run_table(table, command)


def cross_validate(cache: NetworkCache, corpus: str, candidates: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Computes a table with one row per candidate.

    Args:
        cache: trains the networks.
        corpus: the name of the corpus, such as iemocap.
        candidates: name of the candidate -> settings.

    Returns:
        `head` and `rows` as text; `attempts`: name of the candidate -> `last` and `peak` (the best epoch), one list per
        fold with one value per seed; `best`: the names that `find_best` returns.
    """
    folds = derive_folds(cache, corpus)
    numbers: dict[str, dict[str, list[list[float]]]] = {name: {"last": [], "peak": []} for name in candidates}
    for name in folds.values():
        for candidate, settings in candidates.items():
            seeds = cache.train(name, candidate, settings).network["seeds"]
            curves = np.array([seed["curves"]["validation_waf1"] for seed in seeds])
            numbers[candidate]["last"].append(curves[:, -1].tolist())
            numbers[candidate]["peak"].append(curves.max(axis=1).tolist())
    best = find_best({name: np.mean(scores["last"], axis=1) for name, scores in numbers.items()})
    rows = [
        [
            name,
            *(format_percent(np.mean(scores[epoch], axis=0).tolist()) for epoch in ("last", "peak")),
            "yes" if name in best else "",
            *(format_percent([float(np.mean(of_fold))]) for of_fold in scores["last"]),
        ]
        for name, scores in numbers.items()
    ]
    head = ["settings", "last", "best epoch", "best", *(f"last, fold {fold}" for fold in folds)]
    return {"head": head, "rows": rows, "attempts": numbers, "best": best}


if __name__ == "__main__":
    sys.exit(run_script("experiments.cross_validate", CrossValidate, main, help_ending=describe_settings()))
