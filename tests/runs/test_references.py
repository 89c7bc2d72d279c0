"""The reference rows: logistic regression is that of scikit-learn, and C is chosen on the validation split."""

import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from macsgr_jax.data import synthetic
from macsgr_jax.data.corpus import UNLABELLED
from macsgr_jax.data.dataset import prepare
from macsgr_jax.runs.health import Floor
from macsgr_jax.runs.references import (
    LINEAR,
    LINEAR_IN_CONTEXT,
    MAJORITY,
    average_context,
    compute_references,
    fit_logistic_regression,
    join_features,
    log_class_shares,
    predict_logits,
)
from macsgr_jax.runs.results import SCALARS
from macsgr_jax.weighted_f1 import weighted_f1
from tests.testing.corpora import make_corpus, tiny_config


def draw_classes(utterances: int, columns: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Features f32[U, D] of classes i64[U] that overlap."""
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, utterances)
    centres = random.normal(0, 0.5, (classes, columns))
    return (centres[labels] + random.normal(size=(utterances, columns))).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("strength", [0.001, 0.03, 1.0])
def test_logistic_regression_is_that_of_scikit_learn(classes: int, strength: float) -> None:
    """The probabilities agree."""
    features, labels = draw_classes(400, 12, classes)
    weights = fit_logistic_regression(features, labels, classes, strength)
    # Of two classes scikit-learn fits one difference of weights, whose penalty is twice that of the two.
    theirs = LogisticRegression(C=strength * (2 if classes == 2 else 1), max_iter=2000, tol=1e-8).fit(features, labels)
    np.testing.assert_allclose(np.exp(predict_logits(weights, features)), theirs.predict_proba(features), atol=0.01)


def test_classes_without_training_utterance() -> None:
    """Their probability is small, and nothing is infinite."""
    features, labels = draw_classes(50, 4, 3)
    log_probabilities = predict_logits(fit_logistic_regression(features, labels, 5, 0.1), features)
    assert np.isfinite(log_probabilities).all()
    assert np.exp(log_probabilities[:, 3:]).max() < 0.05


def test_start_is_only_a_start() -> None:
    """The optimum does not depend on it."""
    features, labels = draw_classes(200, 6, 3)
    begun = fit_logistic_regression(features, labels, 3, 0.001)
    one, other = (fit_logistic_regression(features, labels, 3, 0.1, start) for start in (None, begun))
    np.testing.assert_allclose(predict_logits(one, features), predict_logits(other, features), atol=0.02)


def test_references_of_a_corpus() -> None:
    """The rows' scores are right, and the regression is far above the majority where the features tell the classes."""
    corpus, config = synthetic.generate(60), tiny_config()
    prepared = prepare(corpus, config)
    references = compute_references(prepared, config)
    assert list(references) == [MAJORITY, LINEAR, LINEAR_IN_CONTEXT]
    for reference in references.values():
        assert list(reference) == [*SCALARS, "validation", "choice"] and list(reference["validation"]) == list(SCALARS)
    train, test = (prepared.corpus.labels[prepared.corpus.utterances_of(split)] for split in ("train", "test"))
    majority = int(np.argmax(np.bincount(train)))
    confusion = np.zeros((6, 6))
    confusion[:, majority] = np.bincount(test, minlength=6)
    assert references[MAJORITY]["waf1"] == pytest.approx(weighted_f1(confusion), abs=1e-6)
    assert references[MAJORITY]["choice"].startswith(f"{corpus.label_names[majority]}, ")
    assert references[LINEAR]["waf1"] > 0.5 > 0.2 > references[MAJORITY]["waf1"]
    assert references[LINEAR]["choice"].endswith("by validation WAF1")


def test_choice_is_by_validation() -> None:
    """The test labels change nothing but the test scores."""
    corpus, config = synthetic.generate(30), tiny_config()
    before = compute_references(prepare(corpus, config), config)
    corpus.labels[corpus.utterances_of("test")] = 0
    after = compute_references(prepare(corpus, config), config)
    for name in before:
        assert before[name]["choice"] == after[name]["choice"]
        assert before[name]["validation"] == after[name]["validation"]
        assert before[name]["waf1"] != after[name]["waf1"]


def test_unlabelled_utterances_are_neither_fitted_nor_scored() -> None:
    corpus, config = synthetic.generate(30), tiny_config()
    corpus.labels[np.concatenate([corpus.utterances_of("test"), corpus.utterances_of("train")[::5]])] = UNLABELLED
    prepared = prepare(corpus, config)
    references = compute_references(prepared, config)
    assert all(one["waf1"] is None and one["validation"]["waf1"] > 0 for one in references.values())
    labels = corpus.labels[corpus.labelled_of("train")]
    counts = np.bincount(labels, minlength=6) + 1
    np.testing.assert_allclose(np.exp(log_class_shares(corpus)), counts / counts.sum())
    floor = Floor(prepared)
    assert floor.is_learnable and 0 < floor.informed_nll < floor.nll < 3


def test_context_of_a_causal_network() -> None:
    """What follows an utterance does not enter the context of a reference for a network that cannot see it."""
    corpus = make_corpus()
    values = join_features(prepare(corpus, tiny_config()))
    same, others = average_context(corpus, values, 10, 0)
    first = corpus.offsets[:-1]
    assert not same[first].any() and not others[first].any()
    changed = values.copy()
    changed[corpus.offsets[1:] - 1] += 1
    for before, after in zip((same, others), average_context(corpus, changed, 10, 0), strict=True):
        np.testing.assert_array_equal(before, after)
    assert average_context(corpus, values, 10, 10)[0][first].any()


def test_a_large_corpus_takes_seconds() -> None:
    """16,000 utterances of 770 features: less than half a minute of one core."""
    features, labels = draw_classes(16_000, 770, 6)
    start = time.process_time()
    weights = None
    for strength in (0.0001, 0.001, 0.01):
        weights = fit_logistic_regression(features, labels, 6, strength, weights)
    assert time.process_time() - start < 60  # Two cores count twice.
