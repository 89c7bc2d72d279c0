"""From index rows to trained weights: gather, step, epoch and evaluation as jittable functions, and one run of them.

Networks and configurations are static arguments (hashable dataclasses), so there is one compilation a shape; arrays are
never closed over. Everything but `run` maps over runs with `jax.vmap`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from macsgr_jax.config import Config, HParams, make_hparams
from macsgr_jax.losses import TERMS, total_loss
from macsgr_jax.metrics import Counts, add_counts, count, scores, zero_counts
from macsgr_jax.models import Network, build_network
from macsgr_jax.optimizer import make_optimizer
from macsgr_jax.task import Task
from macsgr_jax.types import Batch, Utterances

Params = dict[str, Any]


class TrainState(NamedTuple):
    """What changes from step to step.

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
    """What the network says of every slot of some rows.

    Attributes:
        probabilities: f32[steps, B, N, C].
        weights: f32[steps, M, B, N], fusion weights.
    """

    probabilities: Array
    weights: Array


class DivergenceError(ArithmeticError):
    """A loss became infinite or not a number; the message names the epoch, the step and the term."""


def gather_batch(utterances: Utterances, index: Array) -> Batch:
    """The utterances of some rows.

    Args:
        utterances: the corpus.
        index: i32[B, N], -1 is padding.

    Returns:
        Batch, zero where padded.
    """
    mask = index >= 0
    safe = jnp.where(mask, index, 0)
    available = {name: mask & values[safe] for name, values in utterances.available.items()}
    return Batch(
        features={
            name: jnp.where(available[name][..., None], values[safe], 0.0)
            for name, values in utterances.features.items()
        },
        available=available,
        speakers=jnp.where(mask, utterances.speakers[safe], 0),
        labels=jnp.where(mask, utterances.labels[safe], 0),
        dialogue=jnp.where(mask, utterances.dialogue[safe], -1),
        mask=mask,
    )


@functools.partial(jax.jit, static_argnames=("network", "config", "steps_per_epoch"))
def init_state(
    key: Array,
    utterances: Utterances,
    index: Array,
    hparams: HParams,
    *,
    network: Network,
    config: Config,
    steps_per_epoch: int,
) -> TrainState:
    """A run's first state.

    Args:
        key: PRNG key; seed i is `jax.random.key(i)`.
        utterances: the corpus.
        index: i32[B, N], any batch: its shapes count.
        hparams: the run's numbers.
        network: the network.
        config: the settings.
        steps_per_epoch: steps of an epoch.

    Returns:
        TrainState.
    """
    init_key, run_key = jax.random.split(key)
    params = network.init(init_key, gather_batch(utterances, index))["params"]
    opt_state = make_optimizer(config.train, hparams, steps_per_epoch).init(params)
    return TrainState(jnp.zeros((), jnp.int32), params, opt_state, run_key)


def train_step(
    state: TrainState, batch: Batch, hparams: HParams, *, network: Network, config: Config, steps_per_epoch: int
) -> tuple[TrainState, dict[str, Array]]:
    """One step of gradient descent on the objective of eq. 31.

    Args:
        state: before the step.
        batch: the batch.
        hparams: the run's numbers.
        network: the network.
        config: the settings.
        steps_per_epoch: steps of an epoch.

    Returns:
        The state after the step and the loss terms f32[].
    """
    sample_key, dropout_key = jax.random.split(jax.random.fold_in(state.key, state.step))

    def objective(params: Params) -> tuple[Array, dict[str, Array]]:
        rngs = {"sample": sample_key, "dropout": dropout_key}
        output = network.apply({"params": params}, batch, train=True, rngs=rngs)
        return total_loss(output, batch, params["prototypes"], hparams, config.loss)

    gradients, terms = jax.grad(objective, has_aux=True)(state.params)
    frozen = state.step < config.loss.prototype_frozen_epochs * steps_per_epoch
    optimizer = make_optimizer(config.train, hparams, steps_per_epoch)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    updates["prototypes"] = jnp.where(frozen, 0.0, updates["prototypes"])
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, params, opt_state, state.key), terms


