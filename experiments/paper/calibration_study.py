"""Calibration of the network: reliability, accuracy of the most confident utterances, temperature scaling."""

from typing import Any

import numpy as np

from experiments.paper.formatting import format_number, format_percent
from experiments.paper.study import NetworkCache, TrainedNetwork
from experiments.paper.variants import FULL
from macsgr_jax.calibration import fit_temperature
from macsgr_jax.metrics import NUM_BINS, count, scores

REMARKS = (
    "scaled: the logits of each seed are divided by the temperature that fits the validation split best.",
    "NLL: mean negative log-likelihood in nats; NLL and temperature are not percent.",
)
COVERAGES = tuple(tenth / 10 for tenth in range(1, 11))
SHOWN = (0, 4, 9)  # Indices into COVERAGES.


def measure_calibration(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes reliability by confidence, accuracy by coverage, and the effect of temperature scaling."""
    trained = cache.train(corpus, FULL)
    confidence = trained.probabilities.max(axis=-1)
    correct = trained.predicted == trained.labels
    order = np.argsort(-confidence, axis=1)
    sorted_correct = np.take_along_axis(correct, order, axis=1)
    kept = [max(1, round(coverage * correct.shape[1])) for coverage in COVERAGES]
    accuracy = [sorted_correct[:, :number].mean(axis=1).tolist() for number in kept]
    before = {name: trained.scores(name) for name in ("ece", "nll")}
    scaled = scale_by_temperature(trained)
    row = [format_percent(before["ece"]), format_percent(scaled["ece"])]
    row += [format_number(values) for values in (before["nll"], scaled["nll"], scaled["temperature"])]
    row += [format_percent(accuracy[index]) for index in SHOWN]
    head = ["ECE", "ECE, scaled", "NLL", "NLL, scaled", "temperature"]
    head += [f"accuracy of the most confident {100 * COVERAGES[index]:.0f} %" for index in SHOWN]
    return {
        "head": head,
        "rows": [row],
        **before,
        "scaled": scaled,
        "reliability": _measure_reliability(confidence, correct),
        "coverage": list(COVERAGES),
        "accuracy": accuracy,
    }


def scale_by_temperature(trained: TrainedNetwork) -> dict[str, list[float]]:
    """Fits one temperature per seed on the validation split, and scores the test split with it.

    Args:
        trained: the network.

    Returns:
        `temperature`, and `nll` and `ece` of the test split with it, one value per seed.
    """
    validation, test = (_take_logarithm(trained.predict(split)) for split in ("validation", "test"))
    corpus = trained.prepared.corpus  # Its validation split may have been held out of the training split.
    labels = corpus.labels[corpus.labelled_of("validation")]
    result: dict[str, list[float]] = {"temperature": [], "nll": [], "ece": []}
    for of_validation, of_test in zip(validation, test, strict=True):
        temperature = fit_temperature(of_validation, labels)
        scaled = scores(count(of_test / temperature, trained.labels, np.ones(trained.labels.shape, bool)))
        result["temperature"].append(temperature)
        for name in ("nll", "ece"):
            result[name].append(float(scaled[name]))
    return result


def _measure_reliability(confidence: np.ndarray, correct: np.ndarray) -> list[dict[str, float]]:
    """Computes mean confidence and accuracy of each bin that is not empty, all seeds together."""
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    members = [bins == index for index in range(NUM_BINS) if np.any(bins == index)]
    return [
        {
            "confidence": float(confidence[member].mean()),
            "accuracy": float(correct[member].mean()),
            "utterances": int(member.sum()),
        }
        for member in members
    ]


def _take_logarithm(probabilities: np.ndarray) -> np.ndarray:
    """Returns the logarithm, finite where a probability is 0 in float32."""
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
