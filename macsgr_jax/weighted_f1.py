"""Support-weighted F1 (WAF1, eq. 33) of confusion matrices, for NumPy and JAX arrays alike.

The only place that knows the formula: `macsgr_jax.metrics.scores` takes it for the counts of a split,
`macsgr_jax.significance` for those of resampled dialogues, and `macsgr_jax.data.synthetic_posterior` for the best score
that any classifier can reach.
"""

from typing import Any, TypeVar

A = TypeVar("A", bound=Any)  # np.ndarray or jax.Array


def f1_per_class(confusion: A) -> A:
    """Computes the F1 of every class.

    Args:
        confusion: [..., C, C], counts of utterances by gold class (row) and predicted class (column).

    Returns:
        f[..., C], 2 right / (gold + predicted); 0 for a class that occurs in neither.
    """
    xp = confusion.__array_namespace__()
    right = xp.diagonal(confusion, axis1=-2, axis2=-1)
    occurrences = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    # Counts are whole numbers: the maximum changes nothing but what is divided by zero.
    return 2 * right / xp.maximum(occurrences, 1)


def weighted_f1(confusion: A) -> A:
    """Computes the mean F1 of the classes, weighted by their support, eq. 33.

    Args:
        confusion: [..., C, C], counts of utterances by gold class (row) and predicted class (column).

    Returns:
        f[...], between 0 and 1; 0 where nothing was counted.
    """
    xp = confusion.__array_namespace__()
    support = confusion.sum(axis=-1)
    return (support * f1_per_class(confusion)).sum(axis=-1) / xp.maximum(support.sum(axis=-1), 1)
