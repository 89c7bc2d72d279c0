"""Compare settings without the test split: parts of the training dialogues are left out in turn."""

import dataclasses
import sys
from typing import Annotated, Any

import numpy as np
import tyro

from experiments.paper.artifact import measure, publish
from experiments.paper.cross_validation import assign_folds, find_best
from experiments.paper.study import Study, StudyOptions
from experiments.paper.variants import FULL
from macsgr_jax.cli.common import describe_settings, run_script
from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.errors import InputError
from macsgr_jax.metrics import summarize

CORPORA = ("iemocap", "meld", "mosi")
REMARKS = (
    "WAF1 of what was left out of the training: each training session of IEMOCAP in turn, otherwise quarters of the",
    "training dialogues; the test split is in none of it. last: after the last epoch; peak: after the best one, an",
    "upper bound. ±: over the seeds, of the mean over what was left out. best: the best last score, and what is within",
    "one standard error of it, over what was left out: of those, the simplest settings are to be preferred (Breiman et",
    "al., Classification and Regression Trees, 1984).",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choose(StudyOptions):
    """Train with each of several settings on parts of the training split, and score what was left out.

    Attributes:
        attempt: Settings to try together, separated by spaces; may be repeated. The recipe as it is comes first.
        name: Of the table.
    """

    attempt: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="SETTINGS")] = ()
    name: str = "choice"


def main(command: Choose) -> None:
    """Folds x settings -> scores -> NAME.json -> NAME.md."""
    study = Study(command)
    attempts = {FULL: (), **{attempt: tuple(attempt.split()) for attempt in command.attempt}}

    def compare(study: Study, corpus: str) -> dict[str, Any]:
        return cross_validate(study, corpus, attempts)

    numbers = measure(study, study.choose(CORPORA), "choice", "Settings compared without the test split", compare)
    publish(study.results, command.name, numbers, REMARKS)


def cross_validate(study: Study, corpus: str, attempts: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """A row a set of settings.

    Args:
        study: trains.
        corpus: such as iemocap.
        attempts: name -> settings.

    Returns:
        `head` and `rows` as text; `attempts`: name -> `last` and `peak`, a list a fold with a value a seed; `best`:
        names of the attempts of `find_best`.
    """
    folds = derive_folds(study, corpus)
    numbers: dict[str, dict[str, list[list[float]]]] = {name: {"last": [], "peak": []} for name in attempts}
    for name in folds.values():
        for attempt, settings in attempts.items():
            seeds = study.train(name, attempt, settings).network["seeds"]
            curves = np.array([seed["curves"]["validation_waf1"] for seed in seeds])
            numbers[attempt]["last"].append(curves[:, -1].tolist())
            numbers[attempt]["peak"].append(curves.max(axis=1).tolist())
    best = find_best({name: np.mean(of_attempt["last"], axis=1) for name, of_attempt in numbers.items()})
    rows = [
        [
            name,
            *(_show(np.mean(of_attempt[score], axis=0)) for score in ("last", "peak")),
            "yes" if name in best else "",
            *(f"{100 * np.mean(of_fold):.1f}" for of_fold in of_attempt["last"]),
        ]
        for name, of_attempt in numbers.items()
    ]
    head = ["settings", "last", "peak", "best", *(f"last, fold {fold}" for fold in folds)]
    return {"head": head, "rows": rows, "attempts": numbers, "best": best}


def derive_folds(study: Study, corpus: str) -> dict[int, str]:
    """Make the corpora in which a part of the training dialogues is left out: each session, otherwise quarters.

    What is left out stands where the validation split stands, so that every epoch has its score; the other validation
    dialogues are the test split, which nobody looks at.

    Args:
        study: keeps them.
        corpus: such as iemocap; none of its test dialogues is in them.

    Returns:
        Number of the part -> name of the corpus.

    Raises:
        InputError: the corpus is missing or damaged, or has no validation split and too few training dialogues.
    """
    whole = study.corpus(corpus)
    train, validation, test = (SPLITS.index(split) for split in SPLITS)
    parts = assign_folds(whole)
    folds = {int(part): f"{corpus}_fold_{part}" for part in np.unique(parts[whole.split == train])}
    for part, name in folds.items():
        split = np.where(whole.split == test, -1, np.where(whole.split == validation, test, train))
        split[(parts == part) & (whole.split == train)] = validation
        if not np.any(split == test):  # There has to be one.
            split[np.flatnonzero(split == validation)[0]] = test
        if not np.any(split == validation):
            raise InputError(
                f"{study.path(corpus)}: part {part} of the training dialogues is a single one, which has to be the test"
                " split: mark a validation split in the file or bring more dialogues"
            )
        study.derive(name, corpus, split.astype(np.int8))
    return folds


def _show(of_seeds: np.ndarray) -> str:
    mean, deviation = summarize(of_seeds)
    return f"{100 * mean:.1f} ± {100 * deviation:.1f}"


if __name__ == "__main__":
    sys.exit(run_script("experiments.cross_validate", Choose, main, help_ending=describe_settings()))
