"""Evaluation-protocol studies: leave-one-session-out, checkpoint selection, refit, features."""

import dataclasses
import sys
from typing import Any, Literal

import numpy as np

from experiments.paper.artifact import Table, run_table
from experiments.paper.cross_validation import find_sessions
from experiments.paper.feature_study import (
    LEAKAGE_REMARKS,
    PAPER_FEATURES,
    PAPER_REMARKS,
    compare_left_out,
    score_paper_features,
)
from experiments.paper.formatting import format_percent
from experiments.paper.simple_models import score_predicted, train_simple_models
from experiments.paper.study import NetworkCache, StudyOptions
from experiments.paper.variants import CORPORA, FULL, PLAIN, PLAIN_NAME, SESSIONS
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus import SPLITS, hold_out_validation
from macsgr_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol(StudyOptions):
    """Measure how much the evaluation protocol matters: train the networks that are missing, test, write a table.

    Attributes:
        part: sessions: leave out each session of IEMOCAP. selection: choose the epoch by either split. refit: train on
            the validation split too. features: text and speech features of the paper's sizes. leakage: do features know
            the training labels?
    """

    part: Literal["sessions", "selection", "refit", "features", "leakage"]


def main(command: Protocol) -> None:
    """Makes protocol_PART.json and protocol_PART.md."""
    run_table(PARTS[command.part], command)


def leave_out_sessions(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Tests on each session in turn; the official validation dialogues of the other sessions stay the validation split.

    The simple models choose C as experiments.baselines does, by leaving out the sessions that remain.

    Raises:
        InputError: the dialogues are not named after sessions.
    """
    whole = cache.corpus(corpus)
    sessions = find_sessions(whole)
    if sessions is None:
        raise InputError(f"{cache.path(corpus)}: the names of its dialogues do not begin with {', '.join(SESSIONS)}")
    train, validation, test = (SPLITS.index(split) for split in SPLITS)
    names = [str(session) for session in np.unique(sessions)]
    numbers: dict[str, dict[str, list[float]]] = {}
    for session in names:
        split = np.where(whole.split == validation, validation, train).astype(np.int8)
        split[sessions == session] = test
        name = f"{corpus}_{session.lower()}"
        cache.derive(name, corpus, split)
        for title, variant, settings in ((FULL, FULL, ()), ("recurrence and classifier", PLAIN_NAME, PLAIN)):
            trained = cache.train(name, variant, settings)
            numbers.setdefault(title, {})[session] = trained.scores("waf1")
        for title, outcome in train_simple_models(cache, name):
            scores = score_predicted(trained.labels, outcome.predicted, whole.num_classes)
            numbers.setdefault(title, {})[session] = [scores["waf1"]]
    rows = [
        [
            name,
            *map(format_percent, by_session.values()),
            format_percent(np.mean(list(by_session.values()), axis=0).tolist()),
        ]
        for name, by_session in numbers.items()
    ]
    return {"head": ["WAF1", *names, "mean"], "rows": rows, "networks": numbers}


def select_epochs(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Compares test scores of the last epoch, of the best on the validation split, and of the best on the test split.

    The same training with the two splits swapped gives the score of the test split after each epoch.
    """
    split = cache.corpus(corpus).split
    validation, test = (SPLITS.index(name) for name in ("validation", "test"))
    if not np.any(split == validation):
        # The network holds out training dialogues by itself; both trainings have to hold out the same ones.
        data = cache.config(corpus).data
        split = hold_out_validation(cache.corpus(corpus), data.validation_fraction, data.validation_seed).split
    official, swapped = f"{corpus}_official", f"{corpus}_swapped"
    cache.derive(official, corpus, split)
    cache.derive(swapped, corpus, np.where(split == test, validation, np.where(split == validation, test, split)))
    curves = {
        name: np.array([seed["curves"]["validation_waf1"] for seed in cache.train(source, FULL).network["seeds"]])
        for name, source in (("validation", official), ("test", swapped))
    }
    runs = np.arange(len(curves["test"]))
    chosen = {
        "last epoch": curves["test"][:, -1],
        "best epoch on the validation split": curves["test"][runs, curves["validation"].argmax(axis=1)],
        "best epoch on the test split": curves["test"].max(axis=1),
    }
    return {
        "head": ["weights of the", "test WAF1"],
        "rows": [[name, format_percent(scores.tolist())] for name, scores in chosen.items()],
        "chosen": {name: scores.tolist() for name, scores in chosen.items()},
    }


def train_on_validation(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Trains on the validation split too: the last epoch of a fixed recipe needs no validation split."""
    name = cache.derive_refit(corpus)
    refitted = cache.train(name, FULL)
    networks = {"full, training split alone": cache.train(corpus, FULL), FULL: refitted}
    numbers = {
        title: {score: trained.scores(score) for score in ("waa", "waf1", "macro_f1")}
        for title, trained in networks.items()
    }
    for title, outcome in train_simple_models(cache, name):
        scores = score_predicted(refitted.labels, outcome.predicted, refitted.corpus.num_classes)
        numbers[title] = {key: [score] for key, score in scores.items()}
    rows = [[title, *map(format_percent, scores.values())] for title, scores in numbers.items()]
    return {"head": ["", "WAA", "WAF1", "macro-F1"], "rows": rows, "networks": numbers}


PARTS = {
    "sessions": Table(
        name="protocol_sessions",
        title="Each session of IEMOCAP left out",
        corpora=("iemocap",),
        compute=leave_out_sessions,
        kind="protocol",
    ),
    "selection": Table(
        name="protocol_selection",
        title="Epochs chosen by the validation split and by the test split",
        corpora=CORPORA,
        compute=select_epochs,
        kind="protocol",
    ),
    "refit": Table(
        name="protocol_refit",
        title="Trained on the validation split too, with everything fixed before",
        corpora=CORPORA,
        compute=train_on_validation,
        remarks=("The network holds out one dialogue, by which nothing is chosen; the simple models hold out none.",),
        kind="protocol",
    ),
    "features": Table(
        name="protocol_features",
        title="Features of the paper's sizes",
        corpora=tuple(PAPER_FEATURES),
        compute=score_paper_features,
        remarks=PAPER_REMARKS,
        kind="protocol",
    ),
    "leakage": Table(
        name="protocol_leakage",
        title="Features that know the training labels",
        corpora=CORPORA,
        compute=compare_left_out,
        remarks=LEAKAGE_REMARKS,
        kind="protocol",
    ),
}


if __name__ == "__main__":
    sys.exit(run_script("experiments.protocol", Protocol, main))
