"""One temperature for all logits, after which the probabilities say how often the network is right."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from macsgr_jax.errors import InputError

LOWEST, HIGHEST = 0.01, 100.0
LEAST = float(np.log(np.finfo(np.float32).tiny))  # Below this a float32 holds a probability of 0.


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T for which softmax(scores / T) gives the labels the least negative log-likelihood.

    Args:
        scores: f64[U, C], logits or log-probabilities of utterances that were not trained on; -inf, a probability of 0,
            counts as the least probability that float32 holds.
        labels: i64[U], classes 0 to C - 1.

    Returns:
        T, from 0.01 to 100; 1 where no other is better, as it is with a single class.

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
    shifted = np.where(none, min(LEAST, shifted[~none].min()), shifted)
    of_label = shifted[np.arange(len(shifted)), labels]

    def likelihood(log_temperature: float) -> float:
        """The mean negative log-likelihood, which has one minimum: it is convex in 1 / T."""
        temperature = np.exp(log_temperature)
        return float(np.mean(logsumexp(shifted / temperature, axis=1) - of_label / temperature))

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    found = minimize_scalar(likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x)) if found.fun < likelihood(0.0) else 1.0
