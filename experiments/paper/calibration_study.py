"""Are confident utterances right more often, and does one temperature for all logits make confidence right?"""

from typing import Any

import numpy as np

from experiments.paper.study import Study, Trained
from experiments.paper.variants import FULL
from experiments.tables import show
from macsgr_jax.calibration import fit_temperature
from macsgr_jax.metrics import NUM_BINS, count, scores, summarize
from macsgr_jax.overrides import from_json
from macsgr_jax.runs.evaluate import predict_split

REMARKS = (
    "scaled: the logits of each seed are divided by the temperature that fits the validation split best.",
    "NLL: mean negative log-likelihood in nats; NLL and temperature are not percent.",
)
COVERAGES = tuple(tenth / 10 for tenth in range(1, 11))
SHOWN = (0, 4, 9)  # Places of COVERAGES.


def measure_calibration(study: Study, corpus: str) -> dict[str, Any]:
    """Reliability by the largest probability, accuracy of the surest utterances, likelihood with a temperature."""
    trained = study.train(corpus, FULL)
    confidence = trained.probabilities.max(axis=-1)
    right = trained.predicted == trained.labels
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    reliability = [
        {"confidence": float(confidence[bins == place].mean()), "accuracy": float(right[bins == place].mean())}
        | {"utterances": int((bins == place).sum())}
        for place in range(NUM_BINS)
        if np.any(bins == place)
    ]
    order = np.argsort(-confidence, axis=1)
    sorted_right = np.take_along_axis(right, order, axis=1)
    kept = [max(1, round(coverage * right.shape[1])) for coverage in COVERAGES]
    accuracy = [sorted_right[:, :number].mean(axis=1).tolist() for number in kept]
    before = {name: trained.scores(name) for name in ("ece", "nll")}
    scaled = scale_by_temperature(trained)
    row = [show(before["ece"]), show(scaled["ece"]), *map(_show_plain, (before["nll"], scaled["nll"]))]
    row += [_show_plain(scaled["temperature"]), *(show(accuracy[place]) for place in SHOWN)]
    head = ["ECE", "ECE, scaled", "NLL", "NLL, scaled", "temperature"]
    return {
        "head": [*head, *(f"accuracy of the surest {100 * COVERAGES[place]:.0f} %" for place in SHOWN)],
        "rows": [row],
        **before,
        "scaled": scaled,
        "reliability": reliability,
        "coverage": list(COVERAGES),
        "accuracy": accuracy,
    }


def scale_by_temperature(trained: Trained) -> dict[str, list[float]]:
    """Each seed's temperature, fitted on the validation split, and what it makes of the test split.

    Args:
        trained: the network.

    Returns:
        `temperature`, and `nll` and `ece` of the test split with it, a value a seed.
    """
    validation, test = (_take_logarithm(predict_seeds(trained, split)) for split in ("validation", "test"))
    held_out = trained.task.corpus  # Its validation split may have been held out of the training split.
    labels = held_out.labels[held_out.utterances_of("validation")]
    found: dict[str, list[float]] = {"temperature": [], "nll": [], "ece": []}
    for of_validation, of_test in zip(validation, test, strict=True):
        temperature = fit_temperature(of_validation, labels)
        reached = scores(count(of_test / temperature, trained.labels, np.ones(trained.labels.shape, bool)))
        found["temperature"].append(temperature)
        for name in ("nll", "ece"):
            found[name].append(float(reached[name]))
    return found


def predict_seeds(trained: Trained, split: str) -> np.ndarray:
    """What every seed says of a split, from the checkpoints.

    Args:
        trained: the network.
        split: of SPLITS; that of the task, which has a validation split where the corpus has none.

    Returns:
        f32[S, U, C], probabilities; utterances in the corpus's order.

    Raises:
        InputError: a checkpoint is missing or damaged.
    """
    config = from_json(trained.network["config"])
    return np.array(
        [
            [said.probabilities for said in predict_split(trained.task, config, params, split)]
            for params in trained.load_seeds()
        ]
    )


def _take_logarithm(probabilities: np.ndarray) -> np.ndarray:
    """Finite where a probability is 0 in float32."""
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))


def _show_plain(values: list[float]) -> str:
    """Mean and deviation of what is not a share."""
    mean, deviation = summarize(values)
    return f"{mean:.2f} ± {deviation:.2f}" if len(values) > 1 else f"{mean:.2f}"
