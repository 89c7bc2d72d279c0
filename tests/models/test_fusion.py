import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.models.fusion import CrossModalFusion, fusion_weights, split_evenly
from tests import reference

ROWS, SLOTS, SIZE, FUSED, HEADS = 1, 4, 3, 8, 2
ALLOWED = np.array([[[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]], bool)

weigh = jax.jit(fusion_weights, static_argnames=("uncertainty", "weighted"))


def draw_std(modalities: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations [M, 2, 5, d], and which are available: everything, something and nothing."""
    random = np.random.default_rng(modalities)
    available = random.random((modalities, 2, 5)) < 0.6
    available[:, 0, 0], available[:, 1, 0] = True, False
    return random.uniform(0.1, 2, (modalities, 2, 5, SIZE)).astype(np.float32), available


@pytest.mark.parametrize("uncertainty", ["direct", "inverse"])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_weights_equal_the_loops(modalities: int, uncertainty: str) -> None:
    std, available = draw_std(modalities)
    found = weigh(std, available, uncertainty=uncertainty)
    expected = reference.fusion_weights(std, available, inverse=uncertainty == "inverse")
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(np.sum(found, axis=0), available.any(0), rtol=1e-6)


@pytest.mark.parametrize("uncertainty", ["direct", "inverse"])
def test_unweighted_modalities_share_alike(uncertainty: str) -> None:
    std, available = draw_std(3)
    expected = available / np.maximum(available.sum(0), 1)
    np.testing.assert_allclose(weigh(std, available, uncertainty=uncertainty, weighted=False), expected, rtol=1e-6)


def test_with_two_modalities_the_inverse_is_the_swap() -> None:
    std = draw_std(2)[0]
    available = np.ones(std.shape[:-1], bool)
    direct, inverse = (weigh(std, available, uncertainty=name) for name in ("direct", "inverse"))
    np.testing.assert_allclose(inverse, direct[::-1], rtol=1e-5)


def test_garbage_of_a_missing_modality_changes_nothing() -> None:
    std, available = draw_std(3)
    targets = np.random.default_rng(0).normal(size=available.shape)
    differentiate = jax.jit(jax.value_and_grad(lambda x: (fusion_weights(x, available) * targets).sum()))
    value, gradient = differentiate(std)
    dirty_value, dirty_gradient = differentiate(np.where(available[..., None], std, np.float32(np.nan)))
    np.testing.assert_array_equal(dirty_value, value)
    np.testing.assert_array_equal(np.asarray(dirty_gradient)[available], np.asarray(gradient)[available])
    assert np.abs(gradient).max() > 0.01


@pytest.mark.parametrize(("size", "parts", "widths"), [(8, 2, [4, 4]), (100, 3, [34, 33, 33]), (5, 1, [5])])
def test_split_evenly(size: int, parts: int, widths: list[int]) -> None:
    assert split_evenly(size, parts) == widths


def draw_inputs(modalities: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted samples, zero where not available; availability; who attends to whom."""
    random = np.random.default_rng(5)
    available = np.ones((modalities, ROWS, SLOTS), bool)
    available[:, 0, 3] = False
    available[-1, 0, 1] = False
    weighted = random.normal(size=(modalities, ROWS, SLOTS, SIZE)) * available[..., None]
    return weighted.astype(np.float32), available, ALLOWED


def interact(params: Any, name: str, queried: np.ndarray, keyed: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Eqs. 18 to 21 by loops, before the branch's linear layer."""
    query, key, value = (
        np.tensordot(values, np.asarray(params[f"{part}_{name}"]["kernel"], np.float64), 1)
        for part, values in (("query", queried), ("key", keyed), ("value", keyed))
    )
    attended = np.zeros(query.shape)
    for i in range(SLOTS):
        for head in range(HEADS):
            scores = np.exp(key[:, head] @ query[i, head] / math.sqrt(FUSED // HEADS)) * allowed[i]
            attended[i, head] = scores @ value[:, head] / max(scores.sum(), 1e-300)
    return attended.reshape(SLOTS, FUSED)


def dense(params: Any, name: str, values: np.ndarray) -> np.ndarray:
    """A linear layer."""
    return values @ np.asarray(params[name]["kernel"], np.float64) + params[name]["bias"]


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_cross_attention_equals_the_loops(make_params: Callable[..., Any], modalities: int, residual: bool) -> None:
    weighted, available, allowed = draw_inputs(modalities)
    fusion = CrossModalFusion(fused_size=FUSED, heads=HEADS, interaction=True, residual=residual)
    params = make_params(fusion, weighted, available, allowed)
    found = jax.jit(fusion.apply)({"params": params}, weighted, available, allowed)
    branches = []
    for own in range(modalities):
        others = [0] if modalities == 1 else [other for other in range(modalities) if other != own]
        attended = [
            interact(params, f"{own}_{other}", weighted[own, 0], weighted[other, 0], allowed[0] & available[other, 0])
            for other in others
        ]
        branch = dense(params, f"branch_{own}", sum(attended) / len(others))
        if residual:
            branch = branch + dense(params, f"residual_{own}", weighted[own, 0])
        branches.append(branch)
    np.testing.assert_allclose(found[0], np.concatenate(branches, -1), rtol=1e-4, atol=1e-5)
    assert found.shape == (ROWS, SLOTS, FUSED)


def test_without_interaction_it_is_a_linear_layer_of_the_sum(make_params: Callable[..., Any]) -> None:
    inputs = draw_inputs(3)
    fusion = CrossModalFusion(fused_size=FUSED, heads=HEADS, interaction=False, residual=True)
    params = make_params(fusion, *inputs)
    found = fusion.apply({"params": params}, *inputs)
    np.testing.assert_allclose(found[0], dense(params, "sum_out", inputs[0][:, 0].sum(0)), rtol=1e-5, atol=1e-5)
