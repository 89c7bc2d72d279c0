"""The semantic encoder: attention over the whole dialogue with position and similarity in it (eqs. 24-26)."""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from macsgr_jax.config import Matmul
from macsgr_jax.masking import masked_softmax
from macsgr_jax.models.graph import shortest_paths
from macsgr_jax.models.products import dot_general_in


class SemanticEncoder(nn.Module):
    """Global structure, h^se.

    Attributes:
        size: features of the result, divided among the heads.
        heads: attention heads.
        past: Theta_p of the graph whose shortest paths count.
        future: Theta_f; with 0 nothing of the future is seen.
        max_hops: longer paths share one encoding.
        encoding: False leaves out eq. 24 (the ablation "w/o SPE").
        attended_value: eq. 26 with W_v g_j (neighbour), or as printed with W_v g_i (self), where the attention cancels.
        matmul: precision of the products with weights.
    """

    size: int
    heads: int
    past: int
    future: int
    max_hops: int
    encoding: bool
    attended_value: Literal["neighbour", "self"]
    matmul: Matmul = "float32"

    @nn.compact
    def __call__(self, nodes: Array, similarity: Array, allowed: Array) -> Array:
        """Encode.

        Args:
            nodes: f32[B, N, d_f].
            similarity: f32[B, N, N], M^s.
            allowed: bool[B, N, N], who may attend to whom.

        Returns:
            f32[B, N, size]; zero where padded.
        """
        hops, reachable = shortest_paths(nodes.shape[1], self.past, self.future)
        shape = (self.heads, self.size // self.heads)
        query, key, value = (
            nn.DenseGeneral(shape, use_bias=False, dot_general=dot_general_in(self.matmul), name=name)(nodes)
            for name in ("query", "key", "value")
        )
        logits = jnp.einsum("bihd,bjhd->bhij", query, key) / jnp.sqrt(shape[1])
        if self.encoding:
            hop_embedding = self.param("hop_embedding", nn.initializers.normal(0.02), (self.heads, self.max_hops + 1))
            position = hop_embedding[:, jnp.minimum(hops, self.max_hops)]  # M^p, a scalar a head.
            bias = similarity[:, None] + position[None]  # Eq. 24.
            logits = logits + bias  # Eq. 25.
        attention = masked_softmax(logits, (allowed & reachable)[:, None])
        self.sow("intermediates", "attention", attention)  # For whoever asks what an answer rests on.
        if self.attended_value == "neighbour":
            result = jnp.einsum("bhij,bjhd->bihd", attention, value)
        else:
            result = jnp.einsum("bhij,bihd->bihd", attention, value)
        if self.encoding:
            # Eq. 26: the bias is a scalar a head, added to each of its channels.
            result = result + jnp.einsum("bhij,bhij->bih", attention, bias)[..., None]
        return result.reshape(*nodes.shape[:2], self.size)
