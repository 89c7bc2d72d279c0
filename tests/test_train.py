"""Gathering, steps, epochs and runs: what is learned, what is compiled, what is refused."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax import train
from macsgr_jax.config import Config, HParams, make_hparams
from macsgr_jax.losses import TERMS
from macsgr_jax.models import Network
from macsgr_jax.task import Task, prepare
from macsgr_jax.train import DivergenceError, EpochReport, TrainState, check_finite, evaluate, gather_batch, predict
from macsgr_jax.types import Batch, ModelOutput, Utterances
from tests.corpora import compile_quickly, make_corpus, tiny_config

TRACED: Counter[str] = Counter()


class CountingNetwork(Network):
    """The network, counting how often its Python code runs: that is once a trace, and never in a compiled call."""

    def __call__(self, batch: Batch, *, train: bool = False) -> ModelOutput:
        TRACED["train" if train else "evaluate"] += 1
        return super().__call__(batch, train=train)


@pytest.fixture(scope="module", autouse=True)
def compile_everything_quickly() -> Iterator[None]:
    """Compiling is most of what these tests do."""
    with compile_quickly():
        yield


@pytest.fixture(scope="module")
def config() -> Config:
    """With all that is random or of a shape of its own: dropout, sampling, clipping, frozen prototypes."""
    settings = ("model.dropout=0.5", "model.input_dropout=0.3", "loss.prototype_frozen_epochs=1", "train.clip_norm=5")
    return tiny_config("train.dialogues_per_step=2", "train.epochs=3", *settings)


@pytest.fixture(scope="module")
def task(config: Config) -> Task:
    return prepare(make_corpus(), config)


@pytest.fixture(scope="module")
def network(config: Config, task: Task) -> CountingNetwork:
    return CountingNetwork(config.model, task.corpus.num_classes)


@pytest.fixture(scope="module")
def hparams(config: Config) -> HParams:
    return make_hparams(config, ["audio", "text"])


@pytest.fixture(scope="module")
def start(config: Config, task: Task, network: Network, hparams: HParams) -> Callable[[int], TrainState]:
    """Seed -> first state."""
    row = jnp.asarray(task.evaluation_rows("validation"))[0]

    def start(seed: int) -> TrainState:
        options = {"network": network, "config": config, "steps_per_epoch": task.steps_per_epoch}
        return train.init_state(jax.random.key(seed), task.utterances, row, hparams, **options)

    return start


@pytest.fixture(scope="module")
def train_epoch(config: Config, task: Task, network: Network) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
    """One epoch over the rows of a seed."""

    def train_epoch(state: TrainState, hparams: HParams, seed: int = 0) -> tuple[TrainState, dict[str, jax.Array]]:
        rows = jnp.asarray(task.epoch_rows(np.random.default_rng(seed)))
        return train.train_epoch(state, task.utterances, rows, hparams, network=network, config=config)

    return train_epoch


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, config: Config, task: Task, network: Network
) -> Callable[..., tuple[dict[str, Any], list[EpochReport]]]:
    """`train.run` with the network, and so the compiled functions, of the other tests."""
    monkeypatch.setattr(train, "build_network", lambda *_: network)

    def run(seed: int) -> tuple[dict[str, Any], list[EpochReport]]:
        reports: list[EpochReport] = []
        params = train.run(task, config, seed, lambda report: reports.append(report._replace(state=None)))
        return params, reports

    return run


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


def test_one_trace_a_shape(
    task: Task,
    network: Network,
    hparams: HParams,
    start: Callable[[int], TrainState],
    train_epoch: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
) -> None:
    """Neither another epoch, nor other rows, nor other numbers in HParams compile again."""
    validation = jnp.asarray(task.evaluation_rows("validation"))
    traced = []
    for seed, scale in ((0, 1.0), (1, 0.5)):
        state = start(seed)
        changed = jax.tree.map(lambda leaf, scale=scale: leaf * jnp.float32(scale), hparams)
        for epoch in range(3):
            state, _ = train_epoch(state, changed, epoch)
            evaluate(state.params, task.utterances, validation, network=network)
            evaluate(jax.tree.map(np.asarray, state.params), task.utterances, validation, network=network)
            traced.append(TRACED.copy())
    assert traced[0]["train"] > 0 and traced[0]["evaluate"] > 0
    assert traced[1:] == traced[:1] * 5


def test_prototypes_are_frozen_for_the_first_epoch_and_move_after(
    hparams: HParams,
    start: Callable[[int], TrainState],
    train_epoch: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
) -> None:
    state = start(0)
    history = [np.asarray(state.params["prototypes"])]
    weights = [np.asarray(state.params["projection"]["kernel"])]
    for epoch in range(3):
        state, _ = train_epoch(state, hparams, epoch)
        history.append(np.asarray(state.params["prototypes"]))
        weights.append(np.asarray(state.params["projection"]["kernel"]))
    np.testing.assert_array_equal(history[0], history[1])
    assert np.all(history[1] != history[2]) and np.all(history[2] != history[3])
    assert np.all(weights[0] != weights[1])


def test_vmapped_runs_equal_single_ones(
    config: Config,
    task: Task,
    network: Network,
    hparams: HParams,
    start: Callable[[int], TrainState],
    train_epoch: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
) -> None:
    runs = [
        (start(0), hparams),
        (start(1), hparams._replace(learning_rate=hparams.learning_rate / 4, gamma_latent=hparams.gamma_latent * 2)),
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
    rows = jnp.asarray(task.epoch_rows(np.random.default_rng(0)))
    together, terms = jax.vmap(
        lambda state, numbers: train.train_epoch(state, task.utterances, rows, numbers, network=network, config=config)
    )(*stacked)
    for place, (state, numbers) in enumerate(runs):
        alone, alone_terms = train_epoch(state, numbers)
        one, one_terms = jax.tree.map(lambda leaf, place=place: leaf[place], (together.params, terms))
        for params in (one, alone.params):
            # A key's bias cancels in the softmax: its gradient is rounding alone, which Adam blows up to full steps.
            del params["distribution"]["key"]["bias"]
        assert largest_difference((one, one_terms), (alone.params, alone_terms)) < 1e-5
    assert largest_difference(*(jax.tree.map(lambda leaf, i=i: leaf[i], together.params) for i in (0, 1))) > 1e-2


def test_a_seed_decides_everything(run: Callable[..., tuple[dict[str, Any], list[EpochReport]]]) -> None:
    (first, reports), (again, _), (other, _) = run(3), run(3), run(4)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    for one, another in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True):
        assert not np.array_equal(one, another)
    assert [report.epoch for report in reports] == [1, 2, 3]
    for report in reports:
        assert set(report.terms) == set(TERMS) and all(np.isfinite(list(report.terms.values())))
        assert 0 <= report.validation["waf1"] <= 1


def test_a_run_starts_from_the_weights_of_its_seed(
    monkeypatch: pytest.MonkeyPatch,
    hparams: HParams,
    start: Callable[[int], TrainState],
    run: Callable[..., tuple[dict[str, Any], list[EpochReport]]],
) -> None:
    """With a learning rate of zero it also ends there."""
    monkeypatch.setattr(train, "make_hparams", lambda *_: hparams._replace(learning_rate=jnp.float32(0)))
    for seed in (3, 4):
        jax.tree.map(np.testing.assert_array_equal, run(seed)[0], start(seed).params)
    assert not np.array_equal(start(3).params["projection"]["kernel"], start(4).params["projection"]["kernel"])


def test_each_step_and_each_seed_draws_its_own_noise(
    config: Config, task: Task, network: Network, hparams: HParams, start: Callable[[int], TrainState]
) -> None:
    """The same batch again, the weights standing still: what differs is dropout and sampling."""
    rows = jnp.asarray(task.epoch_rows(np.random.default_rng(0)))
    rows = jnp.broadcast_to(rows[:1], rows.shape)
    still = hparams._replace(learning_rate=jnp.float32(0))
    losses = []
    for key in (0, 0, 1):
        state = start(0)._replace(key=jax.random.key(key))
        for _ in range(2):
            state, terms = train.train_epoch(state, task.utterances, rows, still, network=network, config=config)
            losses.append(np.asarray(terms["classification"]))
    first, again, other = (np.concatenate(losses[place : place + 2]) for place in (0, 2, 4))
    assert len(first) >= 4 and len(set(first.tolist())) == len(first)
    np.testing.assert_array_equal(first, again)
    assert not set(first.tolist()) & set(other.tolist())


def test_the_validation_scores_are_those_of_the_weights_after_the_epoch(
    task: Task, network: Network, run: Callable[..., tuple[dict[str, Any], list[EpochReport]]]
) -> None:
    params, reports = run(5)
    rows = task.evaluation_rows("validation")
    said = predict(params, task.utterances, jnp.asarray(rows), network=network)
    predicted = np.argmax(said.probabilities, axis=-1)[rows >= 0]
    assert reports[-1].validation["waa"] == np.float32(np.mean(predicted == task.corpus.labels[rows[rows >= 0]]))


def test_evaluation_does_not_depend_on_the_packing(
    config: Config, task: Task, network: Network, start: Callable[[int], TrainState]
) -> None:
    """Rows of 6 slots hold a dialogue or two, a row of 30 all of them."""
    params = start(2).params
    wide = prepare(task.corpus, dataclasses.replace(config, data=dataclasses.replace(config.data, slots_per_row=30)))
    rows = [one.evaluation_rows("train") for one in (task, wide)]
    assert rows[0].shape != rows[1].shape
    narrow, packed = (evaluate(params, task.utterances, jnp.asarray(one), network=network) for one in rows)
    np.testing.assert_array_equal(narrow.confusion, packed.confusion)
    assert narrow.confusion.sum() == len(task.corpus.utterances_of("train"))
    np.testing.assert_allclose(narrow.nll, packed.nll, rtol=1e-5)
    np.testing.assert_allclose(narrow.calibration.confidence.sum(), packed.calibration.confidence.sum(), rtol=1e-5)


def test_check_finite_names_the_first_step_and_the_part_at_fault() -> None:
    good = {name: np.ones(4, np.float32) for name in TERMS}
    check_finite(good, 1)
    late, early = np.float32([1, 1, np.inf, 1]), np.float32([1, np.nan, 1, 1])
    with pytest.raises(DivergenceError, match=r"the latent loss is inf at step 3 of epoch 5: lower train\.lear"):
        check_finite({**good, "total": late, "latent": late}, 5)
    with pytest.raises(DivergenceError, match="the total loss is nan at step 2 of epoch 1"):
        check_finite({**good, "total": early, "latent": late}, 1)


def test_infinite_numbers_stop_a_run(
    hparams: HParams,
    start: Callable[[int], TrainState],
    train_epoch: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
) -> None:
    _, terms = train_epoch(start(0), hparams._replace(gamma_latent=jnp.float32(np.inf)))
    with pytest.raises(DivergenceError, match="the total loss is inf at step 1 of epoch 2"):
        check_finite({name: np.asarray(values) for name, values in terms.items()}, 2)


def test_a_huge_learning_rate_stops_the_run_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, hparams: HParams, run: Callable[..., tuple[dict[str, Any], list[EpochReport]]]
) -> None:
    monkeypatch.setattr(train, "make_hparams", lambda *_: hparams._replace(learning_rate=jnp.float32(1e30)))
    with pytest.raises(DivergenceError, match=r"the \w+ loss is (inf|nan|-inf) at step [12] of epoch [12]: lower "):
        run(0)


def test_weights_that_the_last_step_spoiled_are_never_reported(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[dict[str, Any], list[EpochReport]]]
) -> None:
    def spoil(params: dict[str, Any], *rest: Any, **static: Any) -> Any:
        return evaluate(jax.tree.map(lambda leaf: leaf * jnp.nan, params), *rest, **static)

    monkeypatch.setattr(train, "evaluate", spoil)
    with pytest.raises(DivergenceError, match=r"the validation loss is nan at step \d of epoch 1: lower "):
        run(0)
