"""Scores and predictions of trained weights on a split."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import UNLABELLED, Corpus
from macsgr_jax.data.dataset import PreparedCorpus, layout_of, prepare
from macsgr_jax.data.synthetic_posterior import best_scores
from macsgr_jax.losses import TERMS
from macsgr_jax.metrics import count
from macsgr_jax.models import build_network
from macsgr_jax.runs.execution import History
from macsgr_jax.runs.health import Collapse, describe_collapse
from macsgr_jax.runs.load import load_training_corpus, load_weights, open_checkpoints
from macsgr_jax.runs.results import SeedResult, score_counts
from macsgr_jax.training.step import predict
from macsgr_jax.types import Params

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
        logits: f32[C].
        weights: f32[M], fusion weights.
    """

    utterance: int
    logits: np.ndarray
    weights: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """f32[C], eq. 28."""
        from scipy.special import softmax

        probabilities: np.ndarray = softmax(self.logits)
        return probabilities


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
        scores[seed] = {
            "epoch": epoch,
            **score_predictions(corpus, list(predict_split(prepared, config, params, split))),
        }
    return scores


def describe_seed(
    seed: int,
    epoch: int,
    params: Params,
    history: History,
    scores: Mapping[str, dict[str, Any]],
    collapse: Collapse | None,
) -> SeedResult:
    """Describes one trained seed for the results file.

    Args:
        seed: the seed.
        epoch: the epoch of the weights.
        params: the weights that the configuration chooses.
        history: the numbers of its epochs.
        scores: `validation` and `test` -> scores of `score_predictions`.
        collapse: the state at the end of its training, of `health.find_collapse`.

    Returns:
        The seed's part of the results file.
    """
    curves = {name: history.terms[:, column].tolist() for column, name in enumerate(TERMS)}
    return SeedResult(
        seed=seed,
        epoch=epoch,
        validation=scores["validation"],
        test=scores["test"],
        curves={**curves, "validation_waf1": history.curve("waf1").tolist()},
        seconds=history.seconds,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(params)),
        collapsed=describe_collapse(collapse),
    )


def predict_split(
    prepared: PreparedCorpus, config: Config, params: Params, *splits: str
) -> Iterator[UtterancePrediction]:
    """Predicts every utterance of some splits, in the order of the corpus."""
    network = build_network(config.model, prepared.corpus.num_classes)
    rows = np.concatenate([prepared.evaluation_rows(split) for split in splits])
    predictions = predict(params, prepared.utterances, jnp.asarray(rows), network=network)
    logits, weights = np.asarray(predictions.logits), np.asarray(predictions.weights)
    positions = {int(rows[position]): position for position in zip(*np.nonzero(rows >= 0), strict=True)}
    for utterance in sorted(positions):
        step, row, slot = positions[utterance]
        yield UtterancePrediction(utterance, logits[step, row, slot], weights[step, :, row, slot])


def choose_split(corpus: Corpus, predictions: Sequence[UtterancePrediction], split: str) -> list[UtterancePrediction]:
    """Returns the predictions of one split."""
    chosen = set(corpus.utterances_of(split).tolist())
    return [prediction for prediction in predictions if prediction.utterance in chosen]


def gather_logits(corpus: Corpus, predictions: Sequence[UtterancePrediction]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the logits f32[U, C] of those predictions whose utterances have a label, and the labels i32[U]."""
    labelled = [prediction for prediction in predictions if corpus.labels[prediction.utterance] != UNLABELLED]
    logits = np.array([prediction.logits for prediction in labelled]).reshape(-1, corpus.num_classes)
    return logits, corpus.labels[[prediction.utterance for prediction in labelled]]


def score_predictions(corpus: Corpus, predictions: Sequence[UtterancePrediction]) -> dict[str, Any]:
    """Computes the scores of those predictions whose utterances have a label, as plain values."""
    logits, labels = gather_logits(corpus, predictions)
    return score_counts(count(logits, labels, np.ones(labels.shape, bool)), corpus.label_names)


def best_possible_scores(corpus: Corpus) -> dict[str, dict[str, float]]:
    """Computes the best possible test scores on the synthetic corpus, as references for `train_and_evaluate`.

    Args:
        corpus: the corpus of `data.synthetic.generate`.

    Returns:
        Name -> `waa` and `waf1`.
    """
    best = best_scores(corpus)
    return {name: {"waa": best[view].accuracy, "waf1": best[view].weighted_f1} for name, view in REFERENCES.items()}
