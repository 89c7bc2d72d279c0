"""The temperature against a grid, against a known one, and where there is little to fit."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from macsgr_jax.calibration import fit_temperature
from macsgr_jax.errors import InputError

GRID = np.geomspace(0.01, 100, 2001)


def draw(seed: int, utterances: int, classes: int, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their probabilities."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, spread, (utterances, classes))
    return logits, np.array([random.choice(classes, p=row) for row in softmax(logits, axis=1)])


def measure(scores: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean negative log-likelihood, utterance by utterance."""
    return -float(np.mean([log_softmax(row / temperature)[label] for row, label in zip(scores, labels, strict=True)]))


@pytest.mark.parametrize("scale", [0.2, 1.0, 7.0])
def test_the_temperature_is_the_best_of_a_grid(scale: float) -> None:
    logits, labels = draw(0, 60, 4)
    found = fit_temperature(scale * logits, labels)
    losses = [measure(scale * logits, labels, temperature) for temperature in GRID]
    best = int(np.argmin(losses))
    assert GRID[best - 1] < found < GRID[best + 1]
    assert measure(scale * logits, labels, found) <= losses[best]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 40.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    logits, labels = draw(1, 20_000, 5)
    assert fit_temperature(temperature * logits, labels) == pytest.approx(temperature, rel=0.03)


def test_logits_and_log_probabilities_are_the_same() -> None:
    logits, labels = draw(2, 200, 3)
    found = fit_temperature(3 * logits, labels)
    assert fit_temperature(log_softmax(3 * logits, axis=1), labels) == pytest.approx(found, rel=1e-5)
    assert fit_temperature(3 * logits + 1000, labels) == pytest.approx(found, rel=1e-5)


def test_probabilities_of_0() -> None:
    labels = np.array([0, 1, 2, 0, 0, 0, 1, 2])
    said = np.eye(3)[[0, 1, 2, 0, 0, 0, 1, 0]]  # The last one is sure and wrong.
    with np.errstate(divide="ignore"):
        scores = np.log(said)
    found = fit_temperature(scores, labels)
    # Seven of eight right: softmax(0, a, a) with a = log(tiny) / T has its largest at 7 / 8.
    assert found == pytest.approx(np.log(np.finfo(np.float32).tiny) / np.log(1 / 14), rel=1e-4)
    assert fit_temperature(scores[:-1], labels[:-1]) <= 1.0  # All right: nothing speaks for less confidence.


def test_where_there_is_nothing_to_fit() -> None:
    assert fit_temperature(np.zeros((5, 1)), np.zeros(5, int)) == 1.0
    assert fit_temperature(np.full((5, 3), 0.7), np.array([0, 1, 2, 2, 2])) == 1.0


def test_labels_of_one_class() -> None:
    logits, _ = draw(3, 50, 3)
    labels = np.zeros(50, int)
    found = fit_temperature(logits, labels)
    assert 0.01 <= found <= 100 and measure(logits, labels, found) <= measure(logits, labels, 1.0)
    surely = np.tile([9.0, 0.0, 0.0], (50, 1))
    assert fit_temperature(surely, labels) < 0.02  # The surer the better.
    assert fit_temperature(-surely, labels) > 99  # Always wrong: as unsure as it gets.


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((0, 3)), "there is no utterance"),
        ([[0.0, 1.0], [np.nan, 1.0]], "utterance 1 are not finite"),
        ([[np.inf, 1.0]], "utterance 0 are not finite"),
        ([[0.0, 1.0], [0.0, 0.0], [-np.inf, -np.inf]], "utterance 2 are not finite"),
    ],
)
def test_scores_that_are_none(scores: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_temperature(np.array(scores), np.zeros(len(scores), int))
