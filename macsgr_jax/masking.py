"""Means, softmax, quotients and norms under a mask: the only place that divides by what the data may make zero.

Each function has a finite value and a finite gradient for every mask, all-false included: masked entries are replaced
*before* the operation that could fail, and the result is chosen after it.
"""

import jax
import jax.numpy as jnp
from jax import Array

Axis = int | tuple[int, ...] | None


def widen(values: Array) -> Array:
    """Returns floating-point values in at least float32: 16 bits are for products, not for sums and exponentials."""
    values = jnp.asarray(values)
    return values.astype(jnp.float32) if jnp.finfo(values.dtype).bits < 32 else values


def safe_divide(numerator: Array | float, denominator: Array) -> Array:
    """Computes numerator / denominator, and 0 with a gradient of 0 where the denominator is 0.

    Args:
        numerator: f32[...], broadcastable against `denominator`.
        denominator: f32[...] or i32[...], for example a count, a sum of weights or a norm.

    Returns:
        f32[...] of the broadcast shape.
    """
    divisible = denominator != 0
    return jnp.where(divisible, numerator / jnp.where(divisible, denominator, 1), 0.0)


def masked_mean(values: Array, mask: Array, axis: Axis = None) -> Array:
    """Computes the mean of `values` where `mask` holds; 0 where it holds nowhere.

    Args:
        values: f32[...].
        mask: bool, broadcastable to `values`.
        axis: the axes to average over; all of them by default.

    Returns:
        f32[...] without `axis`.
    """
    mask = jnp.broadcast_to(mask, values.shape)
    total = jnp.sum(jnp.where(mask, values, 0.0), axis=axis)
    return safe_divide(total, jnp.sum(mask, axis=axis))


def masked_softmax(logits: Array, mask: Array, axis: int = -1) -> Array:
    """Computes the softmax of `logits` over the entries where `mask` holds; zeros where it holds nowhere.

    Args:
        logits: f32[...].
        mask: bool, broadcastable to `logits`.
        axis: the axis that sums to one.

    Returns:
        f32[...], of the shape of `logits`.
    """
    mask = jnp.broadcast_to(mask, logits.shape)
    largest = jnp.max(logits, axis=axis, keepdims=True, where=mask, initial=jnp.finfo(logits.dtype).min)
    shifted = jnp.where(mask, logits - jax.lax.stop_gradient(largest), 0.0)
    exponentials = jnp.where(mask, jnp.exp(shifted), 0.0)
    return safe_divide(exponentials, jnp.sum(exponentials, axis=axis, keepdims=True))


def masked_logsumexp(logits: Array, mask: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """Computes the log of the sum of exp(logits) where `mask` holds; half of the smallest float where it holds nowhere.

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
    """Scales vectors to unit length along the last axis; one shorter than sqrt(epsilon) is divided by sqrt(epsilon).

    Args:
        vectors: f32[..., d].
        epsilon: the smallest squared norm to divide by.

    Returns:
        f32[..., d].
    """
    return vectors * jax.lax.rsqrt(jnp.maximum(jnp.sum(vectors**2, axis=-1, keepdims=True), epsilon))


def safe_norm(vectors: Array, epsilon: float = 1e-12) -> Array:
    """Computes the Euclidean norm along the last axis, with a gradient of 0 where the vector is (nearly) zero.

    Args:
        vectors: f32[..., d].
        epsilon: a squared norm up to this gives a norm of 0.

    Returns:
        f32[...].
    """
    squared = jnp.sum(vectors**2, axis=-1)
    positive = squared > epsilon
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)
