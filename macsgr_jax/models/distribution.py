"""The probability distribution encoder (Fig. 2), which maps every utterance to a Gaussian."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from macsgr_jax.models.attention import attend
from macsgr_jax.models.products import DotGeneral
from macsgr_jax.models.stream import Cursor, Memory
from macsgr_jax.types import Gaussian

LOG_STD_RANGE = (-7.0, 3.0)


class DistributionEncoder(nn.Module):
    """Maps one modality's hidden states to means and standard deviations, by attention among the utterances.

    It follows the encoder that the paper borrows: a linear layer, GELU and layer norm; multi-head self-attention inside
    the dialogue; the result is split into halves for mu and log sigma, each with a perceptron; a residual on mu alone.

    Attributes:
        heads: number of attention heads.
        initial_std: sigma before training. A large value drowns the signal in noise, and training stalls.
        min_std: lower bound of sigma.
        max_std: sigma approaches this bound smoothly; 0 has an exponential up to exp(3), whose large samples give rare
            gradients of a hundred times the usual norm.
        dot_general: the product with weights, in its precision.

    Reference:
        Ji et al., MAP: Multimodal Uncertainty-Aware Vision-Language Pre-training Model, 2023.
    """

    heads: int
    initial_std: float
    min_std: float
    max_std: float = 0.0
    dot_general: DotGeneral = jax.lax.dot_general

    @nn.compact
    def __call__(self, hidden: Array, allowed: Array, cursor: Cursor | None = None) -> Gaussian:
        """Computes the distribution of every slot.

        Args:
            hidden: f32[B, N, d_e], the hidden states of one modality.
            allowed: bool[B, N, N], [row, i, j] for slot i attending to slot j.
            cursor: where the newest utterances stand in a stream, in which N is 1 but for the last axis of `allowed`.

        Returns:
            Gaussian of f32[B, N, d_e].
        """
        dense = functools.partial(nn.Dense, dot_general=self.dot_general)
        dense_general = functools.partial(nn.DenseGeneral, dot_general=self.dot_general)
        size = hidden.shape[-1]
        width = 2 * size
        inner = nn.LayerNorm()(nn.gelu(dense(width, name="feed_forward")(hidden)))
        query, key, value = (
            # A bias of the keys would add the same number to all logits of a query, which the softmax cancels.
            dense_general((self.heads, width // self.heads), use_bias=name != "key", name=name)(inner)
            for name in ("query", "key", "value")
        )
        key, value = Memory(name="past_keys")(key, cursor), Memory(name="past_values")(value, cursor)
        mean_half, std_half = jnp.split(attend(query, key, value, allowed), 2, axis=-1)
        mean = hidden + dense(size, name="mean_out")(nn.gelu(dense(size, name="mean_in")(mean_half)))
        start = jnp.log(self.initial_std)
        if self.max_std:
            start = start - jnp.log1p(-self.initial_std / self.max_std)  # The bound lowers it to `initial_std`.
        log_std = dense(
            size,
            name="log_std_out",
            kernel_init=nn.initializers.normal(0.01),
            bias_init=nn.initializers.constant(start),
        )(nn.gelu(dense(size, name="log_std_in")(std_half)))
        if self.max_std:
            std = self.max_std * jax.nn.sigmoid(log_std - jnp.log(self.max_std))
        else:
            std = jnp.exp(jnp.clip(log_std, *LOG_STD_RANGE))
        return Gaussian(mean, std + self.min_std)
