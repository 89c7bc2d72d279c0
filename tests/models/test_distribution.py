import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax.models.distribution import LOG_STD_RANGE, DistributionEncoder

HEADS, SIZE = 2, 4
ALLOWED = np.array([[[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]], bool)

encoder = DistributionEncoder(heads=HEADS, initial_std=0.05, min_std=1e-4)
encode = jax.jit(encoder.apply)
bounded = DistributionEncoder(heads=HEADS, initial_std=0.05, min_std=1e-4, max_std=1.0)
encode_bounded = jax.jit(bounded.apply)


def draw_hidden(scale: float = 1.0) -> np.ndarray:
    """Hidden states f32[1, 4, d_e]."""
    return (scale * np.random.default_rng(0).normal(size=(1, 4, SIZE))).astype(np.float32)


def gelu(values: np.ndarray) -> np.ndarray:
    """As flax approximates it."""
    return 0.5 * values * (1 + np.tanh(math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)))


def test_equals_the_loops(make_params: Callable[..., Any]) -> None:
    hidden = draw_hidden()
    params = make_params(encoder, hidden, ALLOWED)
    found = encode({"params": params}, hidden, ALLOWED)

    def dense(name: str, values: np.ndarray) -> np.ndarray:
        kernel = np.asarray(params[name]["kernel"], np.float64)
        return np.tensordot(values, kernel, 1) + params[name].get("bias", 0.0)

    inner = gelu(dense("feed_forward", hidden[0]))
    inner = (inner - inner.mean(-1, keepdims=True)) / np.sqrt(inner.var(-1, keepdims=True) + 1e-6)
    inner = inner * params["LayerNorm_0"]["scale"] + params["LayerNorm_0"]["bias"]
    query, key, value = (dense(name, inner) for name in ("query", "key", "value"))
    attended = np.zeros((4, HEADS, SIZE))
    for i in range(4):
        for head in range(HEADS):
            scores = np.exp(key[:, head] @ query[i, head] / math.sqrt(SIZE)) * ALLOWED[0, i]
            attended[i, head] = scores @ value[:, head] / max(scores.sum(), 1e-300)
    mean_half, std_half = np.split(attended.reshape(4, 2 * SIZE), 2, axis=-1)
    mean = hidden[0] + dense("mean_out", gelu(dense("mean_in", mean_half)))
    log_std = dense("log_std_out", gelu(dense("log_std_in", std_half)))
    np.testing.assert_allclose(found.mean[0], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.std[0], np.exp(np.clip(log_std, *LOG_STD_RANGE)) + 1e-4, rtol=1e-4)
    std = encode_bounded({"params": params}, hidden, ALLOWED).std
    np.testing.assert_allclose(std[0], 1 / (1 + np.exp(-log_std)) + 1e-4, rtol=1e-4)


@pytest.mark.parametrize(("initial_std", "max_std"), [(0.05, 0.0), (0.7, 0.0), (0.05, 1.0), (0.7, 1.0)])
def test_std_starts_near_where_it_is_told_to(initial_std: float, max_std: float) -> None:
    module = DistributionEncoder(heads=HEADS, initial_std=initial_std, min_std=1e-4, max_std=max_std)
    gaussian, _ = jax.jit(module.init_with_output)(jax.random.key(0), draw_hidden(), ALLOWED)
    np.testing.assert_allclose(gaussian.std, initial_std, rtol=0.1)
    assert np.ptp(gaussian.std) > 0


@pytest.mark.parametrize("log_std", [-1e3, 1e3])
def test_std_stays_positive_and_bounded(make_params: Callable[..., Any], log_std: float) -> None:
    params = make_params(encoder, draw_hidden(), ALLOWED)
    params["log_std_out"]["bias"] += np.float32(log_std)
    std = encode({"params": params}, draw_hidden(), ALLOWED).std
    np.testing.assert_allclose(std, math.exp(LOG_STD_RANGE[log_std > 0]) + 1e-4, rtol=1e-5)


@pytest.mark.parametrize("log_std", [-1e3, 0.0, 3.0, 1e3])
def test_bounded_std_has_a_bounded_gradient(make_params: Callable[..., Any], log_std: float) -> None:
    """Rare samples with an unbounded sigma gave the gradients that made the default collapse (docs/lab_notes.md)."""
    params = make_params(bounded, draw_hidden(), ALLOWED)

    def widest(shift: Any) -> Any:
        out = {**params["log_std_out"], "bias": params["log_std_out"]["bias"] + shift}
        return encode_bounded({"params": params | {"log_std_out": out}}, draw_hidden(), ALLOWED).std.max()

    std, slope = jax.value_and_grad(widest)(jnp.float32(log_std))
    assert 1e-4 <= std <= 1.0 + 2e-4
    assert 0.0 <= slope <= 0.25 + 1e-6


def test_residual_is_on_the_mean_alone(make_params: Callable[..., Any]) -> None:
    params = make_params(encoder, draw_hidden(), ALLOWED)
    for name in ("mean_out", "log_std_out"):
        params[name] = jax.tree.map(jnp.zeros_like, params[name])
    gaussian = encode({"params": params}, draw_hidden(), ALLOWED)
    np.testing.assert_allclose(gaussian.mean, draw_hidden(), rtol=1e-6)
    np.testing.assert_allclose(gaussian.std, 1.0 + 1e-4, rtol=1e-6)
