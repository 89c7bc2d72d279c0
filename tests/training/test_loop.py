"""Runs as an axis: many at once are what each is alone; what they report, where they go on, what they need."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.hparams import HParams
from macsgr_jax.losses import TERMS
from macsgr_jax.models import build_network
from macsgr_jax.overrides import override
from macsgr_jax.training import loop as sweep
from macsgr_jax.training.loop import (
    EpochReport,
    Runs,
    epoch_indices,
    init_runs_on_mesh,
    measure_run_bytes,
    pad_runs,
    stack_hparams,
    train_runs,
)
from macsgr_jax.training.step import predict
from tests.testing.corpora import compile_quickly
from tests.testing.ten_seeds import (
    SEEDS,
    SIMPLE,
    Outcome,
    assert_same,
    count_epoch_programs,
    flatten,
    train_seeds,
    watch_compilations,
)

EPOCHS = 3
# For each of the ten runs something else, and all so fast that the best epoch is not always the first.
NUMBERS = [
    (f"train.learning_rate={0.01 * 1.3**run}", f"loss.gamma_latent={0.1 * run}", f"train.weight_decay={0.01 * run}")
    for run in range(len(SEEDS))
]


@pytest.fixture(scope="module", autouse=True)
def compile_everything_quickly() -> Iterator[None]:
    """Compiling is most of what these tests do."""
    with compile_quickly():
        yield


@pytest.fixture(scope="module")
def prepared(ten_seeds: Any) -> PreparedCorpus:
    found: PreparedCorpus = ten_seeds.prepared
    return found


@pytest.fixture(scope="module")
def config(ten_seeds: Any) -> Config:
    found: Config = ten_seeds.config
    return found


@pytest.fixture(scope="module")
def numbers(prepared: PreparedCorpus, config: Config) -> HParams:
    """The runs' own numbers."""
    return stack_hparams([override(config, assignments) for assignments in NUMBERS], prepared)


@pytest.fixture(scope="module")
def together(prepared: PreparedCorpus, config: Config, numbers: HParams) -> Outcome:
    """Ten runs that differ in their numbers too."""
    return train_seeds(prepared, config, SEEDS, numbers)


def pick(tree: Any, runs: slice) -> Any:
    """Some of the runs."""
    return jax.tree.map(lambda leaf: leaf[runs], tree)


def pick_run(outcome: Outcome, run: int) -> Outcome:
    return {"epoch": outcome["epoch"]} | pick({k: v for k, v in outcome.items() if k != "epoch"}, slice(run, run + 1))


def copy(tree: Any) -> Any:
    """Buffers of its own."""
    return jax.tree.map(lambda leaf: leaf.copy(), tree)


def test_ten_seeds_at_once_are_ten_seeds_alone(ten_seeds: Any) -> None:
    for seed in SEEDS:
        alone = train_seeds(ten_seeds.prepared, ten_seeds.config, [seed])
        assert_same(pick_run(ten_seeds.outcome, seed), alone, 1e-4)
    weights = ten_seeds.outcome["params['projection']['kernel']"]
    assert min(np.abs(weights[0] - other).max() for other in weights[1:]) > 0.01


def test_runs_with_numbers_of_their_own_are_what_they_are_alone(
    prepared: PreparedCorpus, config: Config, numbers: HParams, together: Outcome
) -> None:
    for run in (0, 2, 3):
        by_numbers = train_seeds(prepared, config, [run], pick(numbers, slice(run, run + 1)))
        by_settings = train_seeds(prepared, override(config, NUMBERS[run]), [run])
        jax.tree.map(np.testing.assert_array_equal, by_numbers, by_settings)
        assert_same(pick_run(together, run), by_numbers, 1e-4)


