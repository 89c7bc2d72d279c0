"""Trains many runs (seeds x hyperparameters) as one vmapped program, sharded over all devices.

A run is a key x Config. `train_runs` maps the epoch of one run (`macsgr_jax.training.step`) over all of them with
`jax.vmap`, and prepares the next epoch's data order while the devices work on this one.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from macsgr_jax.config import Config, LossConfig
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.losses import TERMS
from macsgr_jax.metrics import scores
from macsgr_jax.models import Network, build_network
from macsgr_jax.training.devices import DATA, RUN, make_mesh, place_runs, replicate
from macsgr_jax.training.optimizer import count_epochs
from macsgr_jax.training.step import TrainState, evaluate, init_state, train_epoch
from macsgr_jax.types import Params, Utterances


class Runs(NamedTuple):
    """The state of S runs, which changes from epoch to epoch: every array has S in front.

    Attributes:
        state: of the training.
        best_params: the weights of the epoch with the best validation WAF1.
        best_waf1: f32[S], that score, between 0 and 1; -1 before the first epoch.
        best_epoch: i32[S], from 1.
    """

    state: TrainState
    best_params: Params
    best_waf1: Array
    best_epoch: Array


class EpochReport(NamedTuple):
    """The losses and validation scores of S runs in an epoch, on the host.

    Attributes:
        epoch: from 1.
        terms: name of `losses.TERMS` -> f32[S, steps].
        validation: score of `metrics.scores` -> f32[S, ...].
    """

    epoch: int
    terms: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]


class Epoch:
    """An epoch that the devices may still be working on.

    Attributes:
        number: from 1.
        runs: the state after the epoch, with the copies that fill up the devices still in it: only the first S entries
            count. Its buffers are reused when the next epoch is asked for: copy what is to be kept.
    """

    def __init__(self, number: int, runs: Runs, results: Any, count: int) -> None:
        self.number, self.runs = number, runs
        self._results, self._count = results, count

    @functools.cached_property
    def report(self) -> EpochReport:
        """Waits for the epoch and fetches its losses and scores; it may be called at any later time."""
        terms, measured = jax.tree.map(lambda leaf: np.asarray(leaf)[: self._count], self._results)
        return EpochReport(self.number, terms, measured)


# Settings of the loss that alone can make it infinite -> the range in which they do not.
USUAL = {
    **dict.fromkeys(
        ("temperature_audio", "temperature_text", "temperature_other", "temperature_cross", "temperature_prototype"),
        (2e-3, 1e6),
    ),
    "sinkhorn_epsilon": (1e-3, 1e6),
    **dict.fromkeys(("offset_intra", "offset_cross"), (0.0, 1e3)),
    **dict.fromkeys(("lambda_alignment", "gamma_instance", "gamma_prototype", "gamma_latent"), (0.0, 1e3)),
}


class DivergenceError(ArithmeticError):
    """A loss became infinite or not a number; the message names the seed, the epoch, the step and the term."""


# It runs once: a program that is made quickly serves better than a quick one.
@functools.partial(jax.jit, static_argnames=("network", "mesh"), compiler_options={"xla_backend_optimization_level": 0})
def init_runs(
    seeds: Array, utterances: Utterances, index: Array, config: Config, *, network: Network, mesh: Mesh
) -> Runs:
    """Initializes runs.

    Args:
        seeds: u32[S]; seed i is `jax.random.key(i)`.
        utterances: the corpus.
        index: i32[B, N], any batch: only its shape matters.
        config: a configuration of the runs' structure; its hyperparameters do not matter.
        network: the network.
        mesh: of `devices.make_mesh`.

    Returns:
        Runs.
    """

    def init(seed: Array) -> TrainState:
        return init_state(jax.random.key(seed), utterances, index, config, network=network)

    state = jax.vmap(init, spmd_axis_name=RUN)(seeds)
    best_params = jax.tree.map(jnp.copy, state.params)  # Two buffers: both will be donated.
    runs = Runs(state, best_params, jnp.full(seeds.shape, -1.0, jnp.float32), jnp.zeros(seeds.shape, jnp.int32))
    return _keep_sharding(runs, mesh)


@functools.partial(jax.jit, static_argnames=("network", "mesh"), donate_argnames=("runs",))
def train_runs_epoch(
    runs: Runs,
    utterances: Utterances,
    rows: Array,
    validation: Array,
    configs: Config,
    *,
    network: Network,
    mesh: Mesh,
) -> tuple[Runs, dict[str, Array], dict[str, Array]]:
    """Trains every run for one epoch, and scores it on the validation split.

    Args:
        runs: the state before the epoch; its buffers are reused.
        utterances: the corpus.
        rows: i32[S, steps, B, N], the data order of each run.
        validation: i32[steps, B, N].
        configs: the runs' configurations as one pytree, S in front of each hyperparameter.
        network: the network.
        mesh: of `devices.make_mesh`.

    Returns:
        The runs after the epoch, each loss term f32[S, steps], and the validation scores f32[S, ...].
    """
    batch_sharding = NamedSharding(mesh, PartitionSpec(DATA)) if mesh.shape[DATA] > 1 else None

    def train(run: Runs, rows: Array, config: Config) -> tuple[Runs, dict[str, Array], dict[str, Array]]:
        state, terms = train_epoch(run.state, utterances, rows, config, network=network, batch_sharding=batch_sharding)
        measured = scores(evaluate(state.params, utterances, validation, network=network))
        better = measured["waf1"] > run.best_waf1
        after = Runs(
            state,
            jax.tree.map(lambda new, old: jnp.where(better, new, old), state.params, run.best_params),
            jnp.where(better, measured["waf1"], run.best_waf1),
            jnp.where(better, state.step // rows.shape[0], run.best_epoch),
        )
        return after, terms, measured

    after, terms, measured = _map_runs(train, runs, rows, configs)
    everywhere = NamedSharding(mesh, PartitionSpec())
    return _keep_sharding(after, mesh), *jax.lax.with_sharding_constraint((terms, measured), everywhere)


def _keep_sharding(runs: Runs, mesh: Mesh) -> Runs:
    """Gives the runs one sharding before and after each epoch; the second epoch would be compiled again for another."""
    return jax.lax.with_sharding_constraint(runs, NamedSharding(mesh, PartitionSpec(RUN)))


def _map_runs(function: Callable[..., Any], *trees: Any) -> Any:
    """Maps a function of one run; a single run is spared the batch dimension, which costs up to 15 %."""
    if len(jax.tree.leaves(trees)[0]) > 1:
        return jax.vmap(function, spmd_axis_name=RUN)(*trees)
    alone = function(*jax.tree.map(lambda leaf: leaf[0], trees))
    return jax.tree.map(lambda leaf: leaf[None], alone)


def set_epochs(config: Config, prepared: PreparedCorpus) -> Config:
    """Returns the configuration with the number of epochs that `train.epochs` = 0 stands for on a corpus."""
    if config.train.epochs:
        return config  # Counting the steps of an epoch takes a pass over the dialogues.
    epochs = count_epochs(config.train, prepared.steps_per_epoch)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=epochs))


def train_runs(
    prepared: PreparedCorpus,
    configs: Config | Sequence[Config],
    seeds: Sequence[int],
    *,
    start: tuple[int, Runs] | None = None,
    mesh: Mesh | None = None,
) -> Iterator[Epoch]:
    """Trains S runs at once. A run's results do not depend on the other runs, beyond rounding.

    The epoch is under way when it is yielded, and its report is fetched when it is first read: a caller that reads the
    report of the previous epoch keeps the devices at work.

        for epoch in train_runs(prepared, config, seeds=range(10)):
            print(epoch.number, epoch.report.validation["waf1"])

    Args:
        prepared: the data.
        configs: one configuration for all runs, or one per run; all of the same structure (they may differ in the
            hyperparameters declared as traced).
        seeds: the seed of weights, data order, dropout and sampling of each run.
        start: the number of epochs behind the runs and their state, from an `Epoch` or a checkpoint; by default the
            runs begin.
        mesh: of `devices.make_mesh`; by default all devices. Runs that do not divide its axis `run` are filled up with
            copies of the first.

    Yields:
        Each epoch that is left to train.

    Raises:
        ValueError: the configurations differ in their structure, or in number from the seeds.
    """
    mesh = make_mesh() if mesh is None else mesh
    configs = [configs] * len(seeds) if isinstance(configs, Config) else list(configs)
    if len(configs) != len(seeds):
        raise ValueError(f"{len(configs)} configurations for {len(seeds)} seeds")
    configs = [set_epochs(config, prepared) for config in configs]
    config = configs[0]
    # Everything that the program below is given lies on the devices, where it belongs.
    utterances, validation = replicate((prepared.utterances, prepared.evaluation_rows("validation")), mesh)
    stacked = place_runs(pad_runs(stack_configs(configs), mesh), mesh)
    static = {"network": build_network(config.model, prepared.corpus.num_classes), "mesh": mesh}
    done, runs = start or (0, init_runs_on_mesh(prepared, config, seeds, mesh))

    rows = epoch_indices(prepared, seeds, done + 1)
    for number in range(done + 1, config.train.epochs + 1):
        placed = place_runs(pad_runs(rows, mesh), mesh)
        runs, *results = train_runs_epoch(runs, utterances, placed, validation, stacked, **static)
        # The devices are at work: prepare the next epoch's order in the meantime.
        if number < config.train.epochs:
            rows = epoch_indices(prepared, seeds, number + 1)
        yield Epoch(number, runs, results, len(seeds))


def measure_run_bytes(prepared: PreparedCorpus, config: Config) -> int:
    """Measures the memory that one more run takes on a device, in bytes: its state and its training step's temporaries.

    Args:
        prepared: the data.
        config: the run's configuration.
    """
    mesh = Mesh(np.array(jax.local_devices()[:1]).reshape(1, 1), (RUN, DATA))
    runs = init_runs_on_mesh(prepared, config, [0], mesh)
    # Placed as in `train_runs`, where the compilation cache then has the program of a single run.
    utterances, validation = replicate((prepared.utterances, prepared.evaluation_rows("validation")), mesh)
    rows, configs = place_runs((epoch_indices(prepared, [0], 1), stack_configs([config])), mesh)
    network = build_network(config.model, prepared.corpus.num_classes)
    lowered = train_runs_epoch.lower(runs, utterances, rows, validation, configs, network=network, mesh=mesh)
    state = sum(leaf.nbytes for leaf in jax.tree.leaves((runs.state.params, runs.state.opt_state, runs.best_params)))
    memory = lowered.compile().memory_analysis()
    return state + (memory.temp_size_in_bytes if memory else 0)


def init_runs_on_mesh(prepared: PreparedCorpus, config: Config, seeds: Sequence[int], mesh: Mesh) -> Runs:
    """Initializes runs on the devices; a checkpoint of these runs has the same shapes and shardings."""
    utterances, index = replicate((prepared.utterances, prepared.evaluation_rows("validation")[0]), mesh)
    return init_runs(
        place_runs(pad_runs(np.asarray(seeds, np.uint32), mesh), mesh),
        utterances,
        index,
        config,
        network=build_network(config.model, prepared.corpus.num_classes),
        mesh=mesh,
    )


def pad_runs(tree: Any, mesh: Mesh) -> Any:
    """Repeats the first run at the end of each array until the devices of the axis `run` divide their number."""

    def pad(leaf: Any) -> np.ndarray:
        values = np.asarray(leaf)
        return np.concatenate([values, np.repeat(values[:1], -len(values) % mesh.shape[RUN], axis=0)])

    return jax.tree.map(pad, tree)


def epoch_indices(prepared: PreparedCorpus, seeds: Sequence[int], epoch: int) -> np.ndarray:
    """Draws the data order of an epoch, which depends on the seed and the epoch alone: i32[S, steps, B, N]."""
    orders = {seed: prepared.epoch_rows(np.random.default_rng([seed, epoch])) for seed in dict.fromkeys(seeds)}
    return np.stack([orders[seed] for seed in seeds])


def stack_configs(configs: Sequence[Config]) -> Config:
    """Stacks configurations of the same structure into one pytree, S in front of each traced hyperparameter, f32[S].

    Args:
        configs: the configurations.

    Raises:
        ValueError: they differ in their structure.
    """
    return jax.tree.map(lambda *leaves: np.stack([np.float32(leaf) for leaf in leaves]), *configs)


def group_configs(configs: Sequence[Config]) -> list[list[int]]:
    """Groups configurations that share a program, in the order of each group's first one.

    Args:
        configs: the configurations.

    Returns:
        The indices of each group.
    """
    groups: dict[Any, list[int]] = {}
    for index, config in enumerate(configs):
        groups.setdefault(jax.tree.structure(config), []).append(index)
    return list(groups.values())


def check_finite(report: EpochReport, seeds: Sequence[int], configs: Sequence[Config] = ()) -> None:
    """Raises DivergenceError at the first run and step with a loss that is not finite.

    Args:
        report: the report of an epoch.
        seeds: the seed of each run.
        configs: the configuration of each run, where the message is to name the setting that is at fault.

    Raises:
        DivergenceError: naming seed, epoch, step and term.
    """
    for run, seed in enumerate(seeds):
        config = configs[run] if configs else None
        for step in range(report.terms["total"].shape[1]):
            for name in TERMS:  # The total comes last: a part that is at fault is named first.
                value = float(report.terms[name][run, step])
                if not np.isfinite(value):
                    raise _describe_divergence(name, value, seed, f"step {step + 1} of epoch {report.epoch}", config)
        spoiled = float(report.validation["nll"][run])
        if not np.isfinite(spoiled):  # The last step spoiled the weights after its own loss.
            raise _describe_divergence("validation", spoiled, seed, f"epoch {report.epoch}", config)


def _describe_divergence(name: str, value: float, seed: int, where: str, config: Config | None) -> DivergenceError:
    return DivergenceError(f"seed {seed}: the {name} loss is {value} at {where}: {_advise(config)}")


def _advise(config: Config | None) -> str:
    """Returns what to change: a setting that is far outside of its usual range, or else the learning rate."""
    if config is not None:
        default = LossConfig()
        for field, (low, high) in USUAL.items():
            value = float(getattr(config.loss, field))
            if not low <= abs(value) <= high:
                return f"loss.{field} is {value:g}; bring it nearer to its default, {getattr(default, field):g}"
    return "lower train.learning_rate, or set train.clip_norm"