@functools.partial(jax.jit, static_argnames=("network", "config"), donate_argnames=("state",))
def train_epoch(
    state: TrainState, utterances: Utterances, rows: Array, hparams: HParams, *, network: Network, config: Config
) -> tuple[TrainState, dict[str, Array]]:
    """One pass over the training rows.

    Args:
        state: before the epoch; its buffers are reused.
        utterances: the corpus.
        rows: i32[steps, B, N].
        hparams: the run's numbers.
        network: the network.
        config: the settings.

    Returns:
        The state after the epoch and each loss term of each step, f32[steps].
    """

    def step(state: TrainState, index: Array) -> tuple[TrainState, dict[str, Array]]:
        batch = gather_batch(utterances, index)
        return train_step(state, batch, hparams, network=network, config=config, steps_per_epoch=rows.shape[0])

    return jax.lax.scan(step, state, rows)


@functools.partial(jax.jit, static_argnames=("network",))
def evaluate(params: Params, utterances: Utterances, rows: Array, *, network: Network) -> Counts:
    """Summed counts over rows, from the means of the latent Gaussians.

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
        return add_counts(counts, count(output.logits, batch.labels, batch.mask)), None

    return jax.lax.scan(step, zero_counts(network.num_classes), rows)[0]


@functools.partial(jax.jit, static_argnames=("network",))
def predict(params: Params, utterances: Utterances, rows: Array, *, network: Network) -> Predictions:
    """What the network says of every slot.

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
        return Predictions(jax.nn.softmax(output.logits), output.weights)

    return jax.lax.map(step, rows)


class EpochReport(NamedTuple):
    """What an epoch left behind, on the host.

    Attributes:
        epoch: from 1.
        terms: the mean of each loss term over the steps.
        validation: the scores of the validation split.
        state: the run's state.
    """

    epoch: int
    terms: dict[str, float]
    validation: dict[str, np.ndarray]
    state: TrainState


def run(task: Task, config: Config, seed: int, on_epoch: Callable[[EpochReport], None]) -> Params:
    """Train one seed.

    Args:
        task: the data.
        config: the settings.
        seed: of weights, data order, dropout and sampling.
        on_epoch: called after every epoch.

    Returns:
        The last weights.

    Raises:
        DivergenceError: a loss term of a step, or the validation loss of an epoch, is not finite.
    """
    network = build_network(config.model, task.corpus.num_classes)
    hparams = make_hparams(config, sorted(task.utterances.features))
    order = np.random.default_rng(seed)
    validation = jnp.asarray(task.evaluation_rows("validation"))
    state = init_state(
        jax.random.key(seed),
        task.utterances,
        validation[0],
        hparams,
        network=network,
        config=config,
        steps_per_epoch=task.steps_per_epoch,
    )
    for epoch in range(1, config.train.epochs + 1):
        rows = jnp.asarray(task.epoch_rows(order))
        state, terms = train_epoch(state, task.utterances, rows, hparams, network=network, config=config)
        terms = {name: np.asarray(terms[name]) for name in TERMS}
        check_finite(terms, epoch)
        validation_scores = scores(evaluate(state.params, task.utterances, validation, network=network))
        if not np.isfinite(validation_scores["nll"]):  # The last step spoiled the weights after its own loss.
            raise _describe_divergence("validation", float(validation_scores["nll"]), len(rows), epoch)
        means = {name: float(values.mean()) for name, values in terms.items()}
        on_epoch(EpochReport(epoch, means, jax.tree.map(np.asarray, validation_scores), state))
    return state.params


def check_finite(terms: dict[str, np.ndarray], epoch: int) -> None:
    """Raise DivergenceError at the first step with a loss term that is not finite.

    Args:
        terms: name -> f32[steps].
        epoch: from 1.

    Raises:
        DivergenceError: naming epoch, step and term.
    """
    for step in range(len(terms["total"])):
        for name in TERMS:  # The total comes last: a part that is at fault is named first.
            if not np.isfinite(terms[name][step]):
                raise _describe_divergence(name, float(terms[name][step]), step + 1, epoch)


def _describe_divergence(name: str, value: float, step: int, epoch: int) -> DivergenceError:
    advice = "lower train.learning_rate, or set train.clip_norm"
    return DivergenceError(f"the {name} loss is {value} at step {step} of epoch {epoch}: {advice}")
