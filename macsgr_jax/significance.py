"""Paired significance tests: a t-test over seeds with Holm's correction, and a bootstrap over test dialogues."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from macsgr_jax.errors import InputError
from macsgr_jax.weighted_f1 import weighted_f1

RESAMPLES = 10_000


class SeedTest(NamedTuple):
    """A paired t-test over seeds.

    Attributes:
        difference: mean of the differences first - second.
        p_value: the two-sided p-value; 1 where all differences are 0.
    """

    difference: float
    p_value: float


class DialogueTest(NamedTuple):
    """A paired bootstrap over dialogues.

    Attributes:
        difference: the difference first - second of the scores of the whole split, each the mean over its seeds.
        low: 2.5th percentile of the resampled differences.
        high: 97.5th percentile of the resampled differences.
        p_value: the two-sided p-value: twice the fraction of resamples on the other side of 0, both counts raised by
            one.
    """

    difference: float
    low: float
    high: float
    p_value: float


def compare_over_seeds(first: Sequence[float], second: Sequence[float]) -> SeedTest:
    """Computes Student's paired t-test of the scores of two networks.

    Args:
        first: the scores of the first network, one per seed.
        second: the scores of the second network, for the same seeds in the same order.

    Returns:
        The mean difference and its p-value.

    Raises:
        InputError: fewer than two seeds, or not as many of each.
    """
    scores, others = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if scores.shape != others.shape or scores.size < 2:
        raise InputError(f"a paired t-test needs the same two or more seeds of both: {scores.size} and {others.size}")
    differences = scores - others
    if np.ptp(differences) == 0:
        return SeedTest(float(differences.mean()), 1.0 if differences[0] == 0 else 0.0)
    return SeedTest(float(differences.mean()), float(stats.ttest_rel(scores, others).pvalue))


def adjust(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values by Holm's correction for testing several hypotheses.

    Args:
        p_values: the p-values of the tests of one family.

    Returns:
        The adjusted p-values in the same order: at most a fraction alpha of families has one below alpha by chance.

    Reference:
        Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(raised, 1.0)
    return [float(value) for value in adjusted]


def count_by_dialogue(predicted: np.ndarray, labels: np.ndarray, dialogue: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts the confusions of each dialogue, which the bootstrap adds up again.

    Args:
        predicted: i64[S, U], the predicted classes, one row per seed.
        labels: i64[U], the gold classes.
        dialogue: i64[U], the dialogue of each utterance, 0 to D - 1.
        num_classes: the number C of emotions.

    Returns:
        i64[S, D, C, C], counts by gold class (row) and predicted class (column).
    """
    shape = (len(predicted), int(dialogue.max()) + 1, num_classes, num_classes)
    counts = np.zeros(shape, np.int64)
    seeds = np.arange(len(predicted))[:, None]
    np.add.at(counts, (seeds, dialogue[None], labels[None], predicted), 1)
    return counts


def score_seeds(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Computes the WAF1 of each seed.

    Args:
        predicted: i64[S, U], the predicted classes, one row per seed.
        labels: i64[U], the gold classes.
        num_classes: the number C of emotions.

    Returns:
        f64[S], the scores.
    """
    return weighted_f1(count_by_dialogue(predicted, labels, np.zeros(labels.shape, np.int64), num_classes)[:, 0])


def compare_over_dialogues(
    first: np.ndarray, second: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> DialogueTest:
    """Tests the difference in WAF1 by a paired bootstrap, which draws whole dialogues with replacement.

    Args:
        first: i64[S, D, C, C], the counts of the first network by `count_by_dialogue`.
        second: i64[S', D, C, C], those of the second network for the same dialogues; the seeds may differ.
        resamples: the number of resamples; both networks are scored on the same ones.
        seed: the seed of the resamples.

    Returns:
        The difference, its 95 % interval and its p-value.

    Raises:
        InputError: the two networks were not tested on the same dialogues.

    Reference:
        Koehn, Statistical Significance Tests for Machine Translation Evaluation, 2004.
    """
    if first.shape[1:] != second.shape[1:]:
        raise InputError(f"the two were not tested on the same dialogues: {first.shape[1]} and {second.shape[1]}")
    dialogues = first.shape[1]
    draws = np.random.default_rng(seed).multinomial(dialogues, np.full(dialogues, 1 / dialogues), resamples)

    def rescore(counts: np.ndarray) -> np.ndarray:
        """Computes the mean over seeds of each resample's score, f64[resamples], one seed at a time to save memory."""
        matrices = counts.reshape(len(counts), dialogues, -1)
        square = counts.shape[2:]
        return np.mean([weighted_f1((draws @ matrix).reshape(-1, *square)) for matrix in matrices], axis=0)

    def score(counts: np.ndarray) -> float:
        return float(weighted_f1(counts.sum(axis=1)).mean())

    differences = rescore(first) - rescore(second)
    other_side = min(np.sum(differences <= 0), np.sum(differences >= 0))
    low, high = np.percentile(differences, [2.5, 97.5])
    p_value = min(1.0, 2 * (other_side + 1) / (resamples + 1))
    return DialogueTest(score(first) - score(second), float(low), float(high), float(p_value))
