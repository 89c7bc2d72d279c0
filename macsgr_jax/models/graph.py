"""The semantic graph of a dialogue (eq. 22) as a `jraph.GraphsTuple`, and its shortest paths."""

from typing import Literal

import jax.numpy as jnp
import jraph
import numpy as np
from jax import Array
from jax.export import is_symbolic_dim

from macsgr_jax.masking import safe_normalize
from macsgr_jax.models.stream import Cursor

# The sender has the same or another speaker, and lies in the past (or is the receiver itself) or in the future.
SAME_PAST, SAME_FUTURE, OTHER_PAST, OTHER_FUTURE = range(4)
NUM_RELATIONS = 4

# arccos has an infinite slope at 1, the cosine of every utterance with itself.
MAX_COSINE = 1.0 - 1e-6


def semantic_similarity(
    nodes: Array, form: Literal["scaled", "printed"] = "scaled", units: Array | None = None
) -> Array:
    """Computes M^s of eq. 22 between all slots of a row.

    Args:
        nodes: f32[B, N, d_f], the features of the slots.
        form: "scaled" is 1 - arccos(cos) / pi, between 0 and 1; "printed" is 1 - arccos(cos), negative for wide angles.
        units: f32[B, K, d_f], the features of the slots to compare with, of unit length; by default those of `nodes`.

    Returns:
        f32[B, N, K]; K is N by default.
    """
    unit = safe_normalize(nodes)
    cosine = jnp.clip(jnp.einsum("bid,bjd->bij", unit, unit if units is None else units), -MAX_COSINE, MAX_COSINE)
    angle = jnp.arccos(cosine)
    return 1.0 - angle / jnp.pi if form == "scaled" else 1.0 - angle


def build_semantic_graph(
    nodes: Array, similarity: Array, speakers: Array, dialogue: Array, mask: Array, *, past: int, future: int
) -> jraph.GraphsTuple:
    """Connects every slot with the `past` slots before it, itself, and the `future` slots after it.

    The shape is static: edges are sorted by receiver, and each receiver has one edge per offset of the window. Edges
    that leave the dialogue or touch padding are present but not valid.

    Args:
        nodes: f32[B, N, d_f], the features of the slots.
        similarity: f32[B, N, N], M^s.
        speakers: i32[B, N], the speaker of each slot.
        dialogue: i32[B, N], the dialogue of each slot.
        mask: bool[B, N], True where there is an utterance.
        past: Theta_p.
        future: Theta_f.

    Returns:
        One graph per row, with nodes f32[B * N, d_f]; edges, a dictionary of `relation` i32[E], `weight` f32[E] (M^s)
        and `valid` bool[E]; `senders` and `receivers` i32[E]; and E = B * N * (past + 1 + future).
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
        n_edge=jnp.full((rows,), slots * (past + 1 + future)),
        globals=None,
    )


def build_newest_graph(nodes: Array, similarity: Array, speakers: Array, cursor: Cursor) -> jraph.GraphsTuple:
    """Connects the newest utterance of each row of a stream with the past ones of its window and with itself.

    These are the edges of `build_semantic_graph` whose receiver is the newest utterance, in the same order.

    Args:
        nodes: f32[B, 1, d_f], the features of the newest utterances.
        similarity: f32[B, 1, N], M^s with all slots of the window.
        speakers: i32[B, W], the speakers of the newest W = Theta_p + 1 utterances, as a `Memory` keeps them.
        cursor: where the newest utterances stand.

    Returns:
        One graph per row, with nodes f32[B, d_f], the receivers; `senders` i32[B * W] count what layers remember of the
        newest W utterances of each row.
    """
    rows, width = speakers.shape
    row = jnp.arange(rows)[:, None]
    slot = cursor.slot[:, None] + jnp.arange(1 - width, 1)
    valid = slot >= 0
    same = speakers[row, slot % width] == speakers[row, cursor.slot[:, None] % width]
    weight = similarity[row, 0, jnp.where(valid, slot, 0)]
    return jraph.GraphsTuple(
        nodes=nodes[:, 0],
        edges={
            "relation": jnp.where(same, SAME_PAST, OTHER_PAST).reshape(-1),
            "weight": weight.reshape(-1),
            "valid": valid.reshape(-1),
        },
        senders=(row * width + slot % width).reshape(-1),
        receivers=jnp.broadcast_to(row, slot.shape).reshape(-1),
        n_node=jnp.ones((rows,), jnp.int32),
        n_edge=jnp.full((rows,), width),
        globals=None,
    )


def shortest_paths(slots: int, past: int, future: int) -> tuple[np.ndarray, np.ndarray] | tuple[Array, Array]:
    """Counts the hops from slot j to slot i in the window graph of one dialogue, which needs no search.

    Args:
        slots: N; the results are constants of a program where it is a number, and computed where it is symbolic.
        past: Theta_p.
        future: Theta_f.

    Returns:
        hops i32[N, N] (0 where unreachable) and reachable bool[N, N]. A window of 0 in one direction makes all slots
        of that direction unreachable.
    """
    library = jnp if is_symbolic_dim(slots) else np
    distance = library.arange(slots)[:, None] - library.arange(slots)[None, :]
    reach = library.where(distance > 0, past, future)
    reachable = (distance == 0) | (reach > 0)
    hops = -(-library.abs(distance) // library.maximum(reach, 1))
    return library.where(reachable, hops, 0).astype(library.int32), reachable
