"""Runs as an axis: many trainings, each with its own seed, data order and numbers, as one program on all devices.

A run is a key x HParams. `train_runs` maps the epoch of one run (`macsgr_jax.training.step`) over all of them with `jax.vmap`,
shards the runs over the devices, and makes the next epoch's data order while the devices work on this one.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.hparams import HParams, make_hparams, without_traced
from macsgr_jax.losses import TERMS
from macsgr_jax.metrics import scores
from macsgr_jax.models import Network, build_network
from macsgr_jax.training.devices import DATA, RUN, make_mesh, place_runs, replicate
from macsgr_jax.training.step import Params, TrainState, evaluate, init_state, train_epoch
from macsgr_jax.types import Utterances


class Runs(NamedTuple):
    """What changes from epoch to epoch in S runs: every array has S in front.

    Attributes:
        state: of the training.
        best_params: the weights of the epoch of the best validation WAF1.
        best_waf1: f32[S], that score, between 0 and 1; -1 before the first epoch.
        best_epoch: i32[S], from 1.
    """

    state: TrainState
    best_params: Params
    best_waf1: Array
    best_epoch: Array


class EpochReport(NamedTuple):
    """What an epoch of S runs left behind, on the host.

    Attributes:
        epoch: from 1.
        terms: name of `losses.TERMS` -> f32[S, steps].
        validation: score of `metrics.scores` -> f32[S, ...].
    """

    epoch: int
    terms: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]


class DivergenceError(ArithmeticError):
    """A loss became infinite or not a number; the message names the seed, the epoch, the step and the term."""


@functools.partial(jax.jit, static_argnames=("network", "config", "mesh"))
def init_runs(
    seeds: Array, utterances: Utterances, index: Array, *, network: Network, config: Config, mesh: Mesh
) -> Runs:
    """The first states.

    Args:
        seeds: u32[S]; seed i is `jax.random.key(i)`.
        utterances: the corpus.
        index: i32[B, N], any batch: its shapes count.
        network: the network.
        config: the settings that the runs share.
        mesh: of `devices.make_mesh`.

    Returns:
        Runs.
    """
    numbers = make_hparams(config, sorted(utterances.features))  # The first state does not depend on them.
    static = {"network": network, "config": config, "steps_per_epoch": 1}

    def init(seed: Array) -> TrainState:
        return init_state(jax.random.key(seed), utterances, index, numbers, **static)

    state = jax.vmap(init, spmd_axis_name=RUN)(seeds)
    best_params = jax.tree.map(jnp.copy, state.params)  # Two buffers: both will be donated.
    runs = Runs(state, best_params, jnp.full(seeds.shape, -1.0, jnp.float32), jnp.zeros(seeds.shape, jnp.int32))
    return _keep_in_place(runs, mesh)


@functools.partial(jax.jit, static_argnames=("network", "config", "mesh"), donate_argnames=("runs",))
def train_runs_epoch(
    runs: Runs,
    utterances: Utterances,
    rows: Array,
    validation: Array,
    hparams: HParams,
    *,
    network: Network,
    config: Config,
    mesh: Mesh,
) -> tuple[Runs, dict[str, Array], dict[str, Array]]:
    """One epoch of every run, and its scores on the validation split.

    Args:
        runs: before the epoch; their buffers are reused.
        utterances: the corpus.
        rows: i32[S, steps, B, N], the data order of each run.
        validation: i32[steps, B, N].
        hparams: the runs' numbers, S in front.
        network: the network.
        config: the settings they share.
        mesh: of `devices.make_mesh`.

    Returns:
        The runs after the epoch, each loss term f32[S, steps], and the validation scores f32[S, ...].
    """
    batch_sharding = NamedSharding(mesh, PartitionSpec(DATA)) if mesh.shape[DATA] > 1 else None

    def train(run: Runs, rows: Array, numbers: HParams) -> tuple[Runs, dict[str, Array], dict[str, Array]]:
        state, terms = train_epoch(
            run.state, utterances, rows, numbers, network=network, config=config, batch_sharding=batch_sharding
        )
        measured = scores(evaluate(state.params, utterances, validation, network=network))
        better = measured["waf1"] > run.best_waf1
        after = Runs(
            state,
            jax.tree.map(lambda new, old: jnp.where(better, new, old), state.params, run.best_params),
            jnp.where(better, measured["waf1"], run.best_waf1),
            jnp.where(better, state.step // rows.shape[0], run.best_epoch),
        )
        return after, terms, measured

    after, terms, measured = _map_runs(train, runs, rows, hparams)
    everywhere = NamedSharding(mesh, PartitionSpec())
    return _keep_in_place(after, mesh), *jax.lax.with_sharding_constraint((terms, measured), everywhere)


def _keep_in_place(runs: Runs, mesh: Mesh) -> Runs:
    """One sharding for the runs before and after each epoch; the second epoch would be compiled anew for another."""
    return jax.lax.with_sharding_constraint(runs, NamedSharding(mesh, PartitionSpec(RUN)))


def _map_runs(function: Callable[..., Any], *trees: Any) -> Any:
    """A function of one run, for all of them; a run alone is spared the batch dimension, which costs up to 15 %."""
    if len(jax.tree.leaves(trees)[0]) > 1:
        return jax.vmap(function, spmd_axis_name=RUN)(*trees)
    alone = function(*jax.tree.map(lambda leaf: leaf[0], trees))
    return jax.tree.map(lambda leaf: leaf[None], alone)


def train_runs(
    prepared: PreparedCorpus,
    config: Config,
    seeds: Sequence[int],
    hparams: HParams | None = None,
    *,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
    on_state: Callable[[int, Runs], None] = lambda epoch, runs: None,
    wants_state: Callable[[int], bool] = lambda epoch: False,
    start: tuple[int, Runs] | None = None,
    mesh: Mesh | None = None,
) -> Runs:
    """Train S runs at once. A run's numbers do not depend on its company, beyond rounding.

    Args:
        prepared: the data.
        config: the settings; those that HParams holds count only where `hparams` is not given.
        seeds: of weights, data order, dropout and sampling, one a run.
        hparams: the runs' numbers, S in front; by default those of `config` for all.
        on_epoch: called after every epoch, while the next one is under way already.
        on_state: called with the state after an epoch, all reports up to it delivered; the arrays are reused after it.
        wants_state: epoch -> whether to call `on_state`.
        start: the epochs behind them and their state, of `on_state` or a checkpoint; by default they begin.
        mesh: of `devices.make_mesh`; by default all devices. Runs that do not divide its axis `run` are filled up with
            copies of the first.

    Returns:
        The last state, with the copies still in it: only the first S entries count.
    """
    mesh = make_mesh() if mesh is None else mesh
    hparams = stack_hparams([config] * len(seeds), prepared) if hparams is None else hparams
    # What every program below is given, on the devices and in its place.
    utterances, validation = replicate((prepared.utterances, prepared.evaluation_rows("validation")), mesh)
    numbers = place_runs(pad_runs(hparams, mesh), mesh)
    static = {
        "network": build_network(config.model, prepared.corpus.num_classes),
        "config": without_traced(config),
        "mesh": mesh,
    }
    done, runs = start or (0, init_runs_on_mesh(prepared, config, seeds, mesh))

    waiting: tuple[int, Any] | None = None
    rows = epoch_indices(prepared, seeds, done + 1)
    for epoch in range(done + 1, config.train.epochs + 1):
        placed = place_runs(pad_runs(rows, mesh), mesh)
        runs, terms, measured = train_runs_epoch(runs, utterances, placed, validation, numbers, **static)
        # The devices are at work: make the next order, and report the epoch before, in the meantime.
        if epoch < config.train.epochs:
            rows = epoch_indices(prepared, seeds, epoch + 1)
        if waiting:
            on_epoch(_report(*waiting, len(seeds)))
        waiting = (epoch, (terms, measured))
        if wants_state(epoch):
            on_epoch(_report(*waiting, len(seeds)))
            waiting = None
            on_state(epoch, runs)
    if waiting:
        on_epoch(_report(*waiting, len(seeds)))
    return runs


def measure_run_bytes(prepared: PreparedCorpus, config: Config) -> int:
    """Memory that one more run takes on a device, in bytes: its state and what its training step needs besides."""
    mesh = Mesh(np.array(jax.local_devices()[:1]).reshape(1, 1), (RUN, DATA))
    runs = init_runs_on_mesh(prepared, config, [0], mesh)
    # In their places as in `train_runs`, where the compilation cache then has the program of a run alone.
    utterances, validation = replicate((prepared.utterances, prepared.evaluation_rows("validation")), mesh)
    rows, numbers = place_runs((epoch_indices(prepared, [0], 1), stack_hparams([config], prepared)), mesh)
    network = build_network(config.model, prepared.corpus.num_classes)
    static = {"network": network, "config": without_traced(config), "mesh": mesh}
    lowered = train_runs_epoch.lower(runs, utterances, rows, validation, numbers, **static)
    state = sum(leaf.nbytes for leaf in jax.tree.leaves((runs.state.params, runs.state.opt_state, runs.best_params)))
    memory = lowered.compile().memory_analysis()
    return state + (memory.temp_size_in_bytes if memory else 0)


def init_runs_on_mesh(prepared: PreparedCorpus, config: Config, seeds: Sequence[int], mesh: Mesh) -> Runs:
    """The first states, where they belong; a checkpoint of these runs has the same shapes and places."""
    utterances, index = replicate((prepared.utterances, prepared.evaluation_rows("validation")[0]), mesh)
    return init_runs(
        place_runs(pad_runs(np.asarray(seeds, np.uint32), mesh), mesh),
        utterances,
        index,
        network=build_network(config.model, prepared.corpus.num_classes),
        config=without_traced(config),
        mesh=mesh,
    )


def pad_runs(tree: Any, mesh: Mesh) -> Any:
    """Repeat the first run at the end of each array until the devices of the axis `run` divide their number."""

    def fill(leaf: Any) -> np.ndarray:
        values = np.asarray(leaf)
        return np.concatenate([values, np.repeat(values[:1], -len(values) % mesh.shape[RUN], axis=0)])

    return jax.tree.map(fill, tree)


def epoch_indices(prepared: PreparedCorpus, seeds: Sequence[int], epoch: int) -> np.ndarray:
    """The data order of an epoch, which depends on the seed and the epoch alone: i32[S, steps, B, N]."""
    orders = {seed: prepared.epoch_rows(np.random.default_rng([seed, epoch])) for seed in dict.fromkeys(seeds)}
    return np.stack([orders[seed] for seed in seeds])


def stack_hparams(configs: Sequence[Config], prepared: PreparedCorpus) -> HParams:
    """The numbers of each run's configuration, S in front."""
    modalities = sorted(prepared.utterances.features)
    each = [jax.tree.map(np.asarray, make_hparams(config, modalities)) for config in configs]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


