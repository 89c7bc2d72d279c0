"""Ensembles: the mean over the seeds of the network, and its interpolation with a TF-IDF SVM."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from experiments.paper.cross_validation import choose_inverse_regularization, split_training
from experiments.paper.simple_models import choose_highest, list_candidates, score_by_tfidf, standardize_features
from experiments.paper.study import NetworkCache
from experiments.paper.variants import FULL
from macsgr_jax.calibration import fit_temperature
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.significance import score_seeds

WEIGHTS = tuple(tenth / 10 for tenth in range(11))


class EnsemblePredictions(NamedTuple):
    """Predictions of the networks and of the TF-IDF SVM for the same utterances.

    Attributes:
        networks: f64[S, U, C], probabilities of every seed.
        svm: f64[U, C], probabilities.
        labels: i64[U], annotated classes.
    """

    networks: np.ndarray
    svm: np.ndarray
    labels: np.ndarray


def predict_split(cache: NetworkCache, corpus_name: str, split: str) -> EnsemblePredictions:
    """Predicts a split with the full network and the TF-IDF SVM, both trained on the training split.

    Args:
        cache: trains the network.
        corpus_name: the name of the corpus, such as iemocap.
        split: validation, where the corpus has one, or test.

    Returns:
        The predictions of both.
    """
    trained = cache.train(corpus_name, FULL)
    corpus, features = trained.corpus, cache.config(corpus_name).data.features
    simplest = cache.simplest(corpus_name)
    return EnsemblePredictions(
        networks=trained.predict(split),
        svm=predict_by_tfidf(corpus, features, split, quick=cache.quick, simplest=simplest),
        labels=corpus.labels[corpus.labelled_of(split)].astype(np.int64),
    )


def predict_by_tfidf(
    corpus: Corpus, features: tuple[str, ...], split: str, *, quick: bool = False, simplest: bool = False
) -> np.ndarray:
    """Predicts a split with the TF-IDF SVM; its C and its temperature are chosen on the training split.

    Args:
        corpus: a corpus with texts.
        features: names of the feature sets of the network, empty for all; those of the audio are used.
        split: the split to predict.
        quick: try a single inverse regularization.
        simplest: choose the smallest inverse regularization within one standard error of the best.

    Returns:
        f64[U, C], probabilities.
    """
    score = score_by_tfidf(corpus, standardize_features(corpus, features))
    chosen, _ = choose_inverse_regularization(corpus, choose_highest(score), list_candidates(quick), simplest)
    folds = list(split_training(corpus))
    left_out = np.concatenate([score(train, rows, chosen) for train, rows in folds])
    temperature = fit_temperature(left_out, corpus.labels[np.concatenate([rows for _, rows in folds])])
    scores = score(corpus.labelled_of("train"), corpus.labelled_of(split), chosen)
    probabilities: np.ndarray = softmax(scores / temperature, axis=1)
    return probabilities


def interpolate(networks: np.ndarray, svm: np.ndarray, weight: float) -> np.ndarray:
    """Interpolates probabilities of networks, f64[..., U, C], with those of the SVM, f64[U, C], of weight 0 to 1."""
    return (1 - weight) * networks + weight * svm


def choose_weight(left_out: Sequence[EnsemblePredictions], num_classes: int) -> float:
    """Chooses the weight of the SVM by the WAF1 of one network interpolated with it.

    Args:
        left_out: the predictions of each fold of the training split.
        num_classes: C, the number of classes.

    Returns:
        The weight of WEIGHTS with the best mean over seeds and folds; the smallest of several.
    """

    def score(weight: float) -> float:
        return float(
            np.mean(
                [
                    score_seeds(
                        interpolate(fold.networks, fold.svm, weight).argmax(-1), fold.labels, num_classes
                    ).mean()
                    for fold in left_out
                ]
            )
        )

    return max(WEIGHTS, key=score)


def score_combinations(
    predictions: EnsemblePredictions, weight: float, num_classes: int
) -> dict[str, dict[str, list[float]]]:
    """Scores every way to combine the seeds of the network and the SVM.

    Args:
        predictions: the predictions of both.
        weight: the weight of the SVM.
        num_classes: C, the number of classes.

    Returns:
        A key of COMBINATIONS -> `waf1` and `waa`, one value per seed, or a single one for an ensemble of all seeds.
    """
    networks, svm = predictions.networks, predictions.svm[None]
    mean = networks.mean(axis=0, keepdims=True)
    combined = {
        "network": networks,
        "ensemble": mean,
        "words": svm,
        "network + words": interpolate(networks, svm, weight),
        "ensemble + words": interpolate(mean, svm, weight),
    }
    predicted = {name: probabilities.argmax(axis=-1) for name, probabilities in combined.items()}
    return {
        name: {
            "waf1": score_seeds(of_seeds, predictions.labels, num_classes).tolist(),
            "waa": (of_seeds == predictions.labels).mean(axis=1).tolist(),
        }
        for name, of_seeds in predicted.items()
    }


# Keys of ensemble.json -> names in its table.
COMBINATIONS = {
    "network": "network",
    "ensemble": "ensemble",
    "words": "TF-IDF SVM",
    "network + words": "network + TF-IDF SVM",
    "ensemble + words": "ensemble + TF-IDF SVM",
}
