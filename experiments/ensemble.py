"""Scores ensembles: the mean over all seeds, and its interpolation with a TF-IDF SVM."""

import dataclasses
import functools
import sys
from typing import Any

import numpy as np

from experiments.paper.artifact import Table, run_table
from experiments.paper.cross_validation import derive_folds, find_sessions
from experiments.paper.ensembles import COMBINATIONS, choose_weight, predict_split, score_combinations
from experiments.paper.formatting import format_percent
from experiments.paper.study import NetworkCache, StudyOptions
from experiments.paper.variants import CORPORA
from macsgr_jax.cli.common import run_script
from macsgr_jax.errors import InputError

REMARKS = (
    "network: one seed; ensemble: the mean of the probabilities of all seeds; TF-IDF SVM: the model `SVM, words in",
    "context` of experiments.baselines, with C and temperature chosen by cross-validation on the training split.",
    "+: the interpolation (1 - w) p(network) + w p(SVM), where w of 0, 0.1, ..., 1 is the best for one seed where",
    "folds of the training dialogues are left out in turn, as experiments.cross_validate does; w is chosen by those",
    "scores, with --fold-seeds seeds per fold, one by default. The test split chooses nothing. refit: the same, with",
    "networks and SVM trained on the validation split too, as in experiments.protocol --part refit.",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble(StudyOptions):
    """Average the seeds, interpolate them with a TF-IDF SVM, and score both.

    Attributes:
        fold_seeds: Seeds per network for the folds of the training split.
    """

    fold_seeds: int = 1


def main(command: Ensemble) -> None:
    """Makes ensemble.json and ensemble.md."""
    if command.fold_seeds < 1:
        raise InputError("--fold-seeds must be at least 1")
    fold_cache = NetworkCache(dataclasses.replace(command, seeds=command.fold_seeds))
    table = Table(
        name="ensemble",
        title="Ensembles: all seeds, and interpolation with a TF-IDF SVM",
        corpora=CORPORA,
        compute=functools.partial(combine_models, fold_cache=fold_cache),
        remarks=REMARKS,
        kind="ensemble",
    )
    run_table(table, command)


def combine_models(cache: NetworkCache, corpus_name: str, fold_cache: NetworkCache) -> dict[str, Any]:
    """Computes a table with one row per combination, scored on the folds of the training split and on the test split.

    Args:
        cache: trains the networks for the test split.
        corpus_name: the name of the corpus, such as iemocap.
        fold_cache: trains the networks for the folds.

    Returns:
        `head` and `rows` as text; `weight` of the SVM; `models`: key of COMBINATIONS -> `left_out`, one list per fold
        with one value per seed, `waf1` and `waa` of the test split, and `refit`, with the same two.

    Raises:
        InputError: the corpus has no texts.
    """
    corpus = cache.corpus(corpus_name)
    if corpus.texts is None:
        raise InputError(f"{cache.path(corpus_name)}: the array text is missing, which the TF-IDF SVM reads")
    folds = derive_folds(fold_cache, corpus_name)
    left_out = [predict_split(fold_cache, name, "validation") for name in folds.values()]
    classes = corpus.num_classes
    weight = choose_weight(left_out, classes)
    of_folds = [score_combinations(fold, weight, classes) for fold in left_out]
    of_test = score_combinations(predict_split(cache, corpus_name, "test"), weight, classes)
    refit = cache.derive_refit(corpus_name)
    of_refit = score_combinations(predict_split(cache, refit, "test"), weight, classes)
    numbers: dict[str, dict[str, Any]] = {
        name: {"left_out": [fold[name]["waf1"] for fold in of_folds], **scores, "refit": of_refit[name]}
        for name, scores in of_test.items()
    }
    rows = [
        [
            f"{COMBINATIONS[name]}, w = {weight:.1f}" if "+" in name else COMBINATIONS[name],
            format_percent(np.mean(scores["left_out"], axis=0).tolist()),
            *(format_percent(values[score]) for values in (scores, scores["refit"]) for score in ("waf1", "waa")),
        ]
        for name, scores in numbers.items()
    ]
    parts = "quarters" if find_sessions(corpus) is None else "sessions"
    head = ["", f"WAF1, {parts} left out", "WAF1, test", "WAA, test", "WAF1, test, refit", "WAA, test, refit"]
    return {"head": head, "rows": rows, "weight": weight, "fold_seeds": fold_cache.seeds, "models": numbers}


if __name__ == "__main__":
    sys.exit(run_script("experiments.ensemble", Ensemble, main))
