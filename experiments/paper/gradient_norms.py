"""Measures, step by step, how large the gradient of each loss term is in each module of the network."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.losses.objective import ALIGNMENTS, weigh_terms
from macsgr_jax.metrics import scores
from macsgr_jax.models import Network, build_network
from macsgr_jax.training.loop import epoch_indices, set_epochs
from macsgr_jax.training.step import TrainState, evaluate, gather_batch, init_state, objective, train_step
from macsgr_jax.types import Params, Utterances


class GradientNorms(NamedTuple):
    """Norms of the gradient before it is clipped, at every step of a training of T steps and E epochs.

    Attributes:
        modules: the names of the network's modules.
        terms: the names of the loss terms, `classification` and the alignments that are switched on.
        parts: f32[T, terms, modules], of each weighted term of eq. 31 in each module.
        whole: f32[T], of the whole objective in the whole network, which is what `train.clip_norm` limits.
        updates: f32[T, modules], norms of the step taken, after clipping and Adam.
        losses: f32[T, terms], the weighted terms.
        validation: f32[E], WAF1 on the validation split.
    """

    modules: tuple[str, ...]
    terms: tuple[str, ...]
    parts: np.ndarray
    whole: np.ndarray
    updates: np.ndarray
    losses: np.ndarray
    validation: np.ndarray


def measure_gradients(prepared: PreparedCorpus, config: Config, seed: int) -> GradientNorms:
    """Trains one run as `train_runs` does, and measures its gradients on the way.

    Args:
        prepared: the prepared corpus.
        config: the configuration of the run.
        seed: the seed of the run.

    Returns:
        GradientNorms.
    """
    config = set_epochs(config, prepared)
    network = build_network(config.model, prepared.corpus.num_classes)
    utterances = jax.device_put(prepared.utterances)
    validation = prepared.evaluation_rows("validation")
    state = init_state(jax.random.key(seed), utterances, validation[0], config, network=network)
    weights = list_weights(config)
    measured: list[Any] = []
    waf1: list[float] = []
    for epoch in range(1, config.train.epochs + 1):
        rows = epoch_indices(prepared, [seed], epoch)[0]
        state, norms = _measure_epoch(state, utterances, rows, config, network=network)
        measured.append(jax.device_get(norms))
        waf1.append(float(scores(evaluate(state.params, utterances, validation, network=network))["waf1"]))
    parts, whole, updates, losses = (np.concatenate(values) for values in zip(*measured, strict=True))
    return GradientNorms(tuple(sorted(state.params)), tuple(weights), parts, whole, updates, losses, np.array(waf1))


def list_weights(config: Config) -> dict[str, Any]:
    """Returns the weight in eq. 31 of each loss term that is switched on."""
    disabled = [name for name in ALIGNMENTS if not getattr(config.loss, f"{name}_alignment")]
    if not config.model.modality_classifiers:
        disabled.append("uncertainty")
    return {name: weight for name, weight in weigh_terms(config.loss).items() if name not in disabled}


def _norms(tree: Params) -> Array:
    """Returns the norm of each module's part of a gradient: f32[modules]."""
    squares = {name: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(part)) for name, part in tree.items()}
    return jnp.sqrt(jnp.stack([squares[name] for name in sorted(squares)]))


@functools.partial(jax.jit, static_argnames=("network",))
def _measure_epoch(
    state: TrainState, utterances: Utterances, rows: Array, config: Config, *, network: Network
) -> tuple[TrainState, tuple[Array, Array, Array, Array]]:
    """Trains for one epoch; returns parts, whole, updates and losses of `GradientNorms` for its steps."""
    weights = list_weights(config)

    def step(state: TrainState, index: Array) -> tuple[TrainState, tuple[Array, Array, Array, Array]]:
        batch = gather_batch(utterances, index)

        def weighted_terms(params: Params) -> tuple[Array, Array]:
            terms = objective(params, state, batch, config, network=network)[1]
            losses = jnp.stack([weight * terms[name] for name, weight in weights.items()])
            return losses, losses

        gradients, losses = jax.jacrev(weighted_terms, has_aux=True)(state.params)
        parts = jax.vmap(_norms)(gradients)
        whole = jnp.linalg.norm(_norms(jax.tree.map(lambda leaf: leaf.sum(axis=0), gradients)))
        after, _ = train_step(state, batch, config, network=network, steps_per_epoch=rows.shape[0])
        updates = _norms(jax.tree.map(jnp.subtract, after.params, state.params))
        return after, (parts, whole, updates, losses)

    return jax.lax.scan(step, state, rows)
