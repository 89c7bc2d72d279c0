"""A run that stops learning is named while it trains; one that learns, or has nothing to learn, is not."""

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from rich.console import Console

from macsgr_jax.config import Config
from macsgr_jax.data import synthetic
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dataset import prepare
from macsgr_jax.losses import TERMS
from macsgr_jax.runs.execution import Execution
from macsgr_jax.runs.health import PATIENCE, Floor, describe_advice, find_collapse
from macsgr_jax.runs.info import describe_run
from macsgr_jax.runs.results import SCALARS
from macsgr_jax.runs.train import train_and_evaluate
from tests.testing.corpora import compile_quickly, tiny_config

JUMP = 10  # The epoch at which the learning rate of the training below becomes huge.
EPOCHS = 20


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return synthetic.generate(30)


@pytest.fixture(scope="module")
def floor(corpus: Corpus) -> Floor:
    return Floor(prepare(corpus, tiny_config()))


def make_curves(floor: Floor, waf1: list[float], loss: list[float] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Loss terms and validation scores of a run; at WAF1 0 it predicts the most frequent class and knows nothing."""
    terms = np.ones((len(waf1), len(TERMS)), np.float32)
    terms[:, TERMS.index("total")] = np.linspace(3, 2, len(waf1)) if loss is None else loss
    majority = floor.one_class[np.argmax(floor.one_class[:, 0])]
    validation = np.full((len(waf1), len(SCALARS)), 0.5, np.float32)
    for row, score in zip(validation, waf1, strict=True):
        row[SCALARS.index("waa")], row[SCALARS.index("waf1")] = (score, score) if score else majority
        row[SCALARS.index("nll")] = 0.8 * floor.nll if score else floor.nll
    return terms, validation


def find_first(floor: Floor, curves: tuple[np.ndarray, np.ndarray], config: Config) -> tuple[int, int] | None:
    """The epoch in which a run is first named, and the epoch that is named then."""
    terms, validation = curves
    for epoch in range(1, len(terms) + 1):
        collapse = find_collapse(terms[:epoch], validation[:epoch], config, floor)
        if collapse is not None:
            return epoch, collapse.epoch
    return None


def test_fall_to_one_class(floor: Floor) -> None:
    """It is named within five epochs, and says what fell."""
    curves = make_curves(floor, [0.0, 0.4, 0.5, 0.55, *[0.0] * 8])
    assert find_first(floor, curves, tiny_config()) == (4 + PATIENCE, 5)
    assert PATIENCE <= 5
    collapse = find_collapse(*curves, tiny_config(), floor)
    assert collapse is not None
    assert collapse.reason.startswith("validation WAF1 fell from 55.0 to ")


def test_term_that_rose(floor: Floor) -> None:
    """Of the terms, the one whose weighted part of the objective rose most is named."""
    terms, validation = make_curves(floor, [0.4, 0.5, 0.55, *[0.0] * 4])
    terms[3:, TERMS.index("prototype")] = 3.0
    terms[3:, TERMS.index("classification")] = 1.2
    collapse = find_collapse(terms, validation, tiny_config(), floor)
    assert collapse is not None
    assert collapse.reason.endswith("; the prototype loss rose from 1 to 3")


def test_single_epochs_and_recovery(floor: Floor) -> None:
    """Two epochs at one class are no collapse, and a run that learns again is not marked at its end."""
    assert find_first(floor, make_curves(floor, [0.4, 0.0, 0.0, 0.5, 0.0, 0.6, 0.0, 0.0]), tiny_config()) is None
    curves = make_curves(floor, [0.4, 0.5, *[0.0] * 4, 0.5, 0.6])
    assert find_first(floor, curves, tiny_config()) == (5, 3)
    assert find_collapse(*curves, tiny_config(), floor) is None


def test_slow_beginning(floor: Floor) -> None:
    """A run in its first epochs has not collapsed; one that never begins to learn is named after a while."""
    config = tiny_config("train.epochs=80")
    assert find_first(floor, make_curves(floor, [*[0.0] * 9, *np.linspace(0.2, 0.6, 20)]), config) is None
    patience = max(10, -(-100 // floor.steps_per_epoch))
    assert find_first(floor, make_curves(floor, [0.0] * 80), config) == (patience, 1)
    warm = tiny_config("train.epochs=80", "train.warmup_epochs=5")
    assert find_first(floor, make_curves(floor, [0.0] * 80), warm) == (patience + 5, 1)
    short = tiny_config("train.epochs=6")
    assert find_first(floor, make_curves(floor, [0.0] * 6), short) == (6, 1)


def test_majority_class_that_is_the_best_there_is(corpus: Corpus) -> None:
    """Where the features tell nothing, the majority class is no fault of the run, at its end neither."""
    features = {name: np.zeros_like(values) for name, values in corpus.features.items()}
    floor = Floor(prepare(dataclasses.replace(corpus, features=features), tiny_config()))
    config = tiny_config("train.epochs=80")
    assert not floor.is_learnable
    assert find_first(floor, make_curves(floor, [0.0] * 80), config) is None


def test_frequent_class_with_a_better_likelihood(floor: Floor) -> None:
    """Of very uneven classes a network may predict one alone and still know something of the features."""
    terms, validation = make_curves(floor, [0.5, *[0.0] * 20])
    validation[1:, SCALARS.index("nll")] = 0.9 * floor.nll
    assert find_first(floor, (terms, validation), tiny_config()) is None


@pytest.mark.parametrize("name", ["classification", "total"])
def test_loss_that_jumps_and_stays(floor: Floor, name: str) -> None:
    """Also where the validation score does not show it; a single high epoch is not enough."""
    falling = [3.0, 2.6, 2.2, 2.0, 1.8, 1.6]
    for losses, expected in (
        ([*falling, 2.9, 2.8, 2.9], (9, 7)),
        ([*falling, 2.9, 1.6, 1.5], None),
        ([*falling, 1.7, 1.7, 1.8], None),
    ):
        terms, validation = make_curves(floor, [0.5] * len(losses))
        terms[:, TERMS.index("total")] = 3.0
        terms[:, TERMS.index(name)] = losses
        assert find_first(floor, (terms, validation), tiny_config()) == expected


def test_advice_leaves_out_what_is_there_already() -> None:
    assert describe_advice(tiny_config("train.clip_norm=5", "train.warmup_epochs=0", "train.learning_rate=0.003")) == (
        "try --set train.clip_norm=0.2 or --set train.warmup_epochs=3 or a train.learning_rate below 0.003"
    )
    advice = describe_advice(tiny_config("train.clip_norm=0.1", "train.warmup_epochs=4", "train.learning_rate=0.01"))
    assert advice == "try a train.learning_rate below 0.01"


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> tuple[Path, str]:
    """The folder and the output of two seeds that learn until their learning rate jumps."""
    out, text = tmp_path_factory.mktemp("collapsed") / "run", io.StringIO()

    def rate(step: Array, steps_per_epoch: int, config: Any) -> Array:
        return jnp.where(step < JUMP * steps_per_epoch, 0.02, 1.0)

    still = ("model.dropout=0", "model.input_dropout=0", "train.utterance_dropout=0")
    config = tiny_config(
        "model.semantic_encoder=false",
        "train.dialogues_per_step=4",
        "train.clip_norm=5",
        f"train.epochs={EPOCHS}",
        *still,
    )
    with pytest.MonkeyPatch.context() as patch, compile_quickly():
        patch.setattr("macsgr_jax.training.optimizer.learning_rate_at", rate)
        execution = Execution(console=Console(file=text, width=500))
        train_and_evaluate(config, corpus, [0, 1], out, execution, simple_references=True)
    return out, text.getvalue()


def test_training_with_nothing_to_learn(corpus: Corpus, tmp_path: Path) -> None:
    """A network that ends at the majority class because labels are drawn by chance is neither named nor marked."""
    random, text = np.random.default_rng(0), io.StringIO()
    labels = np.where(random.random(corpus.num_utterances) < 0.6, 2, random.integers(0, 6, corpus.num_utterances))
    drawn = dataclasses.replace(corpus, labels=labels.astype(np.int32))
    config = tiny_config("model.semantic_encoder=false", "train.dialogues_per_step=4", "train.epochs=12")
    with compile_quickly():
        results = train_and_evaluate(config, drawn, [0], tmp_path / "run", Execution(console=Console(file=text)))
    (seed,) = results["networks"]["full"]["seeds"]
    majority = np.mean(labels[corpus.utterances_of("validation")] == 2)
    assert seed["validation"]["waa"] == pytest.approx(majority, abs=0.1)
    assert seed["collapsed"] is None and "warning" not in text.getvalue()


def test_collapse_on_purpose_is_named_once_within_five_epochs(collapsed: tuple[Path, str]) -> None:
    out, text = collapsed
    for seed in (0, 1):
        (line,) = [line for line in text.splitlines() if line.startswith(f"warning: full seed_{seed}, from epoch ")]
        assert int(line.split("from epoch ")[1].split()[0]) in (JUMP + 1, JUMP + 2)
        assert "the classification loss " in line
        assert "train.clip_norm=0.2" in line and "train.learning_rate" in line
    with open(out / "log.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for run in ("seed_0", "seed_1"):
        marks = [row["collapsed"] for row in rows if row["run"] == run]
        assert marks[:JUMP] == ["0"] * JUMP and "1" in marks[JUMP : JUMP + 5]


def test_collapse_is_marked_in_results_and_tables(collapsed: tuple[Path, str]) -> None:
    out, _ = collapsed
    network = json.loads((out / "results.json").read_text(encoding="utf-8"))["networks"]["full"]
    for seed in network["seeds"]:
        assert list(seed["collapsed"]) == ["epoch", "reason"]
        assert seed["collapsed"]["epoch"] in (JUMP + 1, JUMP + 2)
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "\n| audio + text (full), 2 of 2 seeds collapsed |" in report
    assert "seed 1 of full collapsed, from epoch " in report
    assert describe_run(out)["networks"]["full"]["collapsed"] == [0, 1]