def test_the_best_weights_are_those_of_the_first_epoch_of_the_best_validation_score(
    prepared: PreparedCorpus, config: Config, numbers: HParams, together: Outcome
) -> None:
    params: dict[int, Any] = {}
    train_runs(
        prepared,
        config,
        SEEDS,
        numbers,
        wants_state=lambda epoch: True,
        on_state=lambda epoch, runs: params.update({epoch: flatten(copy(runs), len(SEEDS))}),
    )
    scores = together["validation.waf1"]
    best = np.argmax(scores, axis=1) + 1
    assert len(set(best.tolist())) > 1 and best.min() < EPOCHS
    np.testing.assert_array_equal(together["best_epoch"], best)
    np.testing.assert_array_equal(together["best_waf1"], scores.max(axis=1))
    for name in (name for name in together if name.startswith("params")):
        for run, epoch in enumerate(best):
            np.testing.assert_array_equal(together[f"best_{name}"][run], params[epoch][name][run], err_msg=name)


def test_one_program_for_all_epochs_seeds_and_numbers(ten_seeds: Any, numbers: HParams) -> None:
    """A second one for the second epoch would show among what was compiled for ten seeds."""
    assert count_epoch_programs(ten_seeds.compiled) == 1
    with watch_compilations() as names:
        train_seeds(ten_seeds.prepared, ten_seeds.config, [seed + 20 for seed in SEEDS], numbers)
    assert names == []


def test_going_on_from_a_state_changes_nothing(
    prepared: PreparedCorpus, config: Config, numbers: HParams, together: Outcome
) -> None:
    states: dict[int, Runs] = {}
    train_runs(
        prepared,
        config,
        SEEDS,
        numbers,
        wants_state=lambda epoch: epoch < EPOCHS,
        on_state=lambda epoch, runs: states.update({epoch: copy(runs)}),
    )
    with watch_compilations() as names:
        for epoch, runs in states.items():
            gone_on = train_seeds(prepared, config, SEEDS, numbers, start=(epoch, runs))
            np.testing.assert_array_equal(gone_on.pop("epoch"), np.arange(epoch, EPOCHS) + 1)
            for name, values in gone_on.items():
                of_epochs = name.startswith(("terms", "validation"))
                expected = together[name][:, epoch:] if of_epochs else together[name]
                np.testing.assert_array_equal(values, expected, err_msg=name)
    assert names == [] and list(states) == [1, 2]


def test_reports_come_in_order_and_before_the_state(prepared: PreparedCorpus, config: Config) -> None:
    calls: list[tuple[str, int]] = []
    reports: list[EpochReport] = []

    def note(report: EpochReport) -> None:
        calls.append(("report", report.epoch))
        reports.append(report)

    train_runs(
        prepared,
        config,
        SEEDS,
        on_epoch=note,
        wants_state=lambda epoch: epoch == 2,
        on_state=lambda epoch, runs: calls.append(("state", epoch)),
    )
    assert calls == [("report", 1), ("report", 2), ("state", 2), ("report", 3)]
    for report in reports:
        assert set(report.terms) == set(TERMS)
        assert {term.shape for term in report.terms.values()} == {(len(SEEDS), prepared.steps_per_epoch)}
        assert report.validation["waf1"].shape == (len(SEEDS),)
        assert all(isinstance(value, np.ndarray) for value in (*report.terms.values(), *report.validation.values()))


