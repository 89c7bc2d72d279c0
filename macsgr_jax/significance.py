"""Is one network better than another: over seeds, and over the dialogues that were drawn for the test."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from macsgr_jax.errors import InputError

RESAMPLES = 10_000


class SeedTest(NamedTuple):
    """A paired t-test over seeds.

    Attributes:
        difference: mean of first - second.
        p_value: two-sided; 1 where all differences are 0.
    """

    difference: float
    p_value: float


class DialogueTest(NamedTuple):
    """A paired bootstrap over dialogues.

    Attributes:
        difference: of the scores of the whole split, first - second, each the mean over its seeds.
        low: 2.5th percentile of the resampled differences.
        high: 97.5th percentile.
        p_value: two-sided: twice the share of resamples on the other side of 0, both counts raised by one.
    """

    difference: float
    low: float
    high: float
    p_value: float


def compare_over_seeds(first: Sequence[float], second: Sequence[float]) -> SeedTest:
    """Student's paired t-test of two networks' scores, the same seeds in the same order.

    Args:
        first: a score a seed.
        second: likewise.

    Returns:
        SeedTest.

    Raises:
        InputError: fewer than two seeds, or not as many of each.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != other.shape or one.size < 2:
        raise InputError(f"a paired t-test needs the same two or more seeds of both: {one.size} and {other.size}")
    differences = one - other
    if np.ptp(differences) == 0:
        return SeedTest(float(differences.mean()), 1.0 if differences[0] == 0 else 0.0)
    return SeedTest(float(differences.mean()), float(stats.ttest_rel(one, other).pvalue))


def adjust(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for testing several hypotheses.

    Args:
        p_values: of the tests of one family.

    Returns:
        The adjusted p values in the same order: at most a share alpha of families has one below alpha by chance.

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
    """The confusion counts of each dialogue, which resampling adds up again.

    Args:
        predicted: i64[S, U], a row a seed.
        labels: i64[U].
        dialogue: i64[U], 0 to D - 1.
        num_classes: C.

    Returns:
        i64[S, D, C, C], annotated by predicted.
    """
    shape = (len(predicted), int(dialogue.max()) + 1, num_classes, num_classes)
    counts = np.zeros(shape, np.int64)
    seeds = np.arange(len(predicted))[:, None]
    np.add.at(counts, (seeds, dialogue[None], labels[None], predicted), 1)
    return counts


def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """WAF1, eq. 33, of many confusion matrices.

    Args:
        confusion: [..., C, C], annotated by predicted.

    Returns:
        f64[...]; 0 where nothing was counted.
    """
    confusion = np.asarray(confusion, np.float64)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, predictions = confusion.sum(-1), confusion.sum(-2)
    f1 = 2 * right / np.maximum(support + predictions, 1)
    return (support * f1).sum(-1) / np.maximum(support.sum(-1), 1)


def score_seeds(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """WAF1 of each seed.

    Args:
        predicted: i64[S, U], a row a seed.
        labels: i64[U].
        num_classes: C.

    Returns:
        f64[S].
    """
    return weighted_f1(count_by_dialogue(predicted, labels, np.zeros(labels.shape, np.int64), num_classes)[:, 0])


def compare_over_dialogues(
    first: np.ndarray, second: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> DialogueTest:
    """Paired bootstrap of the difference in WAF1: whole dialogues are drawn with replacement, the same for both.

    Args:
        first: i64[S, D, C, C], of `count_by_dialogue`.
        second: i64[S', D, C, C], for the same dialogues; there may be other seeds.
        resamples: how many.
        seed: of the draws.

    Returns:
        DialogueTest.

    Raises:
        InputError: not the same dialogues.

    Reference:
        Koehn, Statistical Significance Tests for Machine Translation Evaluation, 2004.
    """
    if first.shape[1:] != second.shape[1:]:
        raise InputError(f"the two were not tested on the same dialogues: {first.shape[1]} and {second.shape[1]}")
    dialogues = first.shape[1]
    draws = np.random.default_rng(seed).multinomial(dialogues, np.full(dialogues, 1 / dialogues), resamples)

    def rescore(counts: np.ndarray) -> np.ndarray:
        """The mean over seeds of each resample's score, f64[resamples]; a seed at a time, for the memory."""
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
