"""Latent space alignment: the 2-Wasserstein distance of the modalities' Gaussians (eq. 12)."""

import itertools

import jax.numpy as jnp
import numpy as np
from jax import Array

from macsgr_jax.masking import masked_mean, safe_norm, widen


def latent_alignment(mean: Array, std: Array, mask: Array) -> Array:
    """Loss of the latent space alignment, eq. 12.

    Args:
        mean: f32[M, U, d], mu.
        std: f32[M, U, d], sigma, standard deviations.
        mask: bool[M, U], which latents exist.

    Returns:
        f32[]: half the mean distance over all pairs of modalities and the utterances valid in both; 0 for one
        modality.

    Reference:
        Schonfeld et al., Generalized Zero- and Few-Shot Learning via Aligned Variational Autoencoders, 2019.
    """
    mean, std = widen(mean), widen(std)
    parameters = jnp.where(mask[..., None], jnp.concatenate([mean, std], axis=-1), 0.0)
    pairs = list(itertools.combinations(range(mean.shape[0]), 2))
    if not pairs:
        return jnp.zeros((), mean.dtype)
    one, other = np.array(pairs).T
    return 0.5 * masked_mean(safe_norm(parameters[one] - parameters[other]), mask[one] & mask[other])
