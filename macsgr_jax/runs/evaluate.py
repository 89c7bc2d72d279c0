"""What trained weights reach and say on a split."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.losses import TERMS
from macsgr_jax.models import build_network
from macsgr_jax.runs.execution import History, Spec
from macsgr_jax.runs.results import SeedResult, score_counts
from macsgr_jax.training.checkpoint import Params, load_params
from macsgr_jax.training.step import evaluate, predict


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


def measure(
    prepared: PreparedCorpus, specs: Sequence[Spec], histories: Sequence[History], folder: Path
) -> list[SeedResult]:
    """What each run reached. The test split is read once, here, after training.

    Args:
        prepared: the data.
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
                validation=evaluate_split(prepared, spec.config, params, "validation"),
                test=evaluate_split(prepared, spec.config, params, "test"),
                curves={**curves, "validation_waf1": history.curve("waf1").tolist()},
                seconds=history.seconds,
                parameters=sum(leaf.size for leaf in jax.tree.leaves(params)),
            )
        )
    return results


def evaluate_split(prepared: PreparedCorpus, config: Config, params: Params, split: str) -> dict[str, Any]:
    """The scores of a split as plain values."""
    network = build_network(config.model, prepared.corpus.num_classes)
    rows = jnp.asarray(prepared.evaluation_rows(split))
    return score_counts(evaluate(params, prepared.utterances, rows, network=network), prepared.corpus.label_names)


def predict_split(prepared: PreparedCorpus, config: Config, params: Params, *splits: str) -> Iterator[Prediction]:
    """What the network says of every utterance of some splits, in the corpus's order."""
    network = build_network(config.model, prepared.corpus.num_classes)
    rows = np.concatenate([prepared.evaluation_rows(split) for split in splits])
    said = predict(params, prepared.utterances, jnp.asarray(rows), network=network)
    probabilities, weights = np.asarray(said.probabilities), np.asarray(said.weights)
    places = {int(rows[place]): place for place in zip(*np.nonzero(rows >= 0), strict=True)}
    for utterance in sorted(places):
        step, row, slot = places[utterance]
        yield Prediction(utterance, probabilities[step, row, slot], weights[step, :, row, slot])
