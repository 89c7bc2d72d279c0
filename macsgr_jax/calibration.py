"""Temperature scaling: one temperature for all logits, fitted so that the probabilities are calibrated."""

from collections.abc import Callable

import numpy as np

from macsgr_jax.errors import InputError

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
MIN_LOG_PROBABILITY = float(np.log(np.finfo(np.float32).tiny))  # Below this a float32 holds a probability of 0.


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Fits the temperature T that minimises the negative log-likelihood of the labels under softmax(scores / T).

    Args:
        scores: f64[U, C], logits or log-probabilities of utterances that were not trained on; -inf, a probability of 0,
            counts as the smallest probability that float32 holds.
        labels: i64[U], the gold classes, 0 to C - 1.

    Returns:
        T, from 0.01 to 100; 1 where no other temperature is better, as with a single class.

    Raises:
        InputError: there is no utterance, or the scores of one are not numbers.

    Reference:
        Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, 2017.
    """
    scores = np.asarray(scores, np.float64)
    if not len(scores):
        raise InputError("there is no utterance to fit a temperature on: give at least one")
    largest = scores.max(axis=1, keepdims=True)
    if not np.isfinite(largest).all():
        row = int(np.argmin(np.isfinite(largest)))
        raise InputError(
            f"the scores of utterance {row} are not finite numbers: a temperature cannot be fitted on them"
        )
    shifted = scores - largest
    none = np.isneginf(shifted)
    shifted = np.where(none, min(MIN_LOG_PROBABILITY, shifted[~none].min()), shifted)
    of_label = shifted[np.arange(len(shifted)), labels]
    from scipy.special import logsumexp

    def likelihood(log_temperature: float) -> float:
        """Computes the mean negative log-likelihood, which is convex in 1 / T and so has one minimum."""
        temperature = np.exp(log_temperature)
        return float(np.mean(logsumexp(shifted / temperature, axis=1) - of_label / temperature))

    return _minimize(likelihood)


def fit_ensemble_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Fits the temperature T of an ensemble, the mean over its networks of softmax(scores / T).

    An average is less certain than its members, so that a temperature fitted for each of them alone is too high.

    Args:
        scores: f64[S, U, C], finite logits of S networks for utterances that were not trained on.
        labels: i64[U], the gold classes, 0 to C - 1.

    Returns:
        T, from 0.01 to 100; 1 where no other temperature is better. For one network it is that of `fit_temperature`.

    Raises:
        InputError: there is no utterance, or the scores of one are not finite.
    """
    scores = np.asarray(scores, np.float64)
    if not scores.shape[1] or not np.isfinite(scores).all():
        raise InputError("a temperature is fitted on finite scores of at least one utterance")
    from scipy.special import logsumexp

    rows = np.arange(scores.shape[1])

    def likelihood(log_temperature: float) -> float:
        scaled = scores / np.exp(log_temperature)
        of_label = scaled[:, rows, labels] - logsumexp(scaled, axis=-1)
        return float(np.mean(np.log(len(scores)) - logsumexp(of_label, axis=0)))

    return _minimize(likelihood)


def _minimize(likelihood: Callable[[float], float]) -> float:
    """Returns the temperature whose logarithm has the smallest negative log-likelihood; 1 where none is better."""
    from scipy.optimize import minimize_scalar

    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    found = minimize_scalar(likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x)) if found.fun < likelihood(0.0) else 1.0
