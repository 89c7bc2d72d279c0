"""Instance-level alignment: supervised contrast over all pairs of all modalities (eqs. 1-6)."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from macsgr_jax.masking import masked_logsumexp, masked_mean


def instance_alignment(
    embeddings: Array,
    labels: Array,
    mask: Array,
    temperatures: Array,
    offsets: Array,
    *,
    gate: bool = True,
    form: Literal["inside", "printed"] = "inside",
) -> Array:
    """Loss of the instance-level alignment, eq. 6, in the log domain throughout.

    Every embedding of every modality is an anchor i. Its positives P(i) are the others of its label, its negatives
    N(i) those of another label, and its loss is the mean over P(i) of -log(S_ij / (S_ij + sum over N(i) of S_in)), or
    0 where P(i) is empty. The result is the mean over all valid anchors: eq. 6's 1 / 2 N_p for two modalities.

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
        f32[]; 0 when nothing is valid.
    """
    modalities, utterances, size = embeddings.shape
    count = modalities * utterances
    modality = np.repeat(np.arange(modalities), utterances)
    label = jnp.tile(labels, modalities)
    valid = mask.reshape(count)
    z = jnp.where(valid[:, None], embeddings.reshape(count, size), 0.0)
    tau = temperatures[modality[:, None], modality[None, :]]
    xi = offsets[modality[:, None], modality[None, :]]

    cosine = z @ z.T
    similarity = (cosine - xi) / tau if form == "inside" else cosine / tau - xi  # log S, eq. 3
    pair = valid[:, None] & valid[None, :] & ~jnp.eye(count, dtype=bool)
    same = label[:, None] == label[None, :]
    positive = pair & same & (jax.lax.stop_gradient(similarity) > 0) if gate else pair & same
    negative = pair & ~same

    log_negatives = masked_logsumexp(similarity, negative)[:, None]
    # Eqs. 4-5: log(S_ij / (S_ij + sum_N S_in)) = -softplus(log sum_N S_in - log S_ij).
    log_ratio = -jax.nn.softplus(jnp.where(positive, log_negatives - similarity, 0.0))
    anchors = -masked_mean(log_ratio, positive, axis=1)
    return masked_mean(anchors, valid)
