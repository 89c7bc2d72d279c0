"""Dropout from one random byte a feature: a quarter of the random bits of flax's own, which take longest on a CPU."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

BYTES_PER_WORD = 4
VALUES = 256


class Dropout(nn.Module):
    """Features are dropped at random, and the others scaled up so that the mean stays.

    Attributes:
        rate: share that is dropped, to the nearest 1 / 256.
    """

    rate: float

    @nn.compact
    def __call__(self, inputs: Array, *, deterministic: bool) -> Array:
        """Drop.

        Args:
            inputs: f32[...].
            deterministic: return the inputs as they are; otherwise the stream "dropout" decides.

        Returns:
            f32[...], as the inputs.
        """
        dropped = round(self.rate * VALUES)
        if deterministic or not dropped:
            return inputs
        words = -(-inputs.size // BYTES_PER_WORD)
        random = jax.random.bits(self.make_rng("dropout"), (words,), jnp.uint32)
        random = jax.lax.bitcast_convert_type(random, jnp.uint8).reshape(-1)[: inputs.size].reshape(inputs.shape)
        return jnp.where(random >= dropped, inputs / (1.0 - dropped / VALUES), 0.0)
