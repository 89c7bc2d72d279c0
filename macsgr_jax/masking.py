"""Means, softmax and normalisation that leave out what is masked: the only place that divides by a count or a norm.

Each of them has a finite value and a finite gradient whatever the mask, all-false included: the masked entries are
replaced *before* the operation that could fail, and the result is chosen after it.
"""

import jax
import jax.numpy as jnp
from jax import Array

Axis = int | tuple[int, ...] | None


def masked_mean(values: Array, mask: Array, axis: Axis = None) -> Array:
    """Mean of `values` where `mask` holds; 0 where it holds nowhere.

    Args:
        values: f32[...].
        mask: bool, broadcastable to `values`.
        axis: the axes to average over, all by default.

    Returns:
        f32[...] without `axis`.
    """
    mask = jnp.broadcast_to(mask, values.shape)
    total = jnp.sum(jnp.where(mask, values, 0.0), axis=axis)
    return total / jnp.maximum(jnp.sum(mask, axis=axis), 1)


def masked_softmax(logits: Array, mask: Array, axis: int = -1) -> Array:
    """Softmax of `logits` over the entries where `mask` holds; zeros where it holds nowhere.

    Args:
        logits: f32[...].
        mask: bool, broadcastable to `logits`.
        axis: the axis that sums to one.

    Returns:
        f32[...], as `logits`.
    """
    mask = jnp.broadcast_to(mask, logits.shape)
    largest = jnp.max(logits, axis=axis, keepdims=True, where=mask, initial=jnp.finfo(logits.dtype).min)
    shifted = jnp.where(mask, logits - jax.lax.stop_gradient(largest), 0.0)
    exponentials = jnp.where(mask, jnp.exp(shifted), 0.0)
    total = jnp.sum(exponentials, axis=axis, keepdims=True)
    return exponentials / jnp.where(total > 0, total, 1.0)


def masked_logsumexp(logits: Array, mask: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """Log of the sum of exp(logits) where `mask` holds; half of the least float where it holds nowhere.

    Args:
        logits: f32[...].
        mask: bool, broadcastable to `logits`.
        axis: the axis or axes to sum over.

    Returns:
        f32[...] without `axis`.
    """
    mask = jnp.broadcast_to(mask, logits.shape)
    least = jnp.finfo(logits.dtype).min
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=axis, keepdims=True, where=mask, initial=least))
    exponentials = jnp.where(mask, jnp.exp(jnp.where(mask, logits - largest, 0.0)), 0.0)
    total = jnp.sum(exponentials, axis=axis)
    some = total > 0
    return jnp.where(some, jnp.log(jnp.where(some, total, 1.0)) + jnp.squeeze(largest, axis), least / 2)


def safe_normalize(vectors: Array, epsilon: float = 1e-12) -> Array:
    """Vectors of unit length along the last axis; a vector shorter than sqrt(epsilon) stays as it is, divided by that.

    Args:
        vectors: f32[..., d].
        epsilon: the least squared norm that is divided by.

    Returns:
        f32[..., d].
    """
    return vectors * jax.lax.rsqrt(jnp.maximum(jnp.sum(vectors**2, axis=-1, keepdims=True), epsilon))


def safe_norm(vectors: Array, epsilon: float = 1e-12) -> Array:
    """Euclidean norm along the last axis, with a zero gradient where the vector is (nearly) zero.

    Args:
        vectors: f32[..., d].
        epsilon: squared norms up to this give a norm of 0.

    Returns:
        f32[...].
    """
    squared = jnp.sum(vectors**2, axis=-1)
    positive = squared > epsilon
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)
