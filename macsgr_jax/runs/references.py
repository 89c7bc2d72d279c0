"""Reference rows beside a network: the majority class, and logistic regression on the same features.

Logistic regression minimises |W|^2 / 2 + C sum of -log p(label) over the weights W and the unpenalised intercepts, the
convention of scikit-learn. C is chosen by the validation WAF1.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.metrics import count
from macsgr_jax.runs.results import SCALARS, score_counts

# As in the tables of the paper's scripts; "linear" is logistic regression.
MAJORITY, LINEAR, LINEAR_IN_CONTEXT = "majority", "linear", "linear, averaged context"
INVERSE_REGULARIZATIONS = (0.0001, 0.001, 0.01, 0.1, 1.0)
# Once a weaker penalty costs this much validation WAF1, the weaker ones are not tried: they only overfit more.
OVERFIT = 0.01
MAX_ITERATIONS = 200
NEIGHBOURS = 10  # On each side, as far as the network's window reaches.
# Averaged context has three times the columns: left out where its features would take more than this many bytes.
MAX_CONTEXT_BYTES = 1 << 29


def compute_references(prepared: PreparedCorpus, config: Config) -> dict[str, dict[str, Any]]:
    """Computes the test scores of the majority class and of logistic regression on the features of a network.

    Args:
        prepared: the prepared corpus.
        config: the configuration of the network: one that sees nothing of the future is compared with context likewise.

    Returns:
        Name -> the test scores of `results.SCALARS`, `validation`: the validation scores, and `choice`: how it was
        chosen.
    """
    corpus = prepared.corpus
    shares = log_class_shares(corpus)
    most_frequent = corpus.label_names[int(np.argmax(shares))]
    references: dict[str, dict[str, Any]] = {
        MAJORITY: {
            **_score(corpus, np.tile(shares, (corpus.num_utterances, 1))),
            "choice": f"{most_frequent}, the most frequent emotion of the training split",
        }
    }
    for name, features in _list_features(prepared, config):
        logits, choice = choose_logistic_regression(corpus, features)
        references[name] = {**_score(corpus, logits), "choice": choice}
    return references


def log_class_shares(corpus: Corpus) -> np.ndarray:
    """Returns the logarithms of the shares of the emotions in the training split: f64[C].

    One more utterance of each is counted: an emotion without a training utterance is improbable, not impossible.
    """
    counts = np.bincount(corpus.labels[corpus.labelled_of("train")], minlength=corpus.num_classes) + 1
    shares: np.ndarray = np.log(counts / counts.sum())
    return shares


def join_features(prepared: PreparedCorpus) -> np.ndarray:
    """Returns the standardised features of all modalities side by side: f32[U, D], 0 where not measured."""
    features = prepared.utterances.features
    return np.concatenate([np.asarray(features[name], np.float32) for name in sorted(features)], axis=1)


def average_context(corpus: Corpus, values: np.ndarray, past: int, future: int) -> tuple[np.ndarray, np.ndarray]:
    """Averages features over the neighbours of each utterance in its dialogue.

    Args:
        corpus: the corpus.
        values: f32[U, D], features.
        past: the number of utterances before that are neighbours.
        future: the number of utterances after.

    Returns:
        f32[U, D] over the neighbours of the same speaker, and over those of the other speakers; 0 without neighbours.
    """
    same, others = np.zeros_like(values), np.zeros_like(values)
    for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True):
        index = np.arange(end - start)
        ahead = index - index[:, None]
        near = (ahead >= -past) & (ahead <= future) & (ahead != 0)
        speakers = corpus.speakers[start:end]
        alike = speakers[:, None] == speakers
        for result, mask in ((same, near & alike), (others, near & ~alike)):
            share = mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)
            result[start:end] = share @ values[start:end]
    return same, others


def fit_logistic_regression(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    inverse_regularization: float,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Fits multinomial logistic regression by L-BFGS.

    Args:
        features: f32[U, D].
        labels: i[U], classes 0 to C - 1.
        num_classes: C.
        inverse_regularization: the inverse strength of the penalty; the larger, the weaker it is.
        start: f64[D + 1, C], weights to begin with; by default zeros and the logarithms of the class shares.

    Returns:
        f64[D + 1, C], weights with the intercepts as the last row.
    """
    features = np.ascontiguousarray(features, np.float32)
    utterances, columns = features.shape
    if start is None:
        start = np.zeros((columns + 1, num_classes))
        start[-1] = np.log(np.bincount(labels, minlength=num_classes) + 1)
    penalty = 1 / (inverse_regularization * utterances)
    gold = np.arange(utterances), labels

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(columns + 1, num_classes)
        log_probabilities = predict_logits(weights, features)
        errors = np.exp(log_probabilities)
        errors[gold] -= 1
        gradient = np.empty_like(weights)
        gradient[:-1] = features.T @ (errors / utterances).astype(np.float32) + penalty * weights[:-1]
        gradient[-1] = errors.mean(axis=0)
        loss = -log_probabilities[gold].mean() + penalty / 2 * np.sum(weights[:-1] ** 2)
        return float(loss), gradient.ravel()

    options = {"maxiter": MAX_ITERATIONS, "gtol": 1e-4, "ftol": 1e-7}
    from scipy.optimize import minimize

    found = minimize(objective, start.ravel(), method="L-BFGS-B", jac=True, options=options)
    weights: np.ndarray = found.x.reshape(columns + 1, num_classes)
    return weights


