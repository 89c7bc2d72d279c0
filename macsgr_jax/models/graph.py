"""The semantic graph of a dialogue (eq. 22), as a `jraph.GraphsTuple` or densely, and its shortest paths."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import jraph
import numpy as np
from jax import Array
from jax.export import is_symbolic_dim

from macsgr_jax.masking import safe_normalize

# Same or other speaker, each of the past (the utterance itself included) or the future.
SAME_PAST, SAME_FUTURE, OTHER_PAST, OTHER_FUTURE = range(4)
NUM_RELATIONS = 4

# arccos has an infinite slope at 1, the cosine of every utterance with itself.
MAX_COSINE = 1.0 - 1e-6


class DenseGraph(NamedTuple):
    """The window graph of short rows, where products with whole matrices are faster than sums over edges.

    Attributes:
        nodes: f32[B * N, d].
        shares: f32[B, N, R, N], 1 / |G_i^r| where j is in G_i^r, otherwise 0.
        weight: f32[B, N, N], M^s.
    """

    nodes: Array
    shares: Array
    weight: Array


def semantic_similarity(nodes: Array, form: Literal["scaled", "printed"] = "scaled") -> Array:
    """M^s of eq. 22 between all slots of a row.

    Args:
        nodes: f32[B, N, d_f].
        form: 1 - arccos(cos) / pi, between 0 and 1 (scaled); or 1 - arccos(cos), below 0 for wide angles (printed).

    Returns:
        f32[B, N, N].
    """
    unit = safe_normalize(nodes)
    cosine = jnp.clip(jnp.einsum("bid,bjd->bij", unit, unit), -MAX_COSINE, MAX_COSINE)
    angle = jnp.arccos(cosine)
    return 1.0 - angle / jnp.pi if form == "scaled" else 1.0 - angle


def build_semantic_graph(
    nodes: Array, similarity: Array, speakers: Array, dialogue: Array, mask: Array, *, past: int, future: int
) -> jraph.GraphsTuple:
    """The window graph: every slot hears the `past` slots before it, itself, and the `future` slots after it.

    The shape is static: each slot has an edge an offset of the window. Edges that leave the dialogue or touch padding
    are there, but not valid.

    Args:
        nodes: f32[B, N, d_f].
        similarity: f32[B, N, N], M^s.
        speakers: i32[B, N].
        dialogue: i32[B, N].
        mask: bool[B, N].
        past: Theta_p.
        future: Theta_f.

    Returns:
        One graph a row, nodes f32[B * N, d_f]; edges are a dictionary of `relation` i32[E], `weight` f32[E] (M^s) and
        `valid` bool[E]; `senders` and `receivers` i32[E]; E = B * N * (past + 1 + future).
    """
    rows, slots, size = nodes.shape
    speakers, dialogue, mask = jnp.asarray(speakers), jnp.asarray(dialogue), jnp.asarray(mask)
    row = jnp.arange(rows)[:, None, None]
    receiver = jnp.arange(slots)[:, None]
    offset = jnp.arange(-past, future + 1)[None, :]
    inside = (receiver + offset >= 0) & (receiver + offset < slots)
    sender = jnp.clip(receiver + offset, 0, slots - 1)

    valid = inside & (dialogue[:, sender] == dialogue[..., None]) & mask[:, sender] & mask[..., None]
    same = speakers[:, sender] == speakers[..., None]
    relation = jnp.where(same, SAME_PAST, OTHER_PAST) + (offset > 0)
    width = past + 1 + future
    return jraph.GraphsTuple(
        nodes=nodes.reshape(rows * slots, size),
        edges={
            "relation": relation.reshape(-1),
            "weight": similarity[row, receiver, sender].reshape(-1),
            "valid": valid.reshape(-1),
        },
        senders=jnp.broadcast_to(row * slots + sender, valid.shape).reshape(-1),
        receivers=jnp.broadcast_to(row * slots + receiver, valid.shape).reshape(-1),
        n_node=jnp.full((rows,), slots),
        n_edge=jnp.full((rows,), slots * width),
        globals=None,
    )


def build_dense_graph(
    nodes: Array, similarity: Array, speakers: Array, dialogue: Array, mask: Array, *, past: int, future: int
) -> DenseGraph:
    """The graph of `build_semantic_graph`, densely: memory grows with the square of the row's length.

    Args:
        nodes: f32[B, N, d_f].
        similarity: f32[B, N, N], M^s.
        speakers: i32[B, N].
        dialogue: i32[B, N].
        mask: bool[B, N].
        past: Theta_p.
        future: Theta_f.

    Returns:
        DenseGraph.
    """
    slots = nodes.shape[1]
    offset = np.arange(slots)[None, :] - np.arange(slots)[:, None]
    speakers, dialogue, mask = jnp.asarray(speakers), jnp.asarray(dialogue), jnp.asarray(mask)
    near = (offset >= -past) & (offset <= future)
    valid = near & (dialogue[:, :, None] == dialogue[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    same = speakers[:, :, None] == speakers[:, None, :]
    relation = jnp.where(same, SAME_PAST, OTHER_PAST) + (offset > 0)
    member = valid[:, :, None, :] & (relation[:, :, None, :] == np.arange(NUM_RELATIONS)[:, None])
    count = jnp.sum(member, axis=-1, keepdims=True)
    shares = jnp.where(member, 1.0 / jnp.maximum(count, 1), 0.0)
    return DenseGraph(nodes.reshape(-1, nodes.shape[-1]), shares, similarity)


def shortest_paths(slots: int, past: int, future: int) -> tuple[np.ndarray, np.ndarray] | tuple[Array, Array]:
    """Hops from slot j to slot i in a dialogue's window graph; they need no search.

    Args:
        slots: N; constants of the program where it is a number, computed by the program where it is symbolic.
        past: Theta_p.
        future: Theta_f.

    Returns:
        hops i32[N, N] (0 where unreachable) and reachable bool[N, N]. With a window of 0 in one direction, nothing
        arrives from there.
    """
    library = jnp if is_symbolic_dim(slots) else np
    distance = library.arange(slots)[:, None] - library.arange(slots)[None, :]
    reach = library.where(distance > 0, past, future)
    reachable = (distance == 0) | (reach > 0)
    hops = -(-library.abs(distance) // library.maximum(reach, 1))
    return library.where(reachable, hops, 0).astype(library.int32), reachable
