from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.losses import latent_alignment
from tests import reference

evaluate = jax.jit(latent_alignment)
differentiate = jax.jit(jax.value_and_grad(latent_alignment, argnums=(0, 1)))


def draw_std(mean: np.ndarray) -> np.ndarray:
    """Positive numbers of the same shape."""
    return np.random.default_rng(7).uniform(0.1, 2, mean.shape).astype(np.float32)


@pytest.mark.parametrize("utterances", [1, 2, 7, 20])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_equals_the_loops(make_case: Callable[..., Any], modalities: int, utterances: int, scenario: str) -> None:
    mean, _, mask = make_case(0, modalities, utterances, scenario)
    expected = reference.latent_alignment(mean, draw_std(mean), mask, average="entries")
    np.testing.assert_allclose(evaluate(mean, draw_std(mean), mask), expected, rtol=1e-5, atol=1e-6)


def test_is_half_the_wasserstein_distance_of_two_gaussians() -> None:
    mean, std = np.array([[[0.0, 3.0]], [[0.0, 0.0]]]), np.array([[[1.0, 1.0]], [[5.0, 1.0]]])
    assert evaluate(mean, std, np.ones((2, 1), bool)) == pytest.approx(2.5)


def test_gradients_equal_central_differences(
    make_case: Callable[..., Any], numerical_gradient: Callable[..., np.ndarray]
) -> None:
    mean, _, mask = make_case(1, 3, 4, "some missing", 3)
    std = draw_std(mean)
    _, (of_mean, of_std) = differentiate(mean, std, mask)
    expected = numerical_gradient(lambda x: reference.latent_alignment(x, std, mask, "entries"), mean)
    np.testing.assert_allclose(of_mean, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected).max() > 0.01
    expected = numerical_gradient(lambda x: reference.latent_alignment(mean, x, mask, "entries"), std)
    np.testing.assert_allclose(of_std, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("valid", [0, 1, 5])
def test_identical_gaussians_have_zero_loss_and_zero_gradient(valid: int) -> None:
    mask = np.broadcast_to(np.arange(5) < valid, (2, 5))
    value, gradients = differentiate(np.zeros((2, 5, 3), np.float32), np.ones((2, 5, 3), np.float32), mask)
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("garbage", [1e30, np.inf, np.nan])
def test_appended_garbage_changes_neither_value_nor_gradient(make_case: Callable[..., Any], garbage: float) -> None:
    mean, _, mask = make_case(2, 2, 7, "some missing")
    std = draw_std(mean)
    value, gradients = differentiate(mean, std, mask)
    more = ((0, 0), (0, 4), (0, 0))
    longer_value, longer_gradients = differentiate(
        np.pad(mean, more, constant_values=garbage), np.pad(std, more, constant_values=garbage), np.pad(mask, more[:2])
    )
    np.testing.assert_allclose(longer_value, value, rtol=1e-5)
    for longer, gradient in zip(longer_gradients, gradients, strict=True):
        np.testing.assert_allclose(longer[:, :7], gradient, atol=1e-5)
        np.testing.assert_array_equal(longer[:, 7:], 0.0)
    assert value > 0.1


def test_garbage_in_one_modality_does_not_reach_the_other() -> None:
    """The utterance is missing in one modality alone."""
    mean, std, mask = np.ones((2, 2, 3), np.float32), np.ones((2, 2, 3), np.float32), np.array([[1, 0], [1, 1]], bool)
    mean[0, 1], mean[0, 0] = np.nan, 0.0
    value, gradients = differentiate(mean, std, mask)
    assert value == pytest.approx(0.5 * 3**0.5)
    for gradient in gradients:
        np.testing.assert_array_equal(gradient[:, 1], 0.0)


def test_vmapped_equals_a_loop(make_case: Callable[..., Any]) -> None:
    cases = [make_case(seed, 3, 7, "some missing") for seed in range(4)]
    mean, mask = np.stack([case.embeddings for case in cases]), np.stack([case.mask for case in cases])
    found = jax.jit(jax.vmap(latent_alignment))(mean, draw_std(mean), mask)
    for run in range(4):
        np.testing.assert_allclose(found[run], evaluate(mean[run], draw_std(mean)[run], mask[run]), rtol=1e-5)