def predict_logits(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Returns log-probabilities f64[U, C] of fitted weights f64[D + 1, C] for features f32[U, D]."""
    products = (features @ weights[:-1].astype(np.float32)).astype(np.float64)
    from scipy.special import log_softmax

    log_probabilities: np.ndarray = log_softmax(products + weights[-1], axis=1)
    return log_probabilities


def _list_features(prepared: PreparedCorpus, config: Config) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the name and the features f32[U, D] of each logistic regression."""
    own = join_features(prepared)
    yield LINEAR, own
    if 3 * own.nbytes <= MAX_CONTEXT_BYTES and prepared.corpus.lengths.max() > 1:
        future = 0 if config.model.causal else NEIGHBOURS
        context = np.concatenate([own, *average_context(prepared.corpus, own, NEIGHBOURS, future)], axis=1)
        train = prepared.corpus.utterances_of("train")
        deviation = context[train].std(axis=0)  # An average varies less than what is averaged.
        scaled = (context - context[train].mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1)
        yield LINEAR_IN_CONTEXT, scaled


def choose_logistic_regression(corpus: Corpus, features: np.ndarray) -> tuple[np.ndarray, str]:
    """Fits logistic regression with every C, the strongest penalty first, and takes the best by validation WAF1.

    Args:
        corpus: the corpus, with a validation split.
        features: f32[U, D].

    Returns:
        The log-probabilities of all utterances f64[U, C], and a sentence on how C was chosen.
    """
    train, validation = corpus.labelled_of("train"), corpus.labelled_of("validation")
    weights, best, best_waf1 = None, None, -1.0
    for strength in INVERSE_REGULARIZATIONS:
        weights = fit_logistic_regression(features[train], corpus.labels[train], corpus.num_classes, strength, weights)
        logits = predict_logits(weights, features)
        waf1 = _score_split(corpus, logits, validation)["waf1"]
        if waf1 > best_waf1:
            candidates = ", ".join(f"{candidate:g}" for candidate in INVERSE_REGULARIZATIONS)
            best, best_waf1 = (logits, f"C = {strength:g} of {candidates}, by validation WAF1"), waf1
        elif waf1 < best_waf1 - OVERFIT:
            break
    assert best is not None
    return best


def _score(corpus: Corpus, logits: np.ndarray) -> dict[str, Any]:
    """Returns the test scores of logits f64[U, C], and under `validation` those of the validation split."""
    test, validation = (_score_split(corpus, logits, corpus.labelled_of(split)) for split in ("test", "validation"))
    return {**test, "validation": validation}


def _score_split(corpus: Corpus, logits: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    measured = score_counts(count(logits[rows], corpus.labels[rows], np.ones(len(rows), bool)), corpus.label_names)
    return {name: measured[name] for name in SCALARS}
