"""Gathering, steps and epochs: what is learned, what is compiled, what is random."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.models import Network, build_network
from macsgr_jax.overrides import override
from macsgr_jax.training import step as train
from macsgr_jax.training.devices import make_mesh
from macsgr_jax.training.loop import init_runs_on_mesh
from macsgr_jax.training.step import TrainState, evaluate, gather_batch
from macsgr_jax.types import Batch, NetworkOutput, Utterances
from tests.testing.corpora import compile_quickly
from tests.testing.ten_seeds import SEEDS, make_config, make_prepared

TRACED: Counter[str] = Counter()


class CountingNetwork(Network):
    """The network, counting how often its Python code runs: that is once a trace, and never in a compiled call."""

    def __call__(self, batch: Batch, *, train: bool = False) -> NetworkOutput:
        TRACED["train" if train else "evaluate"] += 1
        return super().__call__(batch, train=train)


def as_kind(kind: type[Network], network: Network) -> Network:
    """The same network as an instance of a subclass."""
    names = [field.name for field in dataclasses.fields(Network) if field.name not in ("parent", "name")]
    return kind(**{name: getattr(network, name) for name in names})


@pytest.fixture(scope="module", autouse=True)
def compile_everything_quickly() -> Iterator[None]:
    """Compiling is most of what these tests do."""
    with compile_quickly():
        yield


@pytest.fixture(scope="module")
def config() -> Config:
    """The configuration, its hyperparameters as arrays."""
    return jax.tree.map(jnp.float32, make_config())


@pytest.fixture(scope="module")
def prepared(config: Config) -> PreparedCorpus:
    return make_prepared(config)


@pytest.fixture(scope="module")
def network(config: Config, prepared: PreparedCorpus) -> Network:
    return as_kind(CountingNetwork, build_network(config.model, prepared.corpus.num_classes))


@pytest.fixture(scope="module")
def start(config: Config, prepared: PreparedCorpus, network: Network) -> Callable[[int], TrainState]:
    """Seed -> first state."""
    row = jnp.asarray(prepared.evaluation_rows("validation"))[0]

    def start(seed: int) -> TrainState:
        return train.init_state(jax.random.key(seed), prepared.utterances, row, config, network=network)

    return start


@pytest.fixture(scope="module")
def train_epoch(prepared: PreparedCorpus, network: Network) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
    """One epoch over the rows of a seed."""

    def train_epoch(state: TrainState, config: Config, seed: int = 0) -> tuple[TrainState, dict[str, jax.Array]]:
        rows = jnp.asarray(prepared.epoch_rows(np.random.default_rng(seed)))
        return train.train_epoch(state, prepared.utterances, rows, config, network=network)

    return train_epoch


def largest_difference(first: Any, second: Any) -> float:
    """Of two trees of arrays."""
    differences = jax.tree.map(lambda one, other: np.max(np.abs(np.asarray(one) - np.asarray(other))), first, second)
    return float(max(jax.tree.leaves(differences)))


def test_gathered_padding_is_zero_whatever_the_corpus_holds() -> None:
    nan = float("nan")
    utterances = Utterances(
        features={"text": jnp.array([[nan, 7.0], [1.0, 2.0], [nan, nan]])},
        available={"text": jnp.array([True, True, False])},
        speakers=jnp.array([9, 1, 2]),
        labels=jnp.array([8, 1, 2]),
        dialogue=jnp.array([7, 0, 0]),
    )
    batch = gather_batch(utterances, jnp.array([[1, 2, -1], [-1, -1, -1]]))
    assert batch.features["text"].tolist() == [[[1, 2], [0, 0], [0, 0]], [[0, 0]] * 3]
    assert batch.available["text"].tolist() == [[True, False, False], [False] * 3]
    assert batch.speakers.tolist() == [[1, 2, 0], [0, 0, 0]]
    assert batch.labels.tolist() == [[1, 2, 0], [0, 0, 0]]
    assert batch.dialogue.tolist() == [[0, 0, -1], [-1, -1, -1]]
    assert batch.mask.tolist() == [[True, True, False], [False] * 3]


def test_features_of_half_the_precision_are_gathered_as_whole_ones(prepared: PreparedCorpus) -> None:
    half = {name: np.float16(values) for name, values in prepared.utterances.features.items()}
    index = prepared.evaluation_rows("test")[0]
    batch = gather_batch(prepared.utterances._replace(features=half), index)
    for name, values in gather_batch(prepared.utterances, index).features.items():
        assert batch.features[name].dtype == np.float32
        np.testing.assert_allclose(batch.features[name], values, rtol=2**-10, atol=1e-6)


def test_one_trace_a_shape(
    prepared: PreparedCorpus,
    network: Network,
    config: Config,
    start: Callable[[int], TrainState],
    train_epoch: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
) -> None:
    """Neither another epoch, nor other rows, nor other hyperparameters compile again."""
    validation = jnp.asarray(prepared.evaluation_rows("validation"))
    traced = []
    for seed, scale in ((0, 1.0), (1, 0.5)):
        state = start(seed)
        changed = jax.tree.map(lambda leaf, scale=scale: leaf * jnp.float32(scale), config)
        for epoch in range(3):
            state, _ = train_epoch(state, changed, epoch)
            evaluate(state.params, prepared.utterances, validation, network=network)
            evaluate(jax.tree.map(np.asarray, state.params), prepared.utterances, validation, network=network)
            traced.append(TRACED.copy())
    assert traced[0]["train"] > 0 and traced[0]["evaluate"] > 0
    assert traced[1:] == traced[:1] * 5


def test_prototypes_are_frozen_for_the_first_epoch_and_move_after(
    config: Config,
    start: Callable[[int], TrainState],
    train_epoch: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
) -> None:
    state = start(0)
    history = [np.asarray(state.params["prototypes"])]
    weights = [np.asarray(state.params["projection"]["kernel"])]
    for epoch in range(3):
        state, _ = train_epoch(state, config, epoch)
        history.append(np.asarray(state.params["prototypes"]))
        weights.append(np.asarray(state.params["projection"]["kernel"]))
    np.testing.assert_array_equal(history[0], history[1])
    assert np.all(history[1] != history[2]) and np.all(history[2] != history[3])
    assert np.all(weights[0] != weights[1])


def test_modalities_are_dropped_where_another_is_left() -> None:
    random = np.random.default_rng(0)
    available = random.random((3, 40, 50)) < 0.8
    mask = available.any(axis=0)
    empty = np.zeros((40, 50), np.int32)
    names = ("audio", "text", "video")
    batch = Batch({}, dict(zip(names, available, strict=True)), empty, empty, empty, mask)
    dropped = train.drop_modalities(batch, jax.random.key(0), 0.3)
    left = np.stack([dropped.available[name] for name in names])
    lost = available & ~left
    assert not np.any(left & ~available) and lost.sum(axis=0).max() == 1
    several = available.sum(axis=0) > 1
    assert not np.any(lost[:, ~several]) and left.any(axis=0).sum() == mask.sum()
    assert lost.any(axis=0)[several].mean() == pytest.approx(0.3, abs=0.03)
    shares = [lost[m][available.all(axis=0)].mean() for m in range(3)]
    np.testing.assert_allclose(shares, 0.1, atol=0.02)  # Each is as likely to go.
    again, other = (train.drop_modalities(batch, jax.random.key(seed), 0.3).available["text"] for seed in (0, 1))
    np.testing.assert_array_equal(again, left[1])
    assert np.any(other != left[1])


def test_noise_falls_on_one_modality_of_a_row_or_on_none() -> None:
    random = np.random.default_rng(0)
    rows, slots, names = 400, 20, ("audio", "text")
    mask = random.random((rows, slots)) < 0.9
    available = {name: mask & (random.random(mask.shape) < 0.8) for name in names}
    clean = {name: np.where(available[name][..., None], 1.0, 0.0) * np.ones(5, np.float32) for name in names}
    empty = np.zeros(mask.shape, np.int32)
    batch = Batch(clean, available, empty, empty, empty, mask)
    noisy = train.add_noise(batch, jax.random.key(0), 4.0)
    noise = {name: np.asarray(noisy.features[name]) - clean[name] for name in names}
    for name in names:
        assert not np.any(noise[name][~available[name]])
        assert noisy.available[name] is available[name]
    hit = np.stack([np.any(noise[name], axis=(1, 2)) for name in names])
    assert hit.sum(axis=0).max() == 1
    np.testing.assert_allclose(hit.mean(axis=1), 1 / 3, atol=0.06)  # None is as likely as each modality.
    levels = [noise["text"][row][available["text"][row]].std() for row in np.flatnonzero(hit[1])]
    assert max(levels) < 4.5 and np.mean(levels) == pytest.approx(2.0, abs=0.25)


def test_a_step_drops_modalities_where_it_is_asked_to(config: Config, start: Callable[[int], TrainState]) -> None:
    prepared = make_prepared(
        dataclasses.replace(config, train=dataclasses.replace(config.train, utterance_dropout=0.0))
    )
    seen: list[Any] = []

    class WatchingNetwork(Network):
        def __call__(self, batch: Batch, *, train: bool = False) -> NetworkOutput:
            jax.debug.callback(lambda values: seen.append(np.asarray(values)), batch.available["text"])
            return super().__call__(batch, train=train)

    rows = jnp.asarray(prepared.epoch_rows(np.random.default_rng(0)))[:1]
    counts = []
    for rate in (0.0, 0.9):
        changed = dataclasses.replace(config, train=dataclasses.replace(config.train, modality_dropout=rate))
        watching = as_kind(WatchingNetwork, build_network(changed.model, prepared.corpus.num_classes))
        state = start(0)
        seen.clear()
        jax.block_until_ready(train.train_epoch(state, prepared.utterances, rows, changed, network=watching)[0].step)
        jax.effects_barrier()
        counts.append(seen[0].sum())
    assert 0.3 * counts[0] < counts[1] < 0.8 * counts[0]


def test_vmapped_runs_equal_single_ones(
    config: Config,
    prepared: PreparedCorpus,
    network: Network,
    start: Callable[[int], TrainState],
    train_epoch: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
) -> None:
    other = override(make_config(), ["train.learning_rate=0.000075", "loss.gamma_latent=0.6"])
    runs = [(start(0), config), (start(1), jax.tree.map(jnp.float32, other))]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
    rows = jnp.asarray(prepared.epoch_rows(np.random.default_rng(0)))
    together, terms = jax.vmap(
        lambda state, config: train.train_epoch(state, prepared.utterances, rows, config, network=network)
    )(*stacked)
    for place, (state, own) in enumerate(runs):
        alone, alone_terms = train_epoch(state, own)
        one, one_terms = jax.tree.map(lambda leaf, place=place: leaf[place], (together.params, terms))
        assert largest_difference((one, one_terms), (alone.params, alone_terms)) < 1e-5
    assert largest_difference(*(jax.tree.map(lambda leaf, i=i: leaf[i], together.params) for i in (0, 1))) > 1e-2


def test_runs_start_from_the_weights_and_the_key_of_their_seed(
    config: Config, prepared: PreparedCorpus, start: Callable[[int], TrainState]
) -> None:
    runs = init_runs_on_mesh(prepared, config, SEEDS, make_mesh())
    for seed in (3, 7):
        alone = start(seed)
        one = jax.tree.map(lambda leaf, seed=seed: leaf[seed], runs.state)
        assert largest_difference((one.params, one.opt_state), (alone.params, alone.opt_state)) < 1e-5
        assert largest_difference(runs.best_params, runs.state.params) == 0
        np.testing.assert_array_equal(jax.random.key_data(one.key), jax.random.key_data(alone.key))
    assert not np.array_equal(start(3).params["projection"]["kernel"], start(7).params["projection"]["kernel"])


def test_each_step_and_each_seed_draws_its_own_noise(
    config: Config, prepared: PreparedCorpus, network: Network, start: Callable[[int], TrainState]
) -> None:
    """The same batch again, the weights standing still: what differs is dropout and sampling."""
    rows = jnp.asarray(prepared.epoch_rows(np.random.default_rng(0)))
    rows = jnp.broadcast_to(rows[:1], rows.shape)
    still = dataclasses.replace(config, train=dataclasses.replace(config.train, learning_rate=jnp.float32(0)))
    losses = []
    for key in (0, 0, 1):
        state = start(0)._replace(key=jax.random.key(key))
        for _ in range(2):
            state, terms = train.train_epoch(state, prepared.utterances, rows, still, network=network)
            losses.append(np.asarray(terms["classification"]))
    first, again, other = (np.concatenate(losses[place : place + 2]) for place in (0, 2, 4))
    assert len(first) >= 4 and len(set(first.tolist())) == len(first)
    np.testing.assert_array_equal(first, again)
    assert not set(first.tolist()) & set(other.tolist())


def test_evaluation_does_not_depend_on_the_packing(
    config: Config, prepared: PreparedCorpus, network: Network, start: Callable[[int], TrainState]
) -> None:
    """Rows of 6 slots hold a dialogue or two, one of 30 all of them."""
    params = start(2).params
    wide = prepare(
        prepared.corpus, dataclasses.replace(config, data=dataclasses.replace(config.data, slots_per_row=30))
    )
    rows = [one.evaluation_rows("train") for one in (prepared, wide)]
    assert rows[0].shape != rows[1].shape
    narrow, packed = (evaluate(params, prepared.utterances, jnp.asarray(one), network=network) for one in rows)
    np.testing.assert_array_equal(narrow.confusion, packed.confusion)
    assert narrow.confusion.sum() == len(prepared.corpus.utterances_of("train"))
    np.testing.assert_allclose(narrow.nll, packed.nll, rtol=1e-5)
    np.testing.assert_allclose(narrow.calibration.confidence.sum(), packed.calibration.confidence.sum(), rtol=1e-5)
