"""The supervision of sigma: against loops, under masks, and what it teaches."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax.losses import uncertainty_supervision
from macsgr_jax.models.fusion import fusion_weights
from tests import reference

UTTERANCES, CLASSES = 6, 4
differentiate = jax.jit(jax.value_and_grad(uncertainty_supervision, argnums=(0, 1)))


def draw(modalities: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logits, weights, labels and a mask with utterances of every number of modalities."""
    random = np.random.default_rng(seed)
    mask = random.random((modalities, UTTERANCES)) < 0.7
    mask[:, 0], mask[:, 1] = True, False
    logits = random.normal(size=(modalities, UTTERANCES, CLASSES)).astype(np.float32)
    std = random.uniform(0.1, 1, (modalities, UTTERANCES, 3)).astype(np.float32)
    weights = np.asarray(fusion_weights(std, mask, uncertainty="inverse"))
    return logits, weights, random.integers(0, CLASSES, UTTERANCES), mask


@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_equals_the_loops(modalities: int) -> None:
    case = draw(modalities)
    np.testing.assert_allclose(differentiate(*case)[0], reference.uncertainty_supervision(*case), rtol=1e-5, atol=1e-6)


def test_the_target_is_a_constant(numerical_gradient: Callable[..., np.ndarray]) -> None:
    """The gradient of the logits is that of their own cross-entropy, whatever the weights are."""
    logits, weights, labels, mask = draw(3)
    _, (of_logits, of_weights) = differentiate(logits, weights, labels, mask)
    alone = np.where(mask & (mask.sum(axis=0) == 1), mask, False)  # No order among one modality.

    def own(values: np.ndarray) -> float:
        return reference.uncertainty_supervision(values, np.ones_like(weights), labels, mask)

    np.testing.assert_allclose(of_logits, numerical_gradient(own, logits), rtol=1e-3, atol=1e-5)
    expected = numerical_gradient(lambda x: reference.uncertainty_supervision(logits, x, labels, mask), weights)
    np.testing.assert_allclose(of_weights, np.where(mask, expected, 0), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(of_weights)[alone], 0)


@pytest.mark.parametrize("garbage", [1e30, np.inf, np.nan])
def test_what_is_masked_changes_neither_value_nor_gradient(garbage: float) -> None:
    logits, weights, labels, mask = draw(2)
    value, gradients = differentiate(logits, weights, labels, mask)
    labels = np.where(mask.any(axis=0), labels, -1)
    changed = differentiate(np.where(mask[..., None], logits, garbage), np.where(mask, weights, garbage), labels, mask)
    np.testing.assert_allclose(changed[0], value, rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, changed[1], gradients)


def test_nothing_valid_is_zero() -> None:
    logits, weights, labels, mask = draw(2)
    value, gradients = differentiate(logits, weights, labels, np.zeros_like(mask))
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("uncertainty", ["inverse", "direct"])
def test_the_modality_that_errs_less_is_taught_to_weigh_more(uncertainty: str) -> None:
    """Descent on sigma alone brings omega to softmax(-error), in either reading of eqs. 14-15."""
    logits = jnp.array([[[2.0, 0.0]], [[0.0, 1.0]]])
    labels, mask = jnp.array([0]), jnp.ones((2, 1), bool)

    def loss(log_std: jax.Array) -> jax.Array:
        weights = fusion_weights(jnp.exp(log_std), mask, uncertainty=uncertainty)
        return uncertainty_supervision(logits, weights, labels, mask)

    log_std, slope = jnp.zeros((2, 1, 3)), jax.jit(jax.grad(loss))
    for _ in range(200):
        log_std = log_std - 0.5 * slope(log_std)
    errors = np.array([np.log1p(np.exp(-2)), np.log1p(np.exp(1))])
    found = fusion_weights(jnp.exp(log_std), mask, uncertainty=uncertainty)
    np.testing.assert_allclose(found[:, 0], np.exp(-errors) / np.exp(-errors).sum(), atol=1e-3)
