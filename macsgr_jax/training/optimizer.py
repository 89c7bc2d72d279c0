"""Adam with the paper's schedule and weight decay, or with ours."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from macsgr_jax.config import TrainConfig

# Bounds of a training where `train.epochs` is 0: more steps are not needed, more epochs learn a small corpus by heart,
# and however large a corpus is, each utterance is seen a few times.
MOST_STEPS = 1500
MOST_EPOCHS, FEWEST_EPOCHS = 60, 4


def count_epochs(config: TrainConfig, steps_per_epoch: int) -> int:
    """Returns the number of epochs of a run, which follows the size of the corpus where `config.epochs` is 0.

    Args:
        config: the settings.
        steps_per_epoch: number of steps of an epoch.

    Returns:
        `config.epochs`; or 60 epochs, fewer where these are more than 1,500 steps (but at least 4 epochs).
    """
    if config.epochs:
        return config.epochs
    return min(max(round(MOST_STEPS / steps_per_epoch), FEWEST_EPOCHS), MOST_EPOCHS)


def learning_rate_at(step: Array, steps_per_epoch: int, config: TrainConfig) -> Array:
    """Computes the learning rate of a step.

    With `schedule="restarts"` this is the paper's Algorithm 1, where the rate is constant within an epoch.

    Args:
        step: i32[], steps taken so far.
        steps_per_epoch: number of steps of an epoch.
        config: the schedule and its periods; the learning rate may be traced.

    Returns:
        f32[].
    """
    peak = jnp.float32(config.learning_rate)
    warmup = jnp.minimum((step + 1) / jnp.maximum(config.warmup_epochs * steps_per_epoch, 1.0), 1.0)
    if config.schedule == "constant":
        return warmup * peak
    final_fraction = jnp.minimum(config.min_learning_rate / peak, 1.0)
    if config.schedule == "restarts":
        decay = optax.cosine_decay_schedule(1.0, config.restart_epochs, final_fraction)
        return warmup * peak * decay(step // steps_per_epoch % config.restart_epochs)
    steps = count_epochs(config, steps_per_epoch) * steps_per_epoch
    decay = optax.cosine_decay_schedule(1.0, steps, final_fraction)
    return warmup * peak * decay(step)


def make_optimizer(config: TrainConfig, steps_per_epoch: int) -> optax.GradientTransformation:
    """Builds Adam with gradient clipping, weight decay and schedule.

    Args:
        config: the settings; learning rate and weight decay may be traced, and the shape of the optimiser's state does
            not depend on them.
        steps_per_epoch: number of steps of an epoch.

    Returns:
        A transformation from gradients to updates of the parameters.
    """

    def rate(step: Array) -> Array:
        return -learning_rate_at(step, steps_per_epoch, config)

    def decays(path: tuple[Any, ...], leaf: Array) -> bool:
        # Adam brings every sum of gradient and decay to the same size: where gradients are small, decay alone acts.
        return leaf.ndim > 1 and (config.decay_distribution or path[0].key != "distribution")

    def matrices(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(decays, params)

    coupled = optax.add_decayed_weights(config.weight_decay, mask=matrices)
    # As printed, (1 - lambda_d) theta - r delta: the decay is not scaled by the learning rate.
    decoupled = optax.add_decayed_weights(-config.weight_decay)
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity(),
        coupled if config.weight_decay_mode == "coupled" else optax.identity(),
        optax.scale_by_adam(),
        optax.scale_by_schedule(rate),
        decoupled if config.weight_decay_mode == "decoupled" else optax.identity(),
    )
