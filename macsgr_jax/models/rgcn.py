"""The syntactic encoder: relational graph convolutions over the semantic graph (eq. 23)."""

import jax.numpy as jnp
import jraph
from flax import linen as nn
from jax import Array

from macsgr_jax.config import Matmul
from macsgr_jax.models.dropout import Dropout
from macsgr_jax.models.graph import NUM_RELATIONS, DenseGraph
from macsgr_jax.models.products import dot_general_in


def aggregate_by_relation(graph: jraph.GraphsTuple | DenseGraph, weighted: bool = True) -> Array:
    """Sum over j in G_i^r of M^s_ij g_j / |G_i^r| for every node i and relation r, from eq. 23.

    Args:
        graph: of `build_semantic_graph` or `build_dense_graph`, n nodes of d features; the numbers are the same.
        weighted: False lets every edge weigh one (the ablation "w/o SEW").

    Returns:
        f32[n, R, d]; zero for a relation without edges.
    """
    if isinstance(graph, DenseGraph):
        rows, slots, relations, _ = graph.shares.shape
        shares = graph.shares * graph.weight[:, :, None, :] if weighted else graph.shares
        nodes = graph.nodes.reshape(rows, slots, -1)
        return jnp.einsum("birj,bjd->bird", shares, nodes).reshape(rows * slots, relations, -1)
    nodes, edges = graph.nodes, graph.edges
    group = graph.receivers * NUM_RELATIONS + edges["relation"]
    groups = nodes.shape[0] * NUM_RELATIONS
    count = jraph.segment_sum(edges["valid"].astype(nodes.dtype), group, num_segments=groups)
    weight = jnp.where(edges["valid"], edges["weight"] if weighted else 1.0, 0.0)
    weight = weight / jnp.maximum(count, 1.0)[group]
    messages = weight[:, None] * nodes[graph.senders]
    return jraph.segment_sum(messages, group, num_segments=groups).reshape(-1, NUM_RELATIONS, nodes.shape[-1])


class RelationalConvolution(nn.Module):
    """One layer of eq. 23, before the activation.

    Attributes:
        size: features of the result.
        weighted: use the semantic edge weights.
        matmul: precision of the products with weights.
    """

    size: int
    weighted: bool
    matmul: Matmul = "float32"

    @nn.compact
    def __call__(self, graph: jraph.GraphsTuple | DenseGraph) -> Array:
        """Convolve.

        Args:
            graph: of `build_semantic_graph` or `build_dense_graph`, n nodes of d features.

        Returns:
            f32[n, size].
        """
        aggregated = aggregate_by_relation(graph, self.weighted)
        product = dot_general_in(self.matmul)
        by_relation = nn.DenseGeneral(self.size, axis=(-2, -1), use_bias=False, dot_general=product, name="relation")
        own = nn.Dense(self.size, dot_general=product, name="own")
        return by_relation(aggregated) + own(graph.nodes)  # W_r and W_0.


class SyntacticEncoder(nn.Module):
    """Two relational graph convolutions: local structure, h^sy.

    Attributes:
        size: features of the result.
        weighted: use the semantic edge weights.
        residual: a path around the first layer.
        dropout: between the layers.
        matmul: precision of the products with weights.
    """

    size: int
    weighted: bool
    residual: bool
    dropout: float
    matmul: Matmul = "float32"

    @nn.compact
    def __call__(self, graph: jraph.GraphsTuple | DenseGraph, *, train: bool) -> Array:
        """Encode.

        Args:
            graph: of `build_semantic_graph` or `build_dense_graph`, n nodes of d features.
            train: whether dropout is on.

        Returns:
            f32[n, size].
        """
        first = RelationalConvolution(graph.nodes.shape[-1], self.weighted, self.matmul, name="layer_1")
        second = RelationalConvolution(self.size, self.weighted, self.matmul, name="layer_2")
        hidden = nn.relu(first(graph))
        if self.residual:
            # Differs from the paper: eq. 23 has W_0 g_i alone for this.
            hidden = hidden + graph.nodes
        hidden = Dropout(self.dropout)(hidden, deterministic=not train)
        return nn.relu(second(graph._replace(nodes=hidden)))
