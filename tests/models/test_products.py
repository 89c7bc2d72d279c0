"""Products in bfloat16: what is rounded, and where."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from macsgr_jax.config import Config, ModelConfig
from macsgr_jax.models import build_network
from macsgr_jax.models.products import PRODUCTS, bfloat16_dot_general
from tests.testing.tiny_network import PACKED, draw_table, gather, set_up

LAST_WITH_FIRST = (((1,), (0,)), ((), ()))


def round_to_bfloat16(values: np.ndarray) -> np.ndarray:
    return values.astype(ml_dtypes.bfloat16).astype(np.float32)


def test_factors_and_products_are_rounded_forwards_and_backwards() -> None:
    random = np.random.default_rng(0)
    one, other, slope = (random.normal(size=shape).astype(np.float32) for shape in ((4, 9), (9, 5), (4, 5)))
    product, differentiate = jax.vjp(lambda *factors: bfloat16_dot_general(*factors, LAST_WITH_FIRST), one, other)
    gradients = differentiate(jnp.asarray(slope))
    one, other, slope = map(round_to_bfloat16, (one, other, slope))
    for found, exact in zip((product, *gradients), (one @ other, slope @ other.T, one.T @ slope), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, round_to_bfloat16(np.asarray(found)))
        np.testing.assert_allclose(found, exact, rtol=2**-8, atol=2**-8)
        assert np.abs(found - exact).max() > 1e-4  # The sum is rounded too.


def test_float32_is_the_product_of_jax() -> None:
    assert PRODUCTS["float32"] is jax.lax.dot_general


@pytest.mark.parametrize("matmul", ["float32", "bfloat16"])
def test_precision_of_every_product(tiny_model: ModelConfig, matmul: str) -> None:
    """Every product with a layer's weights has the asked precision, and no other has it."""
    network = build_network(dataclasses.replace(tiny_model, matmul=matmul), 4)
    batch = gather(draw_table(2), PACKED)
    params = jax.eval_shape(network.init, jax.random.key(0), batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    layers = sum(path[-1].key == "kernel" for path, _ in jax.tree.leaves_with_path(params))
    program = str(jax.make_jaxpr(network.apply)(params, batch))
    rounded = sum(":bf16" in line.split("=")[0] for line in program.splitlines() if "= dot_general[" in line)
    assert rounded == (layers if matmul == "bfloat16" else 0)


def test_the_network_is_nearly_the_same_in_bfloat16(
    tiny_model: ModelConfig, make_params: Callable[..., Any], jit_quickly: Callable[..., Any]
) -> None:
    base, rounded = (
        set_up(2, Config(model=dataclasses.replace(tiny_model, matmul=matmul)), make_params, jit_quickly)
        for matmul in ("float32", "bfloat16")
    )
    (one, _, slopes), (other, _, rounded_slopes) = (
        setup.evaluate(gather(setup.table, PACKED)) for setup in (base, rounded)
    )
    assert 1e-4 < np.abs(one.logits - other.logits).max() < 0.02 * np.abs(one.logits).max()
    flat, rounded_flat = (
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]) for tree in (slopes, rounded_slopes)
    )
    assert np.linalg.norm(flat - rounded_flat) < 0.05 * np.linalg.norm(flat)
