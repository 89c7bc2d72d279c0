"""Prototype-level alignment: swapped prediction of Sinkhorn cluster codes (eqs. 7-11). The only importer of ott."""

import functools
import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from macsgr_jax.masking import masked_mean, safe_divide, safe_normalize, widen


def sinkhorn_codes(scores: Array, mask: Array, *, epsilon: float = 0.05, iterations: int = 3) -> Array:
    """Soft cluster codes q: the entropic transport plan from the valid rows to the prototypes, both uniform.

    Args:
        scores: f32[U, K], similarities; the transport cost is their negative.
        mask: bool[U], which rows exist.
        epsilon: entropic regularisation.
        iterations: rounds of Sinkhorn's algorithm; SwAV's three are far from convergence, and meant to be.

    Returns:
        f32[U, K] without a gradient: each valid row sums to one, the others are zero.

    Reference:
        Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, 2020.
    """
    with warnings.catch_warnings():
        # ott imports jaxopt, which says on import that it is no longer maintained. It takes two seconds of processor
        # time to import, which only a program that trains waits for.
        warnings.filterwarnings("ignore", message="JAXopt is no longer maintained", category=DeprecationWarning)
        from ott.geometry import geometry
        from ott.solvers import linear
    scores = jax.lax.stop_gradient(jnp.where(mask[:, None], widen(scores), 0.0))
    share = safe_divide(mask, jnp.sum(mask))
    plan = linear.solve(
        # Without an epsilon ott scales its default by the cost matrix, padding included.
        geometry.Geometry(cost_matrix=-scores, epsilon=epsilon),
        a=share,
        lse_mode=True,
        threshold=-1.0,
        min_iterations=iterations,
        max_iterations=iterations,
        # ott runs floor(max / inner) * inner iterations: its default inner of 10 would run none of 3.
        inner_iterations=iterations,
    ).matrix
    plan = jnp.where(mask[:, None], plan, 0.0)
    return jax.lax.stop_gradient(safe_divide(plan, jnp.sum(plan, axis=1, keepdims=True)))


def prototype_alignment(
    embeddings: Array,
    prototypes: Array,
    mask: Array,
    *,
    temperature: Array | float,
    epsilon: float = 0.05,
    iterations: int = 3,
) -> Array:
    """Loss of the prototype-level alignment, eq. 11: each modality predicts the other's cluster codes.

    Args:
        embeddings: f32[M, U, d], unit length.
        prototypes: f32[K, d], of any length; their directions are used.
        mask: bool[M, U], which embeddings exist.
        temperature: tau_2.
        epsilon: of `sinkhorn_codes`.
        iterations: of `sinkhorn_codes`.

    Returns:
        f32[]: the mean over all ordered pairs of modalities and the utterances valid in both; 0 for one modality.
    """
    embeddings, prototypes = widen(embeddings), widen(prototypes)
    pairs = list(itertools.permutations(range(embeddings.shape[0]), 2))
    if not pairs:
        return jnp.zeros((), embeddings.dtype)
    predicted, code = np.array(pairs).T
    embeddings = jnp.where(mask[..., None], embeddings, 0.0)
    scores = embeddings @ safe_normalize(prototypes).T
    codes = jax.vmap(functools.partial(sinkhorn_codes, epsilon=epsilon, iterations=iterations))(scores, mask)
    log_probabilities = jax.nn.log_softmax(scores / temperature, axis=-1)  # Eqs. 7-8.
    # Differs from the paper: eqs. 9-10 lack the minus, without which the loss would drive predictions from codes.
    cross_entropy = -jnp.sum(codes[code] * log_probabilities[predicted], axis=-1)
    return masked_mean(cross_entropy, mask[code] & mask[predicted])