def _report(epoch: int, results: Any, runs: int) -> EpochReport:
    terms, measured = jax.tree.map(lambda leaf: np.asarray(leaf)[:runs], results)
    return EpochReport(epoch, terms, measured)


def check_finite(report: EpochReport, seeds: Sequence[int]) -> None:
    """Raise DivergenceError at the first run and step with a loss that is not finite.

    Args:
        report: of an epoch.
        seeds: of its runs.

    Raises:
        DivergenceError: naming seed, epoch, step and term.
    """
    for run, seed in enumerate(seeds):
        for step in range(report.terms["total"].shape[1]):
            for name in TERMS:  # The total comes last: a part that is at fault is named first.
                value = float(report.terms[name][run, step])
                if not np.isfinite(value):
                    raise _describe_divergence(name, value, seed, f"step {step + 1} of epoch {report.epoch}")
        spoiled = float(report.validation["nll"][run])
        if not np.isfinite(spoiled):  # The last step spoiled the weights after its own loss.
            raise _describe_divergence("validation", spoiled, seed, f"epoch {report.epoch}")


def _describe_divergence(name: str, value: float, seed: int, place: str) -> DivergenceError:
    advice = "lower train.learning_rate, or set train.clip_norm"
    return DivergenceError(f"seed {seed}: the {name} loss is {value} at {place}: {advice}")
