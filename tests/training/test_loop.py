"""Runs as an axis: many at once are what each is alone; what they report, where they go on, what they need."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.losses import TERMS
from macsgr_jax.models import build_network
from macsgr_jax.overrides import override
from macsgr_jax.training import loop
from macsgr_jax.training.loop import (
    Epoch,
    epoch_indices,
    group_configs,
    init_runs_on_mesh,
    measure_run_bytes,
    pad_runs,
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
    train_to_end,
    watch_compilations,
)

EPOCHS = 3
# For each of the ten runs something else, and all so fast that the best epoch is not always the first.
HYPERPARAMETERS = [
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
def configs(config: Config) -> list[Config]:
    """The runs' own configurations."""
    return [override(config, assignments) for assignments in HYPERPARAMETERS]


@pytest.fixture(scope="module")
def together(prepared: PreparedCorpus, configs: list[Config]) -> Outcome:
    """Ten runs that differ in their hyperparameters too."""
    return train_seeds(prepared, configs)


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


def test_runs_with_hyperparameters_of_their_own_equal_single_runs(
    prepared: PreparedCorpus, configs: list[Config], together: Outcome
) -> None:
    for run in (0, 2, 3):
        alone = train_seeds(prepared, configs[run], [run])
        assert_same(pick_run(together, run), alone, 1e-4)


def test_best_weights_are_of_the_first_epoch_with_the_best_score(
    prepared: PreparedCorpus, configs: list[Config], together: Outcome
) -> None:
    params = {epoch.number: flatten(copy(epoch.runs), len(SEEDS)) for epoch in train_runs(prepared, configs, SEEDS)}
    scores = together["validation.waf1"]
    best = np.argmax(scores, axis=1) + 1
    assert len(set(best.tolist())) > 1 and best.min() < EPOCHS
    np.testing.assert_array_equal(together["best_epoch"], best)
    np.testing.assert_array_equal(together["best_waf1"], scores.max(axis=1))
    for name in (name for name in together if name.startswith("params")):
        for run, epoch in enumerate(best):
            np.testing.assert_array_equal(together[f"best_{name}"][run], params[epoch][name][run], err_msg=name)


def test_one_program_for_all_epochs_seeds_and_hyperparameters(ten_seeds: Any, configs: list[Config]) -> None:
    """A second one for the second epoch would show among what was compiled for ten seeds."""
    assert count_epoch_programs(ten_seeds.compiled) == 1
    with watch_compilations() as names:
        train_seeds(ten_seeds.prepared, configs, [seed + 20 for seed in SEEDS])
    assert names == []


def test_resuming_from_a_state_changes_nothing(
    prepared: PreparedCorpus, configs: list[Config], together: Outcome
) -> None:
    states = {epoch.number: copy(epoch.runs) for epoch in train_runs(prepared, configs, SEEDS) if epoch.number < EPOCHS}
    with watch_compilations() as names:
        for number, runs in states.items():
            resumed = train_seeds(prepared, configs, SEEDS, start=(number, runs))
            np.testing.assert_array_equal(resumed.pop("epoch"), np.arange(number, EPOCHS) + 1)
            for name, values in resumed.items():
                of_epochs = name.startswith(("terms", "validation"))
                expected = together[name][:, number:] if of_epochs else together[name]
                np.testing.assert_array_equal(values, expected, err_msg=name)
    assert names == [] and list(states) == [1, 2]


def test_epochs_come_in_order_with_their_report(prepared: PreparedCorpus, config: Config) -> None:
    epochs: list[Epoch] = list(train_runs(prepared, config, SEEDS))
    assert [epoch.number for epoch in epochs] == [epoch.report.epoch for epoch in epochs] == [1, 2, 3]
    for report in (epoch.report for epoch in epochs):
        assert set(report.terms) == set(TERMS)
        assert {term.shape for term in report.terms.values()} == {(len(SEEDS), prepared.steps_per_epoch)}
        assert report.validation["waf1"].shape == (len(SEEDS),)
        assert all(isinstance(value, np.ndarray) for value in (*report.terms.values(), *report.validation.values()))


def test_an_epoch_is_under_way_before_its_report_is_read(
    prepared: PreparedCorpus, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that reads the previous report keeps the devices at work."""
    calls: list[str] = []
    train_epoch = loop.train_runs_epoch

    def note(*given: Any, **options: Any) -> Any:
        calls.append("start")
        return train_epoch(*given, **options)

    monkeypatch.setattr(loop, "train_runs_epoch", note)
    for epoch in train_runs(prepared, config, SEEDS):
        calls.append(f"yield {epoch.number}")
    assert calls == ["start", "yield 1", "start", "yield 2", "start", "yield 3"]


def test_configurations_of_another_structure_are_refused(prepared: PreparedCorpus, config: Config) -> None:
    other = override(config, ["model.window_past=1"])
    with pytest.raises(ValueError, match=r"(?i)structure|metadata|mismatch"):
        next(train_runs(prepared, [config, other], [0, 1]))
    with pytest.raises(ValueError, match="1 configurations for 2 seeds"):
        next(train_runs(prepared, [config], [0, 1]))


def test_configurations_are_grouped_by_their_program(config: Config) -> None:
    settings = ("loss.lambda_alignment=0.1", "model.window_past=1", "train.learning_rate=0.1", "data.clip=1")
    groups = group_configs([override(config, [setting]) for setting in settings])
    assert groups == [[0, 2], [1], [3]]


def test_a_seed_decides_everything(prepared: PreparedCorpus, config: Config) -> None:
    first, again, other = (train_seeds(prepared, config, [seed]) for seed in (3, 3, 4))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    for name, values in first.items():
        if name.startswith("params"):
            assert not np.array_equal(values, other[name]), name


def test_validation_scores_are_of_the_weights_after_the_epoch(
    prepared: PreparedCorpus, configs: list[Config], together: Outcome
) -> None:
    runs, _ = train_to_end(prepared, configs, SEEDS)
    rows = prepared.evaluation_rows("validation")
    network = build_network(configs[0].model, prepared.corpus.num_classes)
    gold = prepared.corpus.labels[rows[rows >= 0]]
    for run in (0, 9):
        params = jax.tree.map(lambda leaf, run=run: leaf[run], runs.state.params)
        predictions = predict(params, prepared.utterances, rows, network=network)
        predicted = np.argmax(predictions.probabilities, axis=-1)[rows >= 0]
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


def test_every_epoch_has_a_data_order_of_its_own(
    prepared: PreparedCorpus, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[list[int], int]] = []
    monkeypatch.setattr(loop, "epoch_indices", lambda *given: drawn.append(given[1:]) or epoch_indices(*given))
    states = {epoch.number: copy(epoch.runs) for epoch in train_runs(prepared, config, [8])}
    train_to_end(prepared, config, [8], start=(2, states[2]))
    assert drawn == [([8], epoch) for epoch in (1, 2, 3, 3)]


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
        runs = init_runs_on_mesh(prepared, one, [0], loop.make_mesh())
        trees = (runs.state.params, runs.state.opt_state, runs.best_params)
        sizes.append(measure_run_bytes(prepared, one))
        assert sizes[-1] > sum(leaf.nbytes for leaf in jax.tree.leaves(trees)) > 0
    assert sizes[0] < sizes[1]
