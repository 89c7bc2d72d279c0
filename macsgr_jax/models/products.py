"""The precision in which layers multiply by their weights: a `dot_general` for each value of `model.matmul`.

This is flax's own argument `dot_general`, and not its `dtype`: with `dtype=bfloat16` a layer also returns bfloat16, so
that attention, residual sums and layer norms between the layers would lose precision too.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from macsgr_jax.config import Matmul

DotGeneral = Callable[..., Array]


def bfloat16_dot_general(lhs: Array, rhs: Array, dimension_numbers: Any, **_: Any) -> Array:
    """Computes `jax.lax.dot_general` with both factors and the product rounded to bfloat16, forwards and backwards.

    Args:
        lhs: f32[...], the inputs of a layer.
        rhs: f32[...], its weights.
        dimension_numbers: the contracted and the batch dimensions, as `jax.lax.dot_general` takes them.

    Returns:
        f32[...]; weights, and everything between two layers, stay float32.
    """
    factors = lhs.astype(jnp.bfloat16), rhs.astype(jnp.bfloat16)
    return jax.lax.dot_general(*factors, dimension_numbers).astype(jnp.result_type(lhs, rhs))


# "float32" leaves the precision to the device: an accelerator may take fewer bits.
PRODUCTS: dict[Matmul, DotGeneral] = {"float32": jax.lax.dot_general, "bfloat16": bfloat16_dot_general}
