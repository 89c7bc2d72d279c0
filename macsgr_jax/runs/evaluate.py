"""Scores and predictions of trained weights on a split."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dataset import PreparedCorpus, layout_of, prepare
from macsgr_jax.data.synthetic_posterior import best_scores
from macsgr_jax.losses import TERMS
from macsgr_jax.models import build_network
from macsgr_jax.runs.execution import History
from macsgr_jax.runs.load import load_training_corpus, load_weights, open_checkpoints
from macsgr_jax.runs.results import SeedResult, score_counts
from macsgr_jax.training.checkpoint import Params, load_params
from macsgr_jax.training.step import evaluate, predict

# Name of a reference -> the view of the synthetic corpus whose best possible score it is.
REFERENCES = {
    "best possible": "both",
    "best possible without context": "no_context",
    "best possible, text only": "text",
    "best possible, audio only": "audio",
}


class UtterancePrediction(NamedTuple):
    """The prediction of one network for one utterance.

    Attributes:
        utterance: the index of the utterance in the corpus.
        probabilities: f32[C].
        weights: f32[M], fusion weights.
    """

    utterance: int
    probabilities: np.ndarray
    weights: np.ndarray


def evaluate_run(
    run: Path, corpus: Corpus | None = None, network: str = "full", split: str = "test"
) -> dict[int, dict[str, Any]]:
    """Evaluates the checkpoints of a run again, without its results file.

    Args:
        run: the folder of the run.
        corpus: the corpus of the training; by default it is read again from where it was.
        network: full, or a modality of `single_modalities`.
        split: train, validation or test.

    Returns:
        Seed -> `epoch` of the weights and the scores of `results.score_counts`.

    Raises:
        InputError: the folder is not that of a run, or the corpus is another one.
    """
    checkpoints = open_checkpoints(run, network)
    config = checkpoints.config
    corpus = load_training_corpus(checkpoints, corpus)
    prepared = prepare(corpus, layout_of(config), checkpoints.standardizer)
    scores = {}
    for seed in checkpoints.seeds:
        params, epoch = load_weights(checkpoints, seed)
        scores[seed] = {"epoch": epoch, **evaluate_split(prepared, config, params, split)}
    return scores


def evaluate_seed(prepared: PreparedCorpus, config: Config, seed: int, history: History, folder: Path) -> SeedResult:
    """Evaluates one trained seed. The test split is read once, here, after training.

    Args:
        prepared: the prepared corpus.
        config: the configuration of the training.
        seed: the seed.
        history: the numbers of its epochs.
        folder: the folder of its weights.

    Returns:
        The scores of the weights that the configuration chooses.
    """
    params, epoch = load_params(folder, config.train.checkpoint)
    curves = {name: history.terms[:, column].tolist() for column, name in enumerate(TERMS)}
    return SeedResult(
        seed=seed,
        epoch=epoch,
        validation=evaluate_split(prepared, config, params, "validation"),
        test=evaluate_split(prepared, config, params, "test"),
        curves={**curves, "validation_waf1": history.curve("waf1").tolist()},
        seconds=history.seconds,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(params)),
    )


def evaluate_split(prepared: PreparedCorpus, config: Config, params: Params, split: str) -> dict[str, Any]:
    """Computes the scores of a split as plain values."""
    network = build_network(config.model, prepared.corpus.num_classes)
    rows = jnp.asarray(prepared.evaluation_rows(split))
    return score_counts(evaluate(params, prepared.utterances, rows, network=network), prepared.corpus.label_names)


def predict_split(
    prepared: PreparedCorpus, config: Config, params: Params, *splits: str
) -> Iterator[UtterancePrediction]:
    """Predicts every utterance of some splits, in the order of the corpus."""
    network = build_network(config.model, prepared.corpus.num_classes)
    rows = np.concatenate([prepared.evaluation_rows(split) for split in splits])
    predictions = predict(params, prepared.utterances, jnp.asarray(rows), network=network)
    probabilities, weights = np.asarray(predictions.probabilities), np.asarray(predictions.weights)
    positions = {int(rows[position]): position for position in zip(*np.nonzero(rows >= 0), strict=True)}
    for utterance in sorted(positions):
        step, row, slot = positions[utterance]
        yield UtterancePrediction(utterance, probabilities[step, row, slot], weights[step, :, row, slot])


def best_possible_scores(corpus: Corpus) -> dict[str, dict[str, float]]:
    """Computes the best possible test scores on the synthetic corpus, as references for `train_and_evaluate`.

    Args:
        corpus: the corpus of `data.synthetic.generate`.

    Returns:
        Name -> `waa` and `waf1`.
    """
    best = best_scores(corpus)
    return {name: {"waa": best[view].accuracy, "waf1": best[view].weighted_f1} for name, view in REFERENCES.items()}


def choose_logits(predictions: Sequence[UtterancePrediction]) -> np.ndarray:
    """Returns the log-probabilities of some predictions: f64[U, C]."""
    with np.errstate(divide="ignore"):
        return np.log(np.array([prediction.probabilities for prediction in predictions], np.float64))
