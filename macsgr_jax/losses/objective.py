"""The whole objective (eqs. 13 and 31): the classification loss and a table of alignment losses."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from macsgr_jax.config import Config, LossConfig
from macsgr_jax.losses.classification import classification
from macsgr_jax.losses.instance import instance_alignment
from macsgr_jax.losses.latent import latent_alignment
from macsgr_jax.losses.prototype import prototype_alignment
from macsgr_jax.losses.uncertainty import uncertainty_supervision
from macsgr_jax.types import Batch, NetworkOutput


class AlignmentInputs(NamedTuple):
    """The arguments of the alignment losses: the slots of a batch as one axis of U utterances.

    Attributes:
        embeddings: f32[M, U, d_e], unit length.
        mean: f32[M, U, d_e], mu of the latent Gaussians.
        std: f32[M, U, d_e], sigma of the latent Gaussians.
        labels: i32[U].
        available: bool[M, U], which modalities each labelled utterance has; False for the others.
        prototypes: f32[K, d_e].
        temperatures: f32[M, M], tau of eq. 3 by the modalities of a pair.
        offsets: f32[M, M], xi of eq. 3 by the modalities of a pair.
        config: the losses' hyperparameters and switches.
    """

    embeddings: Array
    mean: Array
    std: Array
    labels: Array
    available: Array
    prototypes: Array
    temperatures: Array
    offsets: Array
    config: LossConfig


def _instance(inputs: AlignmentInputs) -> Array:
    return instance_alignment(
        inputs.embeddings,
        inputs.labels,
        inputs.available,
        inputs.temperatures,
        inputs.offsets,
        gate=inputs.config.gate_positives,
        form=inputs.config.offset_form,
    )


def _prototype(inputs: AlignmentInputs) -> Array:
    return prototype_alignment(
        inputs.embeddings,
        inputs.prototypes,
        inputs.available,
        temperature=inputs.config.temperature_prototype,
        epsilon=inputs.config.sinkhorn_epsilon,
        iterations=inputs.config.sinkhorn_iterations,
    )


def _latent(inputs: AlignmentInputs) -> Array:
    return latent_alignment(inputs.mean, inputs.std, inputs.available)


# Each alignment NAME is switched by loss.NAME_alignment and weighted by loss.gamma_NAME, eq. 13.
ALIGNMENTS: dict[str, Callable[[AlignmentInputs], Array]] = {
    "instance": _instance,
    "prototype": _prototype,
    "latent": _latent,
}
TERMS = ("classification", *ALIGNMENTS, "uncertainty", "total")


def weigh_terms(config: LossConfig) -> dict[str, Array | float]:
    """Returns the weight of each part of the objective, eqs. 13 and 31, whether it is switched on or not.

    Args:
        config: the weights, traced or not.

    Returns:
        Name of `TERMS`, but for the total -> its weight.
    """
    alignments = {name: config.lambda_alignment * getattr(config, f"gamma_{name}") for name in ALIGNMENTS}
    return {"classification": 1.0, **alignments, "uncertainty": config.gamma_uncertainty}


def pair_matrices(config: LossConfig, modalities: Sequence[str]) -> tuple[Array, Array]:
    """Returns the temperature and the offset of eq. 3 for each pair of modalities.

    Args:
        config: the temperatures and offsets, traced or not.
        modalities: the M modalities in the network's order.

    Returns:
        tau f32[M, M] and xi f32[M, M].
    """
    within = {"audio": config.temperature_audio, "text": config.temperature_text}
    same = jnp.eye(len(modalities), dtype=bool)
    intra = jnp.stack([jnp.float32(within.get(modality, config.temperature_other)) for modality in modalities])
    temperatures = jnp.where(same, intra, jnp.float32(config.temperature_cross))
    return temperatures, jnp.where(same, jnp.float32(config.offset_intra), jnp.float32(config.offset_cross))


def total_loss(
    output: NetworkOutput, batch: Batch, prototypes: Array, config: Config
) -> tuple[Array, dict[str, Array]]:
    """Computes L_cl + lambda (gamma_1 L_IA + gamma_2 L_PA + gamma_3 L_LSA), eqs. 13 and 31.

    Differs from the paper where the network has `modality_classifiers`: then the supervision of sigma is added.

    The paper's U_i all have a label. An utterance without one is context: it is in none of the terms, not even in
    those that need no label, so that hiding a label takes the utterance out of the objective and nothing else.

    Args:
        output: the network's output for the batch.
        batch: the batch.
        prototypes: f32[K, d_e].
        config: the configuration; of `config.loss`, weights and temperatures may be traced.

    Returns:
        The loss f32[], and its unweighted terms f32[] by the names of `TERMS`; a term that is switched off is 0.
    """
    modalities = sorted(batch.available)
    labelled = batch.labelled
    shape = (len(modalities), batch.mask.size, -1)
    temperatures, offsets = pair_matrices(config.loss, modalities)
    inputs = AlignmentInputs(
        embeddings=output.embeddings.reshape(shape),
        mean=output.latents.mean.reshape(shape),
        std=output.latents.std.reshape(shape),
        labels=batch.labels.reshape(-1),
        available=jnp.stack([batch.available[name] & labelled for name in modalities]).reshape(shape[:2]),
        prototypes=prototypes,
        temperatures=temperatures,
        offsets=offsets,
        config=config.loss,
    )
    logits = output.logits.reshape(batch.mask.size, -1)
    terms = {
        "classification": classification(logits, inputs.labels, labelled.reshape(-1), balance=config.loss.class_balance)
    }
    alignment = jnp.zeros((), jnp.float32)
    for name, compute in ALIGNMENTS.items():
        enabled = getattr(config.loss, f"{name}_alignment")
        terms[name] = compute(inputs) if enabled else jnp.zeros((), jnp.float32)
        alignment = alignment + getattr(config.loss, f"gamma_{name}") * terms[name]  # Eq. 13.
    total = terms["classification"] + config.loss.lambda_alignment * alignment  # Eq. 31.
    terms["uncertainty"] = jnp.zeros((), jnp.float32)
    if output.modality_logits is not None:
        alone, weights = output.modality_logits.reshape(shape), output.weights.reshape(shape[:2])
        terms["uncertainty"] = uncertainty_supervision(alone, weights, inputs.labels, inputs.available)
        total = total + config.loss.gamma_uncertainty * terms["uncertainty"]
    terms["total"] = total
    return terms["total"], terms
