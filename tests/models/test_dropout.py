import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax.models.dropout import Dropout


def drop(rate: float, inputs: jax.Array, seed: int = 0, deterministic: bool = False) -> jax.Array:
    return Dropout(rate).apply({}, inputs, deterministic=deterministic, rngs={"dropout": jax.random.key(seed)})


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_the_share_that_is_dropped_and_the_scale_of_the_rest(rate: float) -> None:
    kept = np.asarray(drop(rate, jnp.full((301, 333), 2.0)))
    share = round(rate * 256) / 256
    assert abs(np.mean(kept == 0) - share) < 0.005
    np.testing.assert_allclose(kept[kept != 0], 2 / (1 - share), rtol=1e-6)
    for axis in (0, 1):
        assert np.abs(np.mean(kept == 0, axis=axis) - share).max() < 0.15


def test_neighbours_are_dropped_independently() -> None:
    """The four bytes of a word come from one draw."""
    kept = np.asarray(drop(0.5, jnp.ones(40_000))) > 0
    for distance in range(1, 6):
        assert abs(np.mean(kept[distance:] == kept[:-distance]) - 0.5) < 0.02


def test_the_key_decides_and_an_evaluation_drops_nothing() -> None:
    inputs = jnp.ones((7, 5))
    np.testing.assert_array_equal(drop(0.5, inputs), drop(0.5, inputs))
    assert not np.array_equal(drop(0.5, inputs), drop(0.5, inputs, seed=1))
    for rate, deterministic in ((0.5, True), (0.0, False)):
        np.testing.assert_array_equal(drop(rate, inputs, deterministic=deterministic), inputs)


def test_what_is_dropped_has_no_gradient() -> None:
    inputs = jnp.ones(11)
    gradient = jax.grad(lambda values: jnp.sum(drop(0.5, values)))(inputs)
    np.testing.assert_array_equal(gradient, drop(0.5, inputs))


def test_each_of_several_runs_drops_as_it_would_alone() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    inputs = jnp.ones((3, 13))
    together = jax.vmap(lambda key, x: Dropout(0.5).apply({}, x, deterministic=False, rngs={"dropout": key}))(
        keys, inputs
    )
    for key, one in zip(keys, together, strict=True):
        np.testing.assert_array_equal(
            Dropout(0.5).apply({}, inputs[0], deterministic=False, rngs={"dropout": key}), one
        )
