"""Scores of masked predictions: accuracy (WAA), weighted F1 (WAF1), recall, likelihood and calibration.

Everything of a split is summed before anything is divided, so that batches of any size give the scores of the split.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from macsgr_jax.errors import InputError
from macsgr_jax.masking import masked_mean, safe_divide
from macsgr_jax.weighted_f1 import f1_per_class, weighted_f1

NUM_BINS = 15


class Calibration(NamedTuple):
    """Sums over the utterances of each of 15 equally wide bins [k/15, (k+1)/15) of the largest probability.

    Attributes:
        utterances: f32[15], utterances in each bin; a probability of 1.0 falls into the last.
        confidence: f32[15], sum of their largest probabilities.
        correct: f32[15], utterances that are classified correctly.
    """

    utterances: Array
    confidence: Array
    correct: Array


class Counts(NamedTuple):
    """Sums over utterances, from which `scores` follow; the sums of disjoint parts add up to those of the whole.

    Attributes:
        confusion: i32[C, C], utterances by gold class (row) and predicted class (column).
        nll: f32[], sum of the negative log-likelihoods of the gold classes.
        calibration: sums by the largest probability.
    """

    confusion: Array
    nll: Array
    calibration: Calibration


def zero_counts(num_classes: int) -> Counts:
    """Returns the counts of no utterance at all.

    Args:
        num_classes: the number C of emotions.

    Returns:
        Counts of zeros.
    """
    empty = jnp.zeros(NUM_BINS, jnp.float32)
    confusion = jnp.zeros((num_classes, num_classes), jnp.int32)
    return Counts(confusion, jnp.zeros((), jnp.float32), Calibration(empty, empty, empty))


def add_counts(first: Counts, second: Counts) -> Counts:
    """Adds the counts of two disjoint sets of utterances.

    Args:
        first: the counts of one set.
        second: the counts of the other set, with the same number of classes.

    Returns:
        The counts of both sets together.
    """
    return jax.tree.map(jnp.add, first, second)


@jax.jit
def count(logits: ArrayLike, labels: ArrayLike, mask: ArrayLike) -> Counts:
    """Counts predictions, eq. 29, against labels where `mask` holds.

    Args:
        logits: f32[..., C]; anything, NaN included, where `mask` does not hold.
        labels: i32[...], classes 0 to C - 1; anything where `mask` does not hold.
        mask: bool[...], True where an utterance is.

    Returns:
        The counts over all leading axes together.
    """
    num_classes = jnp.shape(logits)[-1]
    mask = jnp.asarray(mask, bool).reshape(-1)
    labels = jnp.where(mask, jnp.asarray(labels, jnp.int32).reshape(-1), 0)
    logits = jnp.where(mask[:, None], jnp.asarray(logits, jnp.float32).reshape(-1, num_classes), 0.0)
    log_probabilities = jax.nn.log_softmax(logits)
    predicted = jnp.argmax(logits, axis=-1)  # Eq. 29
    of_label = jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1)[:, 0]
    zeros = zero_counts(num_classes)
    return Counts(
        confusion=zeros.confusion.at[labels, predicted].add(mask.astype(jnp.int32)),
        nll=-jnp.sum(of_label, where=mask),
        calibration=_count_by_confidence(jnp.exp(jnp.max(log_probabilities, axis=-1)), predicted == labels, mask),
    )


@jax.jit
def scores(counts: Counts) -> dict[str, Array]:
    """Computes the scores of a set of utterances, all but `nll` in [0, 1]; a score without a denominator is 0.

    Args:
        counts: the sums over the utterances.

    Returns:
        f32[] each: waa (eq. 32, plain accuracy), waf1 (eq. 33), macro_f1 (mean over the classes that occur, as gold or
        as prediction), uar (mean recall over the gold classes), nll (mean), ece (expected calibration error, 15 bins);
        and f32[C] each: f1, recall (the paper's accuracy of a class), precision, support.
    """
    confusion = counts.confusion.astype(jnp.float32)
    right = jnp.diagonal(confusion)
    support = jnp.sum(confusion, axis=1)
    predictions = jnp.sum(confusion, axis=0)
    total = jnp.sum(support)
    recall = safe_divide(right, support)
    f1 = f1_per_class(confusion)
    calibration = counts.calibration
    return {
        "waa": safe_divide(jnp.sum(right), total),  # Eq. 32: the supports cancel, which leaves plain accuracy
        "waf1": weighted_f1(confusion),  # Eq. 33
        "macro_f1": masked_mean(f1, support + predictions > 0),
        "uar": masked_mean(recall, support > 0),
        "nll": safe_divide(counts.nll, total),
        "ece": safe_divide(jnp.sum(jnp.abs(calibration.correct - calibration.confidence)), total),
        "f1": f1,
        "recall": recall,
        "precision": safe_divide(right, predictions),
        "support": support,
    }


def summarize(values: Sequence[float] | ArrayLike) -> tuple[float, float]:
    """Computes the mean and the sample standard deviation of a score over runs.

    Args:
        values: f32[S], one value per run.

    Returns:
        The mean, and the standard deviation with S - 1 in the denominator (0.0 for a single run).

    Raises:
        InputError: there is no value.
    """
    runs = np.asarray(values, np.float64).reshape(-1)
    if runs.size == 0:
        raise InputError("There is no run to summarize; give at least one value.")
    return float(runs.mean()), float(runs.std(ddof=1)) if runs.size > 1 else 0.0


def _count_by_confidence(confidence: Array, correct: Array, mask: Array) -> Calibration:
    """Sums per bin by a masked sum: the order of a scatter, and so its last bits, vary on a GPU."""
    bins = jnp.clip((confidence * NUM_BINS).astype(jnp.int32), 0, NUM_BINS - 1)
    member = (bins[:, None] == jnp.arange(NUM_BINS)) & mask[:, None]
    return Calibration(
        utterances=jnp.sum(member, axis=0, dtype=jnp.float32),
        confidence=jnp.sum(jnp.broadcast_to(confidence[:, None], member.shape), axis=0, where=member),
        correct=jnp.sum(member & correct[:, None], axis=0, dtype=jnp.float32),
    )
