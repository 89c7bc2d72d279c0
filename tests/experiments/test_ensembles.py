"""Ensembles of the seeds and of a TF-IDF SVM, by hand."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import f1_score

from experiments.paper.cross_validation import split_training
from experiments.paper.ensembles import (
    EnsemblePredictions,
    choose_weight,
    interpolate,
    predict_by_tfidf,
    score_combinations,
)
from experiments.paper.simple_models import train_models
from macsgr_jax.data.corpus import Corpus
from tests.testing.tiny_study import NAMES


def draw(seed: int, seeds: int = 3, utterances: int = 40, sharpness: float = 1.0) -> EnsemblePredictions:
    """Draws predictions of networks and of an SVM that each know a part of the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, utterances)
    gold = 1.5 * np.eye(3)[labels]
    networks = softmax(sharpness * (gold + random.normal(size=(seeds, utterances, 3))), axis=-1)
    return EnsemblePredictions(networks, softmax(gold + random.normal(size=gold.shape), axis=-1), labels)


def weighted_f1(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Computes WAF1 by scikit-learn."""
    return float(f1_score(labels, probabilities.argmax(axis=-1), average="weighted"))


def test_combinations() -> None:
    """Every way to combine the seeds and the SVM, by hand."""
    predictions = draw(0)
    scores = score_combinations(predictions, 0.3, 3)
    mean = sum(predictions.networks) / 3
    expected = {
        "network": list(predictions.networks),
        "ensemble": [mean],
        "words": [predictions.svm],
        "network + words": [0.7 * one + 0.3 * predictions.svm for one in predictions.networks],
        "ensemble + words": [0.7 * mean + 0.3 * predictions.svm],
    }
    assert list(scores) == list(expected)
    for name, probabilities in expected.items():
        assert scores[name]["waf1"] == pytest.approx([weighted_f1(one, predictions.labels) for one in probabilities])
        assert scores[name]["waa"] == [np.mean(one.argmax(-1) == predictions.labels) for one in probabilities]
    assert len({of_one["waf1"][0] for of_one in scores.values()}) > 3


def test_weight_is_the_best() -> None:
    """The weight is the best over folds and seeds, and the smallest of several."""
    folds = [draw(1, sharpness=4.0), draw(2, utterances=25), draw(3)]
    scores = {
        weight: np.mean(
            [
                np.mean([weighted_f1((1 - weight) * p + weight * fold.svm, fold.labels) for p in fold.networks])
                for fold in folds
            ]
        )
        for weight in (tenth / 10 for tenth in range(11))
    }
    chosen = choose_weight(folds, 3)
    assert 0 < chosen < 1 and scores[chosen] == max(scores.values())
    assert all(score < scores[chosen] for weight, score in scores.items() if weight < chosen)


def test_no_weight_without_gain() -> None:
    """An SVM that does not improve the score has the weight 0."""
    labels = draw(4).labels
    right, wrong = np.eye(3)[labels], np.eye(3)[(labels + 1) % 3]
    assert choose_weight([EnsemblePredictions(right[None], wrong, labels)], 3) == 0.0
    assert choose_weight([EnsemblePredictions(right[None], right, labels)], 3) == 0.0
    # From this weight on the SVM outvotes the network.
    assert choose_weight([EnsemblePredictions(wrong[None], right, labels)], 3) == 0.6
    np.testing.assert_array_equal(interpolate(right, wrong, 0.0), right)
    np.testing.assert_array_equal(interpolate(right, wrong, 1.0), wrong)


def test_tfidf_probabilities(tiny_iemocap: Corpus) -> None:
    """The probabilities are those of the simple model, and its folds leave out one session each."""
    corpus, features = tiny_iemocap, ("audio_small", "text_small")
    probabilities = predict_by_tfidf(corpus, features, "test", quick=True)
    outcome = dict(train_models(corpus, features, quick=True))["SVM, words in context"]
    np.testing.assert_array_equal(probabilities.argmax(axis=-1), outcome.predicted)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1)
    assert probabilities.min() > 0 and probabilities.std(axis=0).min() > 0
    left_out = np.concatenate([rows for _, rows in split_training(corpus)])
    np.testing.assert_array_equal(np.sort(left_out), corpus.utterances_of("train"))
    for train, rows in split_training(corpus):
        sessions = [{NAMES[corpus.dialogue_of_utterance[row]][:5] for row in some} for some in (train, rows)]
        assert len(sessions[0]) == 3 and len(sessions[1]) == 1 and not sessions[0] & sessions[1]
