"""The semantic encoder: attention over the whole dialogue, biased by position and similarity (eqs. 24-26)."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from macsgr_jax.masking import masked_softmax
from macsgr_jax.models.graph import shortest_paths
from macsgr_jax.models.products import DotGeneral
from macsgr_jax.models.stream import Cursor, Memory


class SemanticEncoder(nn.Module):
    """Attention over a dialogue, which sees its global structure: h^se.

    Attributes:
        size: number of features of the result, divided among the heads.
        heads: number of attention heads.
        past: Theta_p of the graph that has the shortest paths.
        future: Theta_f; 0 hides the future.
        max_hops: number of hops beyond which all paths share one encoding.
        encoding: whether logits and result have the bias of eq. 24; False is the ablation "w/o SPE".
        attended_value: "neighbour" sums W_v g_j in eq. 26, "self" W_v g_i as printed, where the attention cancels.
        dot_general: the product with weights, in its precision.
    """

    size: int
    heads: int
    past: int
    future: int
    max_hops: int
    encoding: bool = True
    attended_value: Literal["neighbour", "self"] = "neighbour"
    dot_general: DotGeneral = jax.lax.dot_general

    @nn.compact
    def __call__(self, nodes: Array, similarity: Array, allowed: Array, cursor: Cursor | None = None) -> Array:
        """Encodes every slot.

        Args:
            nodes: f32[B, N, d_f], the features of the slots.
            similarity: f32[B, N, N], M^s.
            allowed: bool[B, N, N], [row, i, j] for slot i attending to slot j.
            cursor: where the newest utterances stand in a stream, in which N is 1 but for the last axis of `similarity`
                and `allowed`.

        Returns:
            f32[B, N, size]; zero where padded.
        """
        hops, reachable = shortest_paths(allowed.shape[-1], self.past, self.future)
        if cursor is not None:
            hops, reachable = (jnp.asarray(table)[cursor.slot][:, None] for table in (hops, reachable))
        shape = (self.heads, self.size // self.heads)
        query, key, value = (
            nn.DenseGeneral(shape, use_bias=False, dot_general=self.dot_general, name=name)(nodes)
            for name in ("query", "key", "value")
        )
        own_value = value
        key, value = Memory(name="past_keys")(key, cursor), Memory(name="past_values")(value, cursor)
        logits = jnp.einsum("bihd,bjhd->bhij", query, key) / jnp.sqrt(shape[1])
        if self.encoding:
            hop_embedding = self.param("hop_embedding", nn.initializers.normal(0.02), (self.heads, self.max_hops + 1))
            position = hop_embedding[:, jnp.minimum(hops, self.max_hops)]  # M^p, one scalar per head.
            position = position[None] if cursor is None else position.swapaxes(0, 1)
            bias = similarity[:, None] + position  # Eq. 24.
            logits = logits + bias  # Eq. 25.
        attention = masked_softmax(logits, (allowed & reachable)[:, None])
        self.sow("intermediates", "attention", attention)  # Read by the predictor, to explain its predictions.
        if self.attended_value == "neighbour":
            result = jnp.einsum("bhij,bjhd->bihd", attention, value)
        else:
            result = jnp.einsum("bhij,bihd->bihd", attention, own_value)
        if self.encoding:
            # Eq. 26: the bias is one scalar per head, added to each of its channels.
            result = result + jnp.einsum("bhij,bhij->bih", attention, bias)[..., None]
        return result.reshape(*nodes.shape[:2], self.size)
