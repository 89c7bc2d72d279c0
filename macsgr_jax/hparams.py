"""The numbers of a configuration that a run traces, so that many runs with other numbers are one program."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from macsgr_jax.config import Config

# The settings whose numbers `HParams` holds: runs that differ only in these share one compilation.
TRACED = (
    "loss.lambda_alignment",
    "loss.gamma_instance",
    "loss.gamma_prototype",
    "loss.gamma_latent",
    "loss.temperature_audio",
    "loss.temperature_text",
    "loss.temperature_other",
    "loss.temperature_cross",
    "loss.temperature_prototype",
    "loss.offset_intra",
    "loss.offset_cross",
    "train.learning_rate",
    "train.weight_decay",
)


def without_traced(config: Config) -> Config:
    """The configuration with the defaults in place of what `HParams` holds: what a compilation depends on."""
    default = Config()
    sections: dict[str, dict[str, float]] = {}
    for name in TRACED:
        section, field = name.split(".")
        sections.setdefault(section, {})[field] = getattr(getattr(default, section), field)
    changed = {name: dataclasses.replace(getattr(config, name), **values) for name, values in sections.items()}
    return dataclasses.replace(config, **changed)


class HParams(NamedTuple):
    """The numbers of a configuration that a run traces, so that a sweep can map over them.

    Attributes:
        lambda_alignment: f32[], lambda of eq. 31.
        gamma_instance: f32[], gamma_1 of eq. 13.
        gamma_prototype: f32[], gamma_2 of eq. 13.
        gamma_latent: f32[], gamma_3 of eq. 13.
        temperatures: f32[M, M], tau of eq. 3 by the modalities of a pair.
        offsets: f32[M, M], xi of eq. 3 by the modalities of a pair.
        temperature_prototype: f32[], tau_2 of eqs. 7-8.
        learning_rate: f32[], the largest learning rate.
        weight_decay: f32[], lambda_d.
    """

    lambda_alignment: Array
    gamma_instance: Array
    gamma_prototype: Array
    gamma_latent: Array
    temperatures: Array
    offsets: Array
    temperature_prototype: Array
    learning_rate: Array
    weight_decay: Array


def make_hparams(config: Config, modalities: Sequence[str]) -> HParams:
    """The traced numbers of a configuration.

    Args:
        config: the settings.
        modalities: the M modalities in the network's order.

    Returns:
        HParams of f32 scalars and f32[M, M] matrices.
    """
    loss = config.loss
    within = {"audio": loss.temperature_audio, "text": loss.temperature_text}
    same = jnp.eye(len(modalities), dtype=bool)
    intra = jnp.array([within.get(modality, loss.temperature_other) for modality in modalities], jnp.float32)
    return HParams(
        lambda_alignment=jnp.float32(loss.lambda_alignment),
        gamma_instance=jnp.float32(loss.gamma_instance),
        gamma_prototype=jnp.float32(loss.gamma_prototype),
        gamma_latent=jnp.float32(loss.gamma_latent),
        temperatures=jnp.where(same, intra, jnp.float32(loss.temperature_cross)),
        offsets=jnp.where(same, jnp.float32(loss.offset_intra), jnp.float32(loss.offset_cross)),
        temperature_prototype=jnp.float32(loss.temperature_prototype),
        learning_rate=jnp.float32(config.train.learning_rate),
        weight_decay=jnp.float32(config.train.weight_decay),
    )
