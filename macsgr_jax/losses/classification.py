"""The classification loss (eq. 30)."""

import jax.numpy as jnp
import optax
from jax import Array

from macsgr_jax.masking import masked_mean, safe_divide, widen


def classification(logits: Array, labels: Array, mask: Array, *, balance: float = 0.0) -> Array:
    """Computes the mean cross-entropy over the valid utterances, eq. 30.

    Args:
        logits: f32[U, C].
        labels: i32[U], the class of each utterance.
        mask: bool[U], which utterances are valid.
        balance: weigh each utterance by count^-balance, with the count of its label among the valid utterances: 0 gives
            the printed form, 1 the mean over labels of the mean over their utterances.

    Returns:
        f32[]; 0 if no utterance is valid.
    """
    logits = jnp.where(mask[:, None], widen(logits), 0.0)
    labels = jnp.where(mask, labels, 0)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    if not balance:
        return masked_mean(losses, mask)
    # Differs from the paper, which leaves MELD's bias towards its most frequent emotion as an open problem.
    counts = jnp.zeros(logits.shape[-1]).at[labels].add(mask)
    weights = jnp.maximum(counts, 1.0)[labels] ** -balance
    return safe_divide(masked_mean(weights * losses, mask), masked_mean(weights, mask))