def test_the_next_epoch_is_under_way_when_an_epoch_is_reported(
    prepared: PreparedCorpus, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    train_epoch = sweep.train_runs_epoch

    def note(*given: Any, **options: Any) -> Any:
        calls.append("epoch")
        return train_epoch(*given, **options)

    monkeypatch.setattr(sweep, "train_runs_epoch", note)
    train_runs(prepared, config, SEEDS, on_epoch=lambda report: calls.append("report"))
    assert calls == ["epoch", "epoch", "report", "epoch", "report", "report"]


def test_a_seed_decides_everything(prepared: PreparedCorpus, config: Config) -> None:
    first, again, other = (train_seeds(prepared, config, [seed]) for seed in (3, 3, 4))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    for name, values in first.items():
        if name.startswith("params"):
            assert not np.array_equal(values, other[name]), name


def test_the_validation_scores_are_those_of_the_weights_after_the_epoch(
    prepared: PreparedCorpus, config: Config, numbers: HParams, together: Outcome
) -> None:
    runs = train_runs(prepared, config, SEEDS, numbers)
    rows = prepared.evaluation_rows("validation")
    network = build_network(config.model, prepared.corpus.num_classes)
    gold = prepared.corpus.labels[rows[rows >= 0]]
    for run in (0, 9):
        params = jax.tree.map(lambda leaf, run=run: leaf[run], runs.state.params)
        said = predict(params, prepared.utterances, rows, network=network)
        predicted = np.argmax(said.probabilities, axis=-1)[rows >= 0]
        np.testing.assert_allclose(together["validation.waa"][run, -1], np.mean(predicted == gold), rtol=1e-6)


def test_the_data_order_depends_on_the_seed_and_the_epoch_alone(prepared: PreparedCorpus) -> None:
    together = epoch_indices(prepared, [3, 5, 3], 2)
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_array_equal(together[1:2], epoch_indices(prepared, [5], 2))
    orders = [epoch_indices(prepared, [seed], epoch)[0] for seed in (3, 5) for epoch in (2, 3)]
    for place, order in enumerate(orders):
        said = order[order >= 0]
        assert len(set(said)) == len(said) == prepared.kept[prepared.corpus.dialogues_of("train")].sum()
        assert set(said) <= set(prepared.corpus.utterances_of("train"))
        assert not any(np.array_equal(order, other) for other in orders[:place])
    assert together.shape == (3, prepared.steps_per_epoch, prepared.rows_per_step, prepared.training_slots)


def test_every_epoch_has_the_data_order_of_its_own(
    prepared: PreparedCorpus, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[list[int], int]] = []
    monkeypatch.setattr(sweep, "epoch_indices", lambda *given: drawn.append(given[1:]) or epoch_indices(*given))
    train_runs(prepared, config, [8])
    states: list[Runs] = []
    train_runs(
        prepared, config, [8], wants_state=lambda epoch: epoch == 2, on_state=lambda _, runs: states.append(copy(runs))
    )
    train_runs(prepared, config, [8], start=(2, states[0]))
    assert drawn == [([8], epoch) for epoch in (1, 2, 3, 1, 2, 3, 3)]


@pytest.mark.parametrize(("runs", "devices", "filled"), [(10, 8, 16), (8, 8, 8), (3, 4, 4), (1, 1, 1), (2, 8, 8)])
def test_runs_are_filled_up_with_the_first(runs: int, devices: int, filled: int) -> None:
    mesh: Any = SimpleNamespace(shape={"run": devices, "data": 2})
    tree = {"a": np.arange(runs) + 5, "b": np.arange(2 * runs).reshape(runs, 2)}
    found = pad_runs(tree, mesh)
    assert {len(leaf) for leaf in found.values()} == {filled}
    jax.tree.map(lambda leaf, before: np.testing.assert_array_equal(leaf[:runs], before), found, tree)
    assert np.all(found["a"][runs:] == 5) and np.all(found["b"][runs:] == [0, 1])


def test_the_memory_of_a_run_is_its_state_and_more_and_grows_with_the_network(
    prepared: PreparedCorpus, config: Config
) -> None:
    sizes = []
    for one in (override(config, SIMPLE), config):
        runs = init_runs_on_mesh(prepared, one, [0], sweep.make_mesh())
        trees = (runs.state.params, runs.state.opt_state, runs.best_params)
        sizes.append(measure_run_bytes(prepared, one))
        assert sizes[-1] > sum(leaf.nbytes for leaf in jax.tree.leaves(trees)) > 0
    assert sizes[0] < sizes[1]
