"""Schedules and decays against hand-written ones."""

import dataclasses
import itertools
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from macsgr_jax.config import TrainConfig
from macsgr_jax.training.optimizer import count_epochs, learning_rate_at, make_optimizer

STEPS_PER_EPOCH = 3
PARAMS = {"kernel": np.array([[1.0, -2.0], [0.5, 4.0]], np.float32), "bias": np.array([0.25, -8.0], np.float32)}
GRADIENTS = [
    {"kernel": np.array([[0.3, -0.2], [0.05, 2.0]], np.float32), "bias": np.array([-1.0, 0.01], np.float32)},
    {"kernel": np.array([[-0.1, -0.4], [1.5, 0.0]], np.float32), "bias": np.array([0.5, 0.03], np.float32)},
]


def rate_at(step: int, config: TrainConfig) -> float:
    return float(learning_rate_at(jnp.int32(step), STEPS_PER_EPOCH, config))


def test_restarts_follow_algorithm_1_within_and_across_periods() -> None:
    """r_min + (r_max - r_min) (1 + cos(j pi / eta)) / 2 with j epochs since the last restart."""
    config = TrainConfig(schedule="restarts", learning_rate=1e-4, min_learning_rate=1e-8, restart_epochs=50)
    for epoch in (0, 1, 24, 25, 49, 50, 51, 99, 100, 149):
        expected = 1e-8 + 0.5 * (1e-4 - 1e-8) * (1 + math.cos(epoch % 50 * math.pi / 50))
        for step in range(STEPS_PER_EPOCH):
            assert rate_at(epoch * STEPS_PER_EPOCH + step, config) == pytest.approx(expected, rel=1e-5)


def test_the_cosine_goes_from_the_largest_to_the_least_rate() -> None:
    config = TrainConfig(epochs=10, schedule="cosine", learning_rate=2e-3, min_learning_rate=1e-5)
    steps = 10 * STEPS_PER_EPOCH
    rates = [rate_at(step, config) for step in range(steps + 5)]
    assert rates[0] == pytest.approx(2e-3, rel=1e-5)
    assert rates[steps // 2] == pytest.approx((2e-3 + 1e-5) / 2, rel=1e-5)
    assert rates[steps:] == pytest.approx([1e-5] * 5, rel=1e-5)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[: steps + 1]))


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "expected"),
    [(0, 1, 60), (0, 7, 60), (0, 25, 60), (0, 30, 50), (0, 64, 23), (0, 1000, 4), (7, 64, 7)],
)
def test_epochs_follow_the_size_of_the_corpus(epochs: int, steps_per_epoch: int, expected: int) -> None:
    assert count_epochs(TrainConfig(epochs=epochs), steps_per_epoch) == expected


def test_the_cosine_ends_with_the_epochs_that_the_corpus_asks_for() -> None:
    automatic = TrainConfig(epochs=0, learning_rate=2e-3)
    explicit = TrainConfig(epochs=count_epochs(automatic, STEPS_PER_EPOCH), learning_rate=2e-3)
    steps = (0, 20, explicit.epochs * STEPS_PER_EPOCH - 1)
    assert [rate_at(step, automatic) for step in steps] == [rate_at(step, explicit) for step in steps]


def test_a_constant_rate_stays() -> None:
    config = TrainConfig(schedule="constant", learning_rate=2e-3)
    assert {rate_at(step, config) for step in (0, 1, 1000)} == {float(np.float32(2e-3))}


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("warmup_epochs", [0.0, 0.5, 2.0])
def test_the_rate_grows_from_zero_over_the_warm_up(
    schedule: Literal["constant", "cosine"], warmup_epochs: float
) -> None:
    warm = TrainConfig(epochs=4, schedule=schedule, learning_rate=2e-3, warmup_epochs=warmup_epochs)
    cold = dataclasses.replace(warm, warmup_epochs=0.0)
    for step in range(4 * STEPS_PER_EPOCH):
        share = min(1.0, (step + 1) / max(1.0, warmup_epochs * STEPS_PER_EPOCH))
        assert rate_at(step, warm) == pytest.approx(share * rate_at(step, cold), rel=1e-5)


