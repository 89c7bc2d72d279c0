"""What trained weights reach and say on a split."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.results import SeedResult, score_counts
from experiments.runs import History, Spec
from macsgr_jax.checkpoint import Params, load_params
from macsgr_jax.config import Config
from macsgr_jax.losses import TERMS
from macsgr_jax.models import build_network
from macsgr_jax.task import Task
from macsgr_jax.train import evaluate, predict


class Prediction(NamedTuple):
    """What one seed says of one utterance.

    Attributes:
        utterance: row of the corpus.
        probabilities: f32[C].
        weights: f32[M], fusion weights.
    """

    utterance: int
    probabilities: np.ndarray
    weights: np.ndarray


def measure(task: Task, specs: Sequence[Spec], histories: Sequence[History], folder: Path) -> list[SeedResult]:
    """What each run reached. The test split is read once, here, after training.

    Args:
        task: the data.
        specs: the runs.
        histories: what they did.
        folder: of their weights.

    Returns:
        Scores of the weights that the configuration chooses.
    """
    results = []
    for spec, history in zip(specs, histories, strict=True):
        params, epoch = load_params(folder / spec.name, spec.config.train.checkpoint)
        curves = {name: history.terms[:, place].tolist() for place, name in enumerate(TERMS)}
        results.append(
            SeedResult(
                seed=spec.seed,
                epoch=epoch,
                validation=evaluate_split(task, spec.config, params, "validation"),
                test=evaluate_split(task, spec.config, params, "test"),
                curves={**curves, "validation_waf1": history.curve("waf1").tolist()},
                seconds=history.seconds,
                parameters=sum(leaf.size for leaf in jax.tree.leaves(params)),
            )
        )
    return results


def evaluate_split(task: Task, config: Config, params: Params, split: str) -> dict[str, Any]:
    """The scores of a split as plain values."""
    network = build_network(config.model, task.corpus.num_classes)
    rows = jnp.asarray(task.evaluation_rows(split))
    return score_counts(evaluate(params, task.utterances, rows, network=network), task.corpus.label_names)


def predict_split(task: Task, config: Config, params: Params, *splits: str) -> Iterator[Prediction]:
    """What the network says of every utterance of some splits, in the corpus's order."""
    network = build_network(config.model, task.corpus.num_classes)
    rows = np.concatenate([task.evaluation_rows(split) for split in splits])
    said = predict(params, task.utterances, jnp.asarray(rows), network=network)
    probabilities, weights = np.asarray(said.probabilities), np.asarray(said.weights)
    places = {int(rows[place]): place for place in zip(*np.nonzero(rows >= 0), strict=True)}
    for utterance in sorted(places):
        step, row, slot = places[utterance]
        yield Prediction(utterance, probabilities[step, row, slot], weights[step, :, row, slot])
