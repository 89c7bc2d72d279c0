"""The classification loss and the whole objective (eqs. 13, 30 and 31)."""

import jax.numpy as jnp
import optax
from jax import Array

from macsgr_jax.config import LossConfig
from macsgr_jax.hparams import HParams
from macsgr_jax.losses.instance import instance_alignment
from macsgr_jax.losses.latent import latent_alignment
from macsgr_jax.losses.prototype import prototype_alignment
from macsgr_jax.masking import masked_mean
from macsgr_jax.types import Batch, NetworkOutput

TERMS = ("classification", "instance", "prototype", "latent", "total")


def classification(logits: Array, labels: Array, mask: Array, *, balance: float = 0.0) -> Array:
    """Mean cross-entropy over the valid utterances, eq. 30.

    Args:
        logits: f32[U, C].
        labels: i32[U].
        mask: bool[U].
        balance: utterances weigh count^-balance, with the count of their label among the valid ones: 0 as printed, 1
            for the mean over the labels of the means over their utterances.

    Returns:
        f32[]; 0 when nothing is valid.
    """
    logits = jnp.where(mask[:, None], logits, 0.0)
    labels = jnp.where(mask, labels, 0)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    if not balance:
        return masked_mean(losses, mask)
    # Differs from the paper, which leaves MELD's pull to its most frequent emotion as an open problem.
    counts = jnp.zeros(logits.shape[-1]).at[labels].add(mask)
    weights = jnp.maximum(counts, 1.0)[labels] ** -balance
    total = masked_mean(weights, mask)
    return masked_mean(weights * losses, mask) / jnp.where(total > 0, total, 1.0)


def total_loss(
    output: NetworkOutput, batch: Batch, prototypes: Array, hparams: HParams, config: LossConfig
) -> tuple[Array, dict[str, Array]]:
    """L_cl + lambda (gamma_1 L_IA + gamma_2 L_PA + gamma_3 L_LSA), eqs. 13 and 31.

    Args:
        output: what the network said of the batch.
        batch: the batch.
        prototypes: f32[K, d_e].
        hparams: weights and temperatures.
        config: which alignments take part, and how.

    Returns:
        The loss f32[], and its unweighted terms by the names of `TERMS`; an ablated one is 0.
    """
    modalities = output.embeddings.shape[0]
    mask = batch.mask.reshape(-1)
    labels = batch.labels.reshape(-1)
    available = jnp.stack([batch.available[name] for name in sorted(batch.available)]).reshape(modalities, -1)
    embeddings, mean, std = (
        array.reshape(modalities, mask.size, -1)
        for array in (output.embeddings, output.latents.mean, output.latents.std)
    )
    zero = jnp.zeros((), jnp.float32)
    terms = {
        "classification": classification(
            output.logits.reshape(mask.size, -1), labels, mask, balance=config.class_balance
        ),
        "instance": instance_alignment(
            embeddings,
            labels,
            available,
            hparams.temperatures,
            hparams.offsets,
            gate=config.gate_positives,
            form=config.offset_form,
        )
        if config.instance_alignment
        else zero,
        "prototype": prototype_alignment(
            embeddings,
            prototypes,
            available,
            temperature=hparams.temperature_prototype,
            epsilon=config.sinkhorn_epsilon,
            iterations=config.sinkhorn_iterations,
        )
        if config.prototype_alignment
        else zero,
        "latent": latent_alignment(mean, std, available) if config.latent_alignment else zero,
    }
    alignment = (  # Eq. 13.
        hparams.gamma_instance * terms["instance"]
        + hparams.gamma_prototype * terms["prototype"]
        + hparams.gamma_latent * terms["latent"]
    )
    total = terms["classification"] + hparams.lambda_alignment * alignment  # Eq. 31.
    return total, {**terms, "total": total}
