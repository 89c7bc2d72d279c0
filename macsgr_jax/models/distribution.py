"""The probability distribution encoder (Fig. 2): every utterance becomes a Gaussian."""

import functools

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from macsgr_jax.config import Matmul
from macsgr_jax.models.attention import attend
from macsgr_jax.models.products import dot_general_in
from macsgr_jax.types import Gaussian

LOG_STD_RANGE = (-7.0, 3.0)


class DistributionEncoder(nn.Module):
    """One modality's hidden states to means and standard deviations, with interactions among features and utterances.

    As in the encoder the paper borrows: linear, GELU and layer norm; multi-head self-attention inside the dialogue; the
    result split in halves, one for mu and one for log sigma, each through a perceptron; a residual on mu alone.

    Attributes:
        heads: heads of the attention.
        initial_std: where sigma starts. A large start drowns the signal in noise and training stalls.
        min_std: a floor under sigma.
        matmul: precision of the products with weights.

    Reference:
        Ji et al., MAP: Multimodal Uncertainty-Aware Vision-Language Pre-training Model, 2023.
    """

    heads: int
    initial_std: float
    min_std: float
    matmul: Matmul = "float32"

    @nn.compact
    def __call__(self, hidden: Array, allowed: Array) -> Gaussian:
        """Distributions of every slot.

        Args:
            hidden: f32[B, N, d_e].
            allowed: bool[B, N, N], who attends to whom.

        Returns:
            Gaussian of f32[B, N, d_e].
        """
        dense, dense_general = (
            functools.partial(layer, dot_general=dot_general_in(self.matmul)) for layer in (nn.Dense, nn.DenseGeneral)
        )
        size = hidden.shape[-1]
        width = 2 * size
        inner = nn.LayerNorm()(nn.gelu(dense(width, name="feed_forward")(hidden)))
        query, key, value = (
            # A bias of the keys would add the same to all logits of a query, which the softmax takes away again.
            dense_general((self.heads, width // self.heads), use_bias=name != "key", name=name)(inner)
            for name in ("query", "key", "value")
        )
        mean_half, std_half = jnp.split(attend(query, key, value, allowed), 2, axis=-1)
        mean = hidden + dense(size, name="mean_out")(nn.gelu(dense(size, name="mean_in")(mean_half)))
        log_std = dense(
            size,
            name="log_std_out",
            kernel_init=nn.initializers.normal(0.01),
            bias_init=nn.initializers.constant(jnp.log(self.initial_std)),
        )(nn.gelu(dense(size, name="log_std_in")(std_half)))
        return Gaussian(mean, jnp.exp(jnp.clip(log_std, *LOG_STD_RANGE)) + self.min_std)