def test_a_rate_below_the_least_one_stays_where_it_is() -> None:
    config = TrainConfig(schedule="cosine", learning_rate=1e-9, min_learning_rate=1e-8)
    assert rate_at(0, config) == rate_at(1000, config) == pytest.approx(1e-9, rel=1e-5)


def apply_two_steps(config: TrainConfig) -> dict[str, np.ndarray]:
    optimizer = make_optimizer(config, STEPS_PER_EPOCH)
    params = jax.tree.map(jnp.asarray, PARAMS)
    state = optimizer.init(params)
    for gradient in GRADIENTS:
        updates, state = optimizer.update(jax.tree.map(jnp.asarray, gradient), state, params)
        params = optax.apply_updates(params, updates)
    return params


def adam(config: TrainConfig, clip: float = math.inf) -> dict[str, np.ndarray]:
    """Two steps of Adam by hand in float64, beta 0.9 and 0.999, epsilon 1e-8."""
    params = {name: values.astype(np.float64) for name, values in PARAMS.items()}
    first = {name: np.zeros_like(values) for name, values in params.items()}
    second = {name: np.zeros_like(values) for name, values in params.items()}
    for step, gradient in enumerate(GRADIENTS, start=1):
        norm = math.sqrt(sum(float(np.sum(np.square(values, dtype=np.float64))) for values in gradient.values()))
        rate = rate_at(step - 1, config)
        for name, theta in params.items():
            delta = gradient[name].astype(np.float64) * min(1.0, clip / norm)
            if config.weight_decay_mode == "coupled" and name == "kernel":
                delta = delta + config.weight_decay * theta
            first[name] = 0.9 * first[name] + 0.1 * delta
            second[name] = 0.999 * second[name] + 0.001 * delta**2
            adapted = (first[name] / (1 - 0.9**step)) / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
            kept = 1 - config.weight_decay if config.weight_decay_mode == "decoupled" else 1.0
            params[name] = kept * theta - rate * adapted
    return params


@pytest.mark.parametrize("decay", ["coupled", "decoupled"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_two_steps_equal_adam_by_hand(decay: str, schedule: str, clip_norm: float) -> None:
    config = dataclasses.replace(
        TrainConfig(epochs=1, learning_rate=0.1, weight_decay=0.05, min_learning_rate=0.0),
        weight_decay_mode=decay,
        schedule=schedule,
        clip_norm=clip_norm,
    )
    found, expected = apply_two_steps(config), adam(config, clip_norm or math.inf)
    for name in PARAMS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_the_ways_to_decay_and_to_clip_differ() -> None:
    """What the test above compares is not the same for all of its cases."""
    config = TrainConfig(epochs=1, learning_rate=0.1, weight_decay=0.05, schedule="constant")
    kernels = [
        apply_two_steps(dataclasses.replace(config, weight_decay_mode=decay, clip_norm=clip_norm))["kernel"]
        for decay in ("coupled", "decoupled")
        for clip_norm in (0.0, 1.0)
    ]
    for place, kernel in enumerate(kernels):
        for other in kernels[:place]:
            assert np.max(np.abs(kernel - other)) > 1e-4


@pytest.mark.parametrize("everywhere", [True, False])
def test_the_distribution_encoder_can_be_spared_the_decay(everywhere: bool) -> None:
    config = TrainConfig(epochs=1, weight_decay=0.05, decay_distribution=everywhere)
    params = {name: {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)} for name in ("distribution", "fusion")}
    optimizer = make_optimizer(config, STEPS_PER_EPOCH)
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    moved = {name: bool(jnp.any(of_module["kernel"] != 0)) for name, of_module in updates.items()}
    assert moved == {"distribution": everywhere, "fusion": True}
    for of_module in updates.values():
        np.testing.assert_array_equal(of_module["bias"], 0)
