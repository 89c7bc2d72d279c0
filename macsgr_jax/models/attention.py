"""Which slots may attend to which, and scaled dot-product attention under such a mask."""

import jax.numpy as jnp
from jax import Array

from macsgr_jax.masking import masked_softmax


def dialogue_pairs(dialogue: Array, mask: Array, causal: bool = False) -> Array:
    """Returns which slot may attend to which: both are valid and belong to the same dialogue.

    Args:
        dialogue: i32[B, N], the dialogue of each slot.
        mask: bool[B, N], True where there is an utterance.
        causal: whether a slot attends only to itself and to the past.

    Returns:
        bool[B, N, N], [row, i, j] for slot i attending to slot j.
    """
    pairs = (dialogue[:, :, None] == dialogue[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    return jnp.tril(pairs) if causal else pairs


def attend(query: Array, key: Array, value: Array, allowed: Array) -> Array:
    """Computes softmax(Q K' / sqrt(d_head)) V over the allowed pairs; zeros where none is allowed.

    Args:
        query: f32[B, N, H, h], h features for each of H heads.
        key: f32[B, N, H, h].
        value: f32[B, N, H, h].
        allowed: bool[B, N, N], [row, i, j] for slot i attending to slot j.

    Returns:
        f32[B, N, H * h].
    """
    logits = jnp.einsum("bihd,bjhd->bhij", query, key) / jnp.sqrt(query.shape[-1])
    attention = masked_softmax(logits, allowed[:, None])
    return jnp.einsum("bhij,bjhd->bihd", attention, value).reshape(*query.shape[:2], -1)
