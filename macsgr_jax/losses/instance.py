"""Instance-level alignment: supervised contrast over all pairs of all modalities (eqs. 1-6)."""

import jax
import jax.numpy as jnp
from jax import Array

from macsgr_jax.losses.instance_blockwise import Form, compare_anchors, log_similarity
from macsgr_jax.masking import masked_logsumexp, masked_mean, safe_divide, widen


def instance_alignment(
    embeddings: Array,
    labels: Array,
    mask: Array,
    temperatures: Array,
    offsets: Array,
    *,
    gate: bool = True,
    form: Form = "inside",
) -> Array:
    """Computes the supervised contrastive loss over all pairs, eq. 6, in the log domain throughout.

    Every embedding of every modality is an anchor i. Its positives P(i) are the other embeddings of its label, its
    negatives N(i) those of another label, and its loss is the mean over P(i) of -log(S_ij / (S_ij + sum over N(i) of
    S_in)), or 0 where P(i) is empty. The result is the mean over all valid anchors: eq. 6's 1 / 2 N_p for two
    modalities.

    `dense_instance_alignment` is the same loss in its plain form. Here, memory grows with U: pairs are computed one
    block of anchors at a time, and computed again for the gradient.

    Args:
        embeddings: f32[M, U, d], unit length.
        labels: i32[U], shared by the modalities.
        mask: bool[M, U], which embeddings exist.
        temperatures: f32[M, M], tau_m(i,j) by the two modalities.
        offsets: f32[M, M], xi_m(i,j) by the two modalities.
        gate: keep only positives with S_ij > 1, as printed.
        form: log S_ij is (cos - xi) / tau ("inside", where S > 1 means cos > xi, as the paper's text says), or
            cos / tau - xi ("printed", eq. 3).

    Returns:
        f32[]; 0 if no embedding is valid.
    """
    embeddings, temperatures, offsets = widen(embeddings), widen(temperatures), widen(offsets)
    anchors, _ = compare_anchors(embeddings, labels, mask, temperatures, offsets, gate, form)
    return masked_mean(anchors, mask)


def dense_instance_alignment(
    embeddings: Array,
    labels: Array,
    mask: Array,
    temperatures: Array,
    offsets: Array,
    *,
    gate: bool = True,
    form: Form = "inside",
) -> Array:
    """Computes `instance_alignment` in its plain form, with all pairs in memory at once: read this one first.

    Args:
        embeddings: f32[M, U, d], unit length.
        labels: i32[U], shared by the modalities.
        mask: bool[M, U], which embeddings exist.
        temperatures: f32[M, M], tau_m(i,j) by the two modalities.
        offsets: f32[M, M], xi_m(i,j) by the two modalities.
        gate: keep only positives with S_ij > 1, as printed.
        form: as in `instance_alignment`.

    Returns:
        f32[]; 0 if no embedding is valid.
    """
    embeddings, temperatures, offsets = widen(embeddings), widen(temperatures), widen(offsets)
    z = jnp.where(mask[..., None], embeddings, 0.0)
    cosine = jnp.einsum("aid,bjd->aibj", z, z)  # Eqs. 1-2: anchors (a, i) against all (b, j).
    log_s = log_similarity(cosine, temperatures[:, None, :], offsets[:, None, :], form)  # Eq. 3.
    pair = mask[:, :, None, None] & mask & ~jnp.eye(mask.size, dtype=bool).reshape(cosine.shape)
    same_label = (labels[:, None] == labels[None, :])[None, :, None, :]
    positive = pair & same_label & ((log_s > 0) if gate else True)
    log_negatives = masked_logsumexp(log_s, pair & ~same_label, axis=(2, 3))
    # Eqs. 4-5: -log(S_ij / (S_ij + sum_N S_in)) = softplus(log sum_N S_in - log S_ij).
    log_odds = jnp.where(positive, log_negatives[:, :, None, None] - log_s, 0.0)
    losses = jnp.where(positive, jax.nn.softplus(log_odds), 0.0)
    anchors = safe_divide(jnp.sum(losses, axis=(2, 3)), jnp.sum(positive, axis=(2, 3)))
    return masked_mean(anchors, mask)  # Eq. 6.
