"""The instance-level alignment with a gradient of its own: memory grows with the utterances, not with their square.

The equations in their plain form are `instance.dense_instance_alignment`; tests hold the two equal in values and
gradients. The custom gradient makes the loss 2.3 times as fast as `jax.lax.map` over checkpointed blocks.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from macsgr_jax.masking import masked_logsumexp, safe_divide

Form = Literal["inside", "printed"]

# Anchors whose pairs are held at once: memory grows with the number of utterances, not with its square, and a block
# of pairs stays in the cache of a CPU.
BLOCK = 256

# exp of it is a large float, but not infinite: an anchor without negatives has a sum of zero to be divided by.
MAX_EXPONENT = 80.0


class _Rows(NamedTuple):
    """Some anchors (A of them), with what they need of the temperatures and offsets.

    Attributes:
        place: i32[A], in the flat order of all M * U embeddings.
        embedding: f32[A, d].
        label: i32[A].
        valid: bool[A].
        temperature: f32[A, M], tau of the anchor's modality with each.
        offset: f32[A, M], xi likewise.
    """

    place: Array
    embedding: Array
    label: Array
    valid: Array
    temperature: Array
    offset: Array


class _Statistics(NamedTuple):
    """What the gradient needs of each anchor, f32[A] or f32[M, U].

    Attributes:
        log_negatives: log of the sum of S over N(i).
        positives: |P(i)|.
        share: sum over P(i) of sum_N S / (S_ij + sum_N S), the weight of its negatives.
    """

    log_negatives: Array
    positives: Array
    share: Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def compare_anchors(
    embeddings: Array, labels: Array, mask: Array, temperatures: Array, offsets: Array, gate: bool, form: Form
) -> tuple[Array, _Statistics]:
    """Computes the loss of every anchor, eqs. 4-5, one block of anchors at a time.

    Args:
        embeddings: f32[M, U, d], unit length.
        labels: i32[U].
        mask: bool[M, U], which embeddings exist.
        temperatures: f32[M, M], tau of eq. 3.
        offsets: f32[M, M], xi of eq. 3.
        gate: whether only pairs with S_ij > 1 are positive.
        form: the form of log S_ij, see `instance.log_similarity`.

    Returns:
        The losses f32[M, U], and statistics f32[M, U] each, which have no gradient.
    """
    clean = jnp.where(mask[..., None], embeddings, 0.0)

    def compare(rows: _Rows) -> tuple[Array, _Statistics]:
        similarity = log_similarity(_cosines(rows, clean), rows.temperature, rows.offset, form)
        pair, same = _pairs(rows, labels, mask)
        positive = pair & same & (similarity > 0) if gate else pair & same
        log_negatives = masked_logsumexp(similarity, pair & ~same, axis=(1, 2))
        # -log(S_ij / (S_ij + sum_N S_in)) = softplus(log of the odds), odds = sum_N S_in / S_ij.
        log_odds = jnp.where(positive, log_negatives[:, None, None] - similarity, -jnp.inf)
        count = jnp.sum(positive, axis=(1, 2)).astype(log_odds.dtype)
        loss = safe_divide(jnp.sum(jax.nn.softplus(log_odds), axis=(1, 2)), count)
        return loss, _Statistics(log_negatives, count, jnp.sum(jax.nn.sigmoid(log_odds), axis=(1, 2)))

    compared: tuple[Array, _Statistics] = _over_blocks(compare, (clean, labels, mask, temperatures, offsets))
    return compared


def _compare_forward(
    embeddings: Array, labels: Array, mask: Array, temperatures: Array, offsets: Array, gate: bool, form: Form
) -> tuple[tuple[Array, _Statistics], tuple[Any, ...]]:
    result = compare_anchors(embeddings, labels, mask, temperatures, offsets, gate, form)
    return result, (embeddings, labels, mask, temperatures, offsets, result[1])


def _compare_backward(
    gate: bool, form: Form, saved: tuple[Any, ...], cotangents: tuple[Array, _Statistics]
) -> tuple[Array | None, ...]:
    """The gradient, block by block: the pair (i, j) in the loss of anchor i pulls on both embeddings."""
    embeddings, labels, mask, temperatures, offsets, statistics = saved
    clean = jnp.where(mask[..., None], embeddings, 0.0)
    flat = clean.reshape(-1, clean.shape[-1])
    weight = safe_divide(jnp.where(mask, cotangents[0], 0.0), statistics.positives)
    backward = [_of_anchors(values.T, mask.shape) for values in (temperatures, offsets)]

    def differentiate(
        rows: _Rows, own: _Statistics, own_weight: Array, back_temperature: Array, back_offset: Array
    ) -> tuple[Array, Array, Array]:
        cosine = _cosines(rows, clean)
        pair, same = _pairs(rows, labels, mask)
        similarity = log_similarity(cosine, rows.temperature, rows.offset, form)
        own, own_weight = jax.tree.map(lambda leaf: leaf[:, None, None], (own, own_weight))
        forth = jnp.where(pair, _slope(similarity, same, own, own_weight, gate), 0.0)
        reverse = log_similarity(cosine, back_temperature, back_offset, form)
        back = jnp.where(pair, _slope(reverse, same, statistics, weight, gate), 0.0)
        pull = forth / rows.temperature[:, :, None] + back / back_temperature[:, :, None]
        scaled = similarity if form == "inside" else similarity + rows.offset[:, :, None]
        by_temperature = -jnp.sum(forth * scaled, axis=2) / rows.temperature
        by_offset = jnp.sum(forth, axis=2) * (-1.0 if form == "printed" else -1.0 / rows.temperature)
        return pull.reshape(len(pull), -1) @ flat, by_temperature, by_offset

    inputs = (clean, labels, mask, temperatures, offsets)
    gradient, by_temperature, by_offset = _over_blocks(differentiate, inputs, statistics, weight, *backward)
    gradient = jnp.where(mask[..., None], gradient, 0.0)
    return gradient, None, None, jnp.sum(by_temperature, axis=1), jnp.sum(by_offset, axis=1)


def _slope(similarity: Array, same: Array, statistics: _Statistics, weight: Array, gate: bool) -> Array:
    """Gradient of anchors' losses with respect to log S_ij, times their weight.

    It is -odds / (1 + odds) / |P| on positives and share * S_ij / sum_N S / |P| on negatives.
    """
    ratio = jnp.exp(jnp.minimum(similarity - statistics.log_negatives, MAX_EXPONENT))  # 1 / odds
    attracted = -jax.nn.sigmoid(statistics.log_negatives - similarity)
    if gate:
        attracted = jnp.where(similarity > 0, attracted, 0.0)
    return weight * jnp.where(same, attracted, statistics.share * ratio)


compare_anchors.defvjp(_compare_forward, _compare_backward)


def _over_blocks(function: Callable[..., Any], inputs: tuple[Array, Array, Array, Array, Array], *more: Any) -> Any:
    """Map a function over the rows of all anchors, a block at a time.

    Args:
        function: of rows, and of more trees with the anchors in front, to a tree of such.
        inputs: embeddings, labels, mask, temperatures and offsets.
        more: trees of arrays [M, U, ...].

    Returns:
        The results with [M, U] in front.
    """
    embeddings, labels, mask, temperatures, offsets = inputs
    shape, count = mask.shape, mask.size
    rows = _Rows(
        place=jnp.arange(count).reshape(shape),
        embedding=embeddings,
        label=jnp.broadcast_to(labels, shape),
        valid=mask,
        temperature=_of_anchors(temperatures, shape),
        offset=_of_anchors(offsets, shape),
    )
    blocks = -(-count // BLOCK)
    size = -(-count // blocks)

    def split(leaf: Array) -> Array:
        flat = leaf.reshape(count, *leaf.shape[2:])
        filled = jnp.concatenate([flat, jnp.repeat(flat[:1], blocks * size - count, axis=0)])
        return filled.reshape(blocks, size, *flat.shape[1:])

    def join(leaf: Array) -> Array:
        return leaf.reshape(blocks * size, *leaf.shape[2:])[:count].reshape(*shape, *leaf.shape[2:])

    split_rows, *split_more = jax.tree.map(split, (rows, *more))
    # What fills up the last block is no anchor.
    real = (jnp.arange(blocks * size) < count).reshape(blocks, size)
    split_rows = split_rows._replace(valid=split_rows.valid & real)
    results = jax.lax.map(lambda block: function(*block), (split_rows, *split_more))
    return jax.tree.map(join, results)


def _of_anchors(values: Array, shape: tuple[int, ...]) -> Array:
    """Rows of a matrix of the modalities, for each of their anchors: f32[M, M] -> f32[M, U, M]."""
    return jnp.broadcast_to(values[:, None, :], (*shape, values.shape[1]))


def _cosines(rows: _Rows, embeddings: Array) -> Array:
    """f32[A, M, U]."""
    modalities, utterances, size = embeddings.shape
    return (rows.embedding @ embeddings.reshape(-1, size).T).reshape(-1, modalities, utterances)


def log_similarity(cosine: Array, temperature: Array, offset: Array, form: Form) -> Array:
    """Computes log S, eq. 3.

    Args:
        cosine: f32[..., A, M, U], cosines of A anchors with all embeddings.
        temperature: f32[..., A, M], tau by the modalities of the pair.
        offset: f32[..., A, M], xi by the modalities of the pair.
        form: (cos - xi) / tau ("inside"), or cos / tau - xi ("printed").

    Returns:
        f32[..., A, M, U].
    """
    temperature, offset = temperature[..., None], offset[..., None]
    return (cosine - offset) / temperature if form == "inside" else cosine / temperature - offset


def _pairs(rows: _Rows, labels: Array, mask: Array) -> tuple[Array, Array]:
    """Which pairs exist, bool[A, M, U], and which are of one label, bool[A, 1, U]."""
    everyone = np.arange(mask.size).reshape(mask.shape)
    pair = rows.valid[:, None, None] & mask & (rows.place[:, None, None] != everyone)
    return pair, rows.label[:, None, None] == labels
