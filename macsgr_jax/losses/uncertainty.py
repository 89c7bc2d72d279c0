"""Supervision of sigma: the fusion weights follow which modality errs less. Not in the paper."""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from macsgr_jax.masking import masked_mean, masked_softmax, widen


def uncertainty_supervision(logits: Array, weights: Array, labels: Array, mask: Array) -> Array:
    """Computes the error of each modality alone, and how far the fusion weights are from its order.

    The paper's objective has no term that rewards a large sigma where a modality tells little. Here each modality is
    classified alone, with cross-entropy e_m, and omega is compared with softmax(-e_m) over the modalities of the
    utterance, which no gradient flows through. With `model.uncertainty=inverse` a large sigma marks what errs.

    Args:
        logits: f32[M, U, C], of the classifier of each modality alone.
        weights: f32[M, U], the fusion weights omega of eqs. 14-15.
        labels: i32[U], the class of each utterance.
        mask: bool[M, U], which modalities each labelled utterance has; False for the others.

    Returns:
        f32[]: the mean of e_m over the valid entries, and the mean cross-entropy of omega with its target over the
        utterances of two or more modalities; 0 without any.

    Reference:
        Tellamekala et al., COLD Fusion: Calibrated and Ordinal Latent Distribution Fusion for Uncertainty-Aware
        Multimodal Emotion Recognition, 2023, which orders the variances by the errors.
    """
    logits = jnp.where(mask[..., None], widen(logits), 0.0)
    labels = jnp.broadcast_to(jnp.maximum(labels, 0), mask.shape)
    errors = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    target = masked_softmax(-jax.lax.stop_gradient(errors), mask, axis=0)
    likelihood = jnp.sum(jnp.where(mask, target * jnp.log(jnp.where(mask, widen(weights), 1.0)), 0.0), axis=0)
    return masked_mean(errors, mask) - masked_mean(likelihood, jnp.sum(mask, axis=0) > 1)
