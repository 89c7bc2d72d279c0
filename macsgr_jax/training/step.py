"""From index rows to trained weights: gather, step, epoch and evaluation as jittable functions of one run.

The network is a static argument and the configuration a pytree, so there is one compilation per shape and structure;
arrays are never closed over. Everything here maps over runs with `jax.vmap`, as `macsgr_jax.training.loop` does.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import NamedSharding

from macsgr_jax.config import Config
from macsgr_jax.losses import total_loss
from macsgr_jax.metrics import Counts, add_counts, count, zero_counts
from macsgr_jax.models import Network
from macsgr_jax.training.optimizer import make_optimizer
from macsgr_jax.types import Batch, Params, Utterances

# Separate the keys of `drop_modalities` and `add_noise` from those of the other draws of a step.
MODALITY_STREAM, NOISE_STREAM = 2, 3


class TrainState(NamedTuple):
    """The state of a run, which changes from step to step.

    Attributes:
        step: i32[], steps taken.
        params: weights and prototypes.
        opt_state: of the optimiser.
        key: PRNG key of the run.
    """

    step: Array
    params: Params
    opt_state: optax.OptState
    key: Array


class Predictions(NamedTuple):
    """Predictions for every slot of some rows.

    Attributes:
        logits: f32[steps, B, N, C].
        weights: f32[steps, M, B, N], fusion weights.
    """

    logits: Array
    weights: Array

    @property
    def probabilities(self) -> Array:
        """f32[steps, B, N, C], eq. 28."""
        return jax.nn.softmax(self.logits)


def gather_batch(utterances: Utterances, index: Array) -> Batch:
    """Gathers the utterances of some rows.

    Args:
        utterances: the corpus.
        index: i32[B, N], row of the corpus of each slot; -1 is padding.

    Returns:
        Batch, zero where padded.
    """
    mask = index >= 0
    safe = jnp.where(mask, index, 0)
    available = {name: mask & values[safe] for name, values in utterances.available.items()}
    return Batch(
        features={
            name: jnp.where(available[name][..., None], values[safe].astype(jnp.float32), 0.0)
            for name, values in utterances.features.items()
        },
        available=available,
        speakers=jnp.where(mask, utterances.speakers[safe], 0),
        labels=jnp.where(mask, utterances.labels[safe], 0),
        dialogue=jnp.where(mask, utterances.dialogue[safe], -1),
        mask=mask,
    )


def drop_modalities(batch: Batch, key: Array, rate: float) -> Batch:
    """Removes one modality from a fraction of the utterances, so that the network learns to do without it.

    Args:
        batch: the batch.
        key: PRNG key.
        rate: the fraction of the utterances with two or more modalities; each modality is equally likely to go.

    Returns:
        Batch with fewer `available`.
    """
    names = sorted(batch.available)
    available = jnp.stack([batch.available[name] for name in names])
    drop_key, score_key = jax.random.split(key)
    drop = jax.random.bernoulli(drop_key, rate, batch.mask.shape) & (jnp.sum(available, axis=0) > 1)
    scores = jnp.where(available, jax.random.uniform(score_key, available.shape), -1.0)
    dropped = drop & (jnp.argmax(scores, axis=0) == jnp.arange(len(names))[:, None, None])
    return batch._replace(available=dict(zip(names, available & ~dropped, strict=True)))


def add_noise(batch: Batch, key: Array, scale: float) -> Batch:
    """Adds noise to one modality of each row, or to none, so that the network learns what noise looks like.

    Args:
        batch: the batch.
        key: PRNG key.
        scale: the largest standard deviation of the noise, in standard deviations of a feature; that of a row is drawn
            evenly from 0 to it.

    Returns:
        Batch with other `features`; what is not available stays 0.
    """
    names = sorted(batch.features)
    which_key, level_key, noise_key = jax.random.split(key, 3)
    row = (len(batch.mask), 1, 1)
    which = jax.random.randint(which_key, row, 0, len(names) + 1)  # The last number is no modality.
    level = scale * jax.random.uniform(level_key, row)
    features = {}
    for number, name in enumerate(names):
        values = batch.features[name]
        noise = level * jax.random.normal(jax.random.fold_in(noise_key, number), values.shape)
        noisy = (which == number) & batch.available[name][..., None]
        features[name] = values + jnp.where(noisy, noise, 0.0)
    return batch._replace(features=features)


@functools.partial(jax.jit, static_argnames=("network",))
def init_state(key: Array, utterances: Utterances, index: Array, config: Config, *, network: Network) -> TrainState:
    """Initializes a run.

    Args:
        key: PRNG key; seed i is `jax.random.key(i)`.
        utterances: the corpus.
        index: i32[B, N], any batch: only its shape matters.
        config: the run's configuration.
        network: the network.

    Returns:
        TrainState.
    """
    init_key, run_key = jax.random.split(key)
    params = network.init(init_key, gather_batch(utterances, index))["params"]
    # The shape of the optimiser's state depends on no number of the schedule.
    opt_state = make_optimizer(config.train, steps_per_epoch=1).init(params)
    return TrainState(jnp.zeros((), jnp.int32), params, opt_state, run_key)


def objective(
    params: Params, state: TrainState, batch: Batch, config: Config, *, network: Network
) -> tuple[Array, dict[str, Array]]:
    """Computes the objective of eq. 31 as a training step sees it, with dropout and samples drawn.

    Args:
        params: weights, with regard to which a step differentiates.
        state: the state before the step, whose key and number the draws follow from.
        batch: the batch.
        config: the run's configuration; its traced hyperparameters may be arrays.
        network: the network.

    Returns:
        The loss f32[], and its unweighted terms f32[] by the names of `losses.TERMS`.
    """
    step_key = jax.random.fold_in(state.key, state.step)
    sample_key, dropout_key = jax.random.split(step_key)
    if config.train.modality_dropout:
        batch = drop_modalities(batch, jax.random.fold_in(step_key, MODALITY_STREAM), config.train.modality_dropout)
    if config.train.feature_noise:
        batch = add_noise(batch, jax.random.fold_in(step_key, NOISE_STREAM), config.train.feature_noise)
    rngs = {"sample": sample_key, "dropout": dropout_key}
    output = network.apply({"params": params}, batch, train=True, rngs=rngs)
    return total_loss(output, batch, params["prototypes"], config)


def train_step(
    state: TrainState, batch: Batch, config: Config, *, network: Network, steps_per_epoch: int
) -> tuple[TrainState, dict[str, Array]]:
    """Takes one step of gradient descent on the objective of eq. 31.

    Args:
        state: the state before the step.
        batch: the batch.
        config: the run's configuration; its traced hyperparameters may be arrays.
        network: the network.
        steps_per_epoch: number of steps of an epoch.

    Returns:
        The state after the step, and the loss terms f32[] by the names of `losses.TERMS`.
    """
    gradients, terms = jax.grad(objective, has_aux=True)(state.params, state, batch, config, network=network)
    frozen = state.step < config.loss.prototype_frozen_epochs * steps_per_epoch
    optimizer = make_optimizer(config.train, steps_per_epoch)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    updates["prototypes"] = jnp.where(frozen, 0.0, updates["prototypes"])
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, params, opt_state, state.key), terms


@functools.partial(jax.jit, static_argnames=("network", "batch_sharding"), donate_argnames=("state",))
def train_epoch(
    state: TrainState,
    utterances: Utterances,
    rows: Array,
    config: Config,
    *,
    network: Network,
    batch_sharding: NamedSharding | None = None,
) -> tuple[TrainState, dict[str, Array]]:
    """Trains for one pass over the training rows.

    Args:
        state: the state before the epoch; its buffers are reused.
        utterances: the corpus.
        rows: i32[steps, B, N], row of the corpus of each slot; -1 is padding.
        config: the run's configuration.
        network: the network.
        batch_sharding: how the rows of a batch are divided among devices; the losses still see all of them.

    Returns:
        The state after the epoch, and each loss term of each step, f32[steps].
    """

    def step(state: TrainState, index: Array) -> tuple[TrainState, dict[str, Array]]:
        batch = gather_batch(utterances, index)
        if batch_sharding is not None:
            batch = jax.lax.with_sharding_constraint(batch, batch_sharding)
        return train_step(state, batch, config, network=network, steps_per_epoch=rows.shape[0])

    return jax.lax.scan(step, state, rows)


@functools.partial(jax.jit, static_argnames=("network",))
def evaluate(params: Params, utterances: Utterances, rows: Array, *, network: Network) -> Counts:
    """Sums the counts over rows, with the means of the latent Gaussians.

    Args:
        params: weights.
        utterances: the corpus.
        rows: i32[steps, B, N].
        network: the network.

    Returns:
        Counts, for `macsgr_jax.metrics.scores`.
    """

    def step(counts: Counts, index: Array) -> tuple[Counts, None]:
        batch = gather_batch(utterances, index)
        output = network.apply({"params": params}, batch)
        return add_counts(counts, count(output.logits, batch.labels, batch.labelled)), None

    return jax.lax.scan(step, zero_counts(network.num_classes), rows)[0]


@functools.partial(jax.jit, static_argnames=("network",))
def predict(params: Params, utterances: Utterances, rows: Array, *, network: Network) -> Predictions:
    """Predicts every slot, with the means of the latent Gaussians.

    Args:
        params: weights.
        utterances: the corpus.
        rows: i32[steps, B, N].
        network: the network.

    Returns:
        Predictions.
    """

    def step(index: Array) -> Predictions:
        output = network.apply({"params": params}, gather_batch(utterances, index))
        return Predictions(output.logits, output.weights)

    return jax.lax.map(step, rows)
