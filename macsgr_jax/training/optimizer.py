"""Adam with the paper's schedule and decay, or with ours."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from macsgr_jax.config import TrainConfig
from macsgr_jax.hparams import HParams


def learning_rate_at(step: Array, steps_per_epoch: int, config: TrainConfig, hparams: HParams) -> Array:
    """The learning rate of a step; the paper's Algorithm 1 with `schedule="restarts"`, constant within an epoch there.

    Args:
        step: i32[].
        steps_per_epoch: steps of an epoch.
        config: schedule and periods.
        hparams: the largest learning rate.

    Returns:
        f32[].
    """
    if config.schedule == "constant":
        return _warm_up(step, steps_per_epoch, config) * hparams.learning_rate
    if config.schedule == "restarts":
        progress = (step // steps_per_epoch) % config.restart_epochs / config.restart_epochs
    else:
        progress = jnp.minimum(step / (config.epochs * steps_per_epoch), 1.0)
    least = jnp.minimum(config.min_learning_rate, hparams.learning_rate)
    scheduled = least + 0.5 * (hparams.learning_rate - least) * (1.0 + jnp.cos(jnp.pi * progress))
    return _warm_up(step, steps_per_epoch, config) * scheduled


def _warm_up(step: Array, steps_per_epoch: int, config: TrainConfig) -> Array:
    """Share of the scheduled learning rate: f32[], 1 from the end of the warm-up on."""
    return jnp.minimum((step + 1) / jnp.maximum(config.warmup_epochs * steps_per_epoch, 1.0), 1.0)


def make_optimizer(config: TrainConfig, hparams: HParams, steps_per_epoch: int) -> optax.GradientTransformation:
    """Adam with clipping, decay and schedule; its state's shape does not depend on the numbers in `hparams`.

    Args:
        config: which clipping, decay and schedule.
        hparams: learning rate and decay.
        steps_per_epoch: steps of an epoch.

    Returns:
        What maps gradients to updates of the parameters.
    """

    def rate(step: Array) -> Array:
        return -learning_rate_at(step, steps_per_epoch, config, hparams)

    def matrices(params: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    decay = optax.add_decayed_weights(hparams.weight_decay, mask=matrices)
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity(),
        decay if config.weight_decay_mode == "coupled" else optax.identity(),
        optax.scale_by_adam(),
        optax.scale_by_schedule(rate),
        # As printed, (1 - lambda_d) theta - r delta: the decay is not scaled by the learning rate.
        optax.add_decayed_weights(-hparams.weight_decay)
        if config.weight_decay_mode == "decoupled"
        else optax.identity(),
    )
