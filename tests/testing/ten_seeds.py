"""Ten seeds of a tiny network, which the tests train alone, at once, on many devices and in several processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.training.loop import EpochReport, Runs, train_runs
from tests.testing.corpora import make_corpus, tiny_config

SEEDS = tuple(range(10))
LENGTHS = (4, 3, 6, 2, 5, 3, 4, 2, 5, 6)
SPLITS = ("train", "train", "train", "validation", "train", "test", "validation", "test", "train", "train")
# All that is random or of a shape of its own; batches of three rows, which two devices do not divide.
SETTINGS = (
    "model.dropout=0.3",
    "model.input_dropout=0.2",
    "loss.prototype_frozen_epochs=1",
    "train.clip_norm=5",
    "train.dialogues_per_step=4",
    "train.epochs=3",
    "train.learning_rate=0.0003",
    "train.checkpoint=best",
)
# For what does not depend on the network: a third of it takes a third as long to compile.
SIMPLE = (
    "data.features=text_small",
    "model.dropout=0",
    "model.input_dropout=0",
    "model.semantic_encoder=false",
    "model.syntactic_encoder=false",
    "model.cross_modal_interaction=false",
    "loss.instance_alignment=false",
    "loss.prototype_alignment=false",
)
TRAIN_EPOCH = "train_runs_epoch"

Outcome = dict[str, np.ndarray]


def make_config() -> Config:
    return tiny_config(*SETTINGS)


def make_prepared(config: Config) -> PreparedCorpus:
    return prepare(make_corpus(LENGTHS, SPLITS), config)


def train_to_end(*given: Any, **options: Any) -> tuple[Runs, list[EpochReport]]:
    """Returns the last state of `train_runs`, and the report of each epoch."""
    reports = []
    for epoch in train_runs(*given, **options):
        runs = epoch.runs
        reports.append(epoch.report)
    return runs, reports


def train_seeds(
    prepared: PreparedCorpus,
    configs: Config | Sequence[Config],
    seeds: Sequence[int] = SEEDS,
    **options: Any,
) -> Outcome:
    """Trains, and returns one array per name: terms and validation scores by epoch, and weights."""
    runs, reports = train_to_end(prepared, configs, seeds, **options)
    outcome = {"epoch": np.array([report.epoch for report in reports])}
    for kind in ("terms", "validation"):
        for name in getattr(reports[0], kind):
            outcome[f"{kind}.{name}"] = np.stack([getattr(report, kind)[name] for report in reports], axis=1)
    return outcome | flatten(runs, len(seeds))


def flatten(runs: Runs, count: int) -> Outcome:
    """The weights, the best ones, their score and epoch of the first `count` runs."""
    trees = {"params": runs.state.params, **{name: getattr(runs, name) for name in Runs._fields if name != "state"}}
    return {
        f"{kind}{jax.tree_util.keystr(path)}": np.asarray(leaf)[:count]
        for kind, tree in trees.items()
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def assert_same(found: Outcome, expected: Outcome, tolerance: float) -> None:
    """Scores are equal but for their last digit, and what was counted is; losses and weights are near."""
    assert set(found) == set(expected)
    for name, values in expected.items():
        near = tolerance if name.startswith(("params", "best_params", "terms")) else 1e-5 if is_smooth(name) else 1e-6
        np.testing.assert_allclose(found[name], values, rtol=near, atol=near, err_msg=name)


def is_smooth(name: str) -> bool:
    """Whether a score follows the probabilities, and not only what is predicted."""
    return name in ("validation.nll", "validation.ece")


@contextmanager
def watch_compilations() -> Iterator[list[str]]:
    """Yields the names of the functions that were compiled, or read from the cache, so far."""
    names: list[str] = []

    def note(event: str, seconds: float, **details: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(str(details["fun_name"]))

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


def count_epoch_programs(names: Sequence[str]) -> int:
    return sum(TRAIN_EPOCH in name for name in names)
