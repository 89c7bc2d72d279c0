"""Compares the network with simple models and with a recurrent network, on the same features and splits."""

import dataclasses
import sys
from typing import Any

import numpy as np

from experiments.paper.artifact import Table, run_table
from experiments.paper.formatting import format_percent
from experiments.paper.simple_models import score_predicted, train_simple_models
from experiments.paper.study import NetworkCache, StudyOptions
from experiments.paper.variants import CORPORA, FULL, PLAIN, PLAIN_NAME
from macsgr_jax.cli.common import run_script
from macsgr_jax.significance import DialogueTest, compare_over_dialogues, count_by_dialogue


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baselines(StudyOptions):
    """Train and test simple models, the network, and a recurrent network without the paper's components."""


def main(command: Baselines) -> None:
    """Makes baselines.json and baselines.md."""
    run_table(BASELINES, command)


def compare_models(cache: NetworkCache, corpus_name: str) -> dict[str, Any]:
    """Computes a table with one row per model, each tested against the network over dialogues."""
    full, plain = cache.train(corpus_name, FULL), cache.train(corpus_name, PLAIN_NAME, PLAIN)
    labels, classes = full.labels, full.corpus.num_classes
    counts = count_by_dialogue(full.predicted, labels, full.dialogue, classes)
    rows, numbers = [], {}
    for name, outcome in train_simple_models(cache, corpus_name):
        of_model = count_by_dialogue(outcome.predicted[None], labels, full.dialogue, classes)
        test = compare_over_dialogues(counts, of_model)
        scores = score_predicted(labels, outcome.predicted, classes)
        numbers[name] = {
            **scores,
            "C": outcome.inverse_regularization,
            "folds": outcome.folds,
            "full_minus_this": test._asdict(),
        }
        cells = [format_percent([score]) for score in scores.values()]
        folds = format_percent([float(np.mean(outcome.folds))]) if outcome.folds else ""
        rows.append([name, *cells, folds, _format_difference(test)])
    for name, network in (("recurrence and classifier", plain), ("full network", full)):
        scores_of_seeds = {score: network.scores(score) for score in ("waa", "waf1", "macro_f1")}
        test = compare_over_dialogues(counts, count_by_dialogue(network.predicted, labels, full.dialogue, classes))
        numbers[name] = {**scores_of_seeds, "full_minus_this": test._asdict()}
        cells = [format_percent(scores) for scores in scores_of_seeds.values()]
        rows.append([name, *cells, "", "" if network is full else _format_difference(test)])
    head = ["", "WAA", "WAF1", "macro-F1", "cross-validated WAF1", "full - this, WAF1 (95 % over dialogues)"]
    return {"head": head, "rows": rows, "models": numbers}


def _format_difference(test: DialogueTest) -> str:
    return f"{100 * test.difference:+.1f} ({100 * test.low:+.1f} to {100 * test.high:+.1f})"


BASELINES = Table(
    name="baselines",
    title="Simple models and the network",
    corpora=CORPORA,
    compute=compare_models,
    remarks=(
        "C of the linear models is chosen by cross-validation on the training split: the sessions of IEMOCAP,",
        "otherwise quarters of the dialogues; on MOSI, as for the network, the simplest within one standard error of",
        "the best.",
    ),
    kind="baselines",
)


if __name__ == "__main__":
    sys.exit(run_script("experiments.baselines", Baselines, main))
