"""In which precision the layers multiply by their weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from macsgr_jax.config import Matmul


def dot_general_in(matmul: Matmul) -> Callable[..., Array]:
    """A `jax.lax.dot_general` for the `dot_general` of flax's layers.

    Args:
        matmul: "float32" leaves the precision to the device (an accelerator may take fewer bits); "bfloat16" rounds
            both factors and the product, forwards and backwards; weights and all that lies between stay float32.

    Returns:
        The function.
    """
    return jax.lax.dot_general if matmul == "float32" else _bfloat16_dot_general


def _bfloat16_dot_general(one: Array, other: Array, dimension_numbers: Any, **_: Any) -> Array:
    factors = one.astype(jnp.bfloat16), other.astype(jnp.bfloat16)
    return jax.lax.dot_general(*factors, dimension_numbers).astype(jnp.result_type(one, other))
