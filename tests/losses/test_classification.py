from collections.abc import Callable

import jax
import numpy as np
import pytest

from macsgr_jax.losses import classification
from tests import reference

CLASSES = 3

evaluate_classification = jax.jit(classification)
differentiate_classification = jax.jit(jax.value_and_grad(classification))


def draw_logits(seed: int, utterances: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits [U, C], labels and mask."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(utterances, CLASSES)).astype(np.float32) * 3
    return logits, random.integers(0, CLASSES, utterances), random.random(utterances) < 0.7


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("utterances", [1, 2, 7, 20])
def test_classification_equals_the_loops(utterances: int, seed: int) -> None:
    case = draw_logits(seed, utterances)
    np.testing.assert_allclose(evaluate_classification(*case), reference.classification(*case), rtol=1e-5)


@pytest.mark.parametrize("balance", [0.0, 0.4, 1.0])
def test_balanced_classification_equals_the_loops(
    balance: float, numerical_gradient: Callable[..., np.ndarray]
) -> None:
    logits, labels, mask = draw_logits(2, 9)
    assert len(set(np.bincount(labels[mask], minlength=CLASSES))) > 1  # Some emotions are rarer than others.
    value, gradient = jax.value_and_grad(classification)(logits, labels, mask, balance=balance)
    np.testing.assert_allclose(value, reference.classification(logits, labels, mask, balance), rtol=1e-5)
    expected = numerical_gradient(lambda x: reference.classification(x, labels, mask, balance), logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_fully_balanced_classification_is_the_mean_of_the_means() -> None:
    logits, labels, mask = draw_logits(3, 20)
    of_labels = [classification(logits, labels, mask & (labels == label)) for label in range(CLASSES)]
    assert mask.any() and all(np.any(mask & (labels == label)) for label in range(CLASSES))
    np.testing.assert_allclose(classification(logits, labels, mask, balance=1.0), np.mean(of_labels), rtol=1e-5)


def test_balanced_classification_of_garbage_and_of_nothing() -> None:
    logits, labels, mask = draw_logits(1, 7)
    clean = classification(logits, labels, mask, balance=0.5)
    logits[~mask], labels[~mask] = np.nan, -1
    value, gradient = jax.value_and_grad(classification)(logits, labels, mask, balance=0.5)
    assert value == clean and np.isfinite(gradient).all()
    value, gradient = jax.value_and_grad(classification)(logits, labels, np.zeros(7, bool), balance=0.5)
    assert value == 0 and not np.any(gradient)


def test_classification_gradient_equals_central_differences(numerical_gradient: Callable[..., np.ndarray]) -> None:
    logits, labels, mask = draw_logits(0, 7)
    _, gradient = differentiate_classification(logits, labels, mask)
    expected = numerical_gradient(lambda x: reference.classification(x, labels, mask), logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(expected[mask]).min() > 0


def test_classification_of_nothing_is_zero_with_zero_gradient() -> None:
    logits, labels, _ = draw_logits(0, 7)
    value, gradient = differentiate_classification(logits, labels, np.zeros(7, bool))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("garbage", [1e30, np.inf, np.nan])
@pytest.mark.parametrize("label", [-1, 10**6])
def test_appended_garbage_does_not_change_classification(garbage: float, label: int) -> None:
    logits, labels, mask = draw_logits(1, 7)
    value, gradient = differentiate_classification(logits, labels, mask)
    longer_value, longer_gradient = differentiate_classification(
        np.pad(logits, ((0, 4), (0, 0)), constant_values=garbage),
        np.pad(labels, (0, 4), constant_values=label),
        np.pad(mask, (0, 4)),
    )
    np.testing.assert_allclose(longer_value, value, rtol=1e-5)
    np.testing.assert_allclose(longer_gradient[:7], gradient, atol=1e-6)
    np.testing.assert_array_equal(longer_gradient[7:], 0.0)


def test_vmapped_classification_equals_a_loop() -> None:
    cases = [draw_logits(seed, 7) for seed in range(4)]
    found = jax.jit(jax.vmap(classification))(*(np.stack(arrays) for arrays in zip(*cases, strict=True)))
    np.testing.assert_allclose(found, [evaluate_classification(*case) for case in cases], rtol=1e-5)
