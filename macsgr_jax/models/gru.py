"""Recurrent encoders of all modalities and both directions, as gated recurrent units in one scan."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from macsgr_jax.models.products import DotGeneral
from macsgr_jax.models.stream import STREAM, Cursor


def dialogue_starts(dialogue: Array) -> Array:
    """Returns where a dialogue starts: the left neighbour belongs to another dialogue, or there is none.

    Args:
        dialogue: i32[B, N], the dialogue of each slot.

    Returns:
        bool[B, N].
    """
    first = jnp.ones_like(dialogue[:, :1], dtype=bool)
    return jnp.concatenate([first, dialogue[:, 1:] != dialogue[:, :-1]], axis=1)


def scan_gru(
    projected: Array,
    starts: Array,
    recurrent_kernel: Array,
    candidate_bias: Array,
    before: Array | float = 0.0,
) -> Array:
    """Runs G gated recurrent units over the slots at once; a state is reset where a dialogue starts.

    Args:
        projected: f32[N, G, B, 3H], the inputs times their kernels: reset gate, update gate and candidate.
        starts: bool[N, G, B], True where a dialogue starts.
        recurrent_kernel: f32[G, H, 3H], the kernels of the states, with the gates in the same order.
        candidate_bias: f32[G, H], added to the state's part of the candidate.
        before: f32[G, B, H], the state before the first slot.

    Returns:
        f32[N, G, B, H], the state after each slot.
    """
    size = candidate_bias.shape[-1]

    def step(state: Array, slot: tuple[Array, Array]) -> tuple[Array, Array]:
        inputs, start = slot
        state = jnp.where(start[..., None], 0.0, state)
        recurrent = jnp.einsum("gbh,ghk->gbk", state, recurrent_kernel)
        reset, update = jnp.split(nn.sigmoid(inputs[..., : 2 * size] + recurrent[..., : 2 * size]), 2, axis=-1)
        candidate = jnp.tanh(
            inputs[..., 2 * size :] + reset * (recurrent[..., 2 * size :] + candidate_bias[:, None, :])
        )
        state = (1.0 - update) * candidate + update * state
        return state, state

    before = jnp.broadcast_to(jnp.asarray(before, projected.dtype), (*projected.shape[1:3], size))
    return jax.lax.scan(step, before, (projected, starts))[1]


def _orthogonal_gates(key: Array, shape: tuple[int, int, int]) -> Array:
    groups, size, _ = shape
    # One orthogonal matrix per recurrence and gate, not one over all of them.
    keys = jax.random.split(key, groups * 3)
    blocks = jax.vmap(lambda one: nn.initializers.orthogonal()(one, (size, size)))(keys)
    return blocks.reshape(groups, 3, size, size).transpose(0, 2, 1, 3).reshape(groups, size, 3 * size)


class GRUEncoder(nn.Module):
    """f_theta and f_phi of the paper: one GRU per modality over the utterances of each dialogue.

    Attributes:
        hidden_size: d_e, the features of both directions together.
        causal: whether there is a forward direction only, of all d_e features.
        dot_general: the product with the inputs' weights, in its precision.
    """

    hidden_size: int
    causal: bool = False
    dot_general: DotGeneral = jax.lax.dot_general

    @nn.compact
    def __call__(self, features: dict[str, Array], dialogue: Array, mask: Array, cursor: Cursor | None = None) -> Array:
        """Encodes every slot in the context of its dialogue.

        Args:
            features: modality -> f32[B, N, D_m].
            dialogue: i32[B, N], the dialogue of each slot.
            mask: bool[B, N], True where there is an utterance.
            cursor: where the newest utterances stand in a stream, in which N is 1 and the state before them is kept.

        Returns:
            f32[M, B, N, d_e], modalities in alphabetical order; zero where padded.
        """
        directions = 1 if self.causal else 2
        size = self.hidden_size // directions
        rows, slots = dialogue.shape
        modalities = sorted(features)
        groups = len(modalities) * directions
        # The input's kernel stays outside the scan: one large product instead of N small ones.
        dense = functools.partial(nn.Dense, directions * 3 * size, dot_general=self.dot_general)
        projected = jnp.stack([dense(name=f"input_{name}")(features[name]) for name in modalities])
        projected = projected.reshape(len(modalities), rows, slots, directions, 3 * size).transpose(2, 0, 3, 1, 4)
        starts = jnp.stack([dialogue_starts(dialogue), dialogue_starts(dialogue[:, ::-1])][:directions])
        before: Array | float = 0.0
        if cursor is not None:
            state = self.variable(STREAM, "state", jnp.zeros, (groups, rows, size))
            starts, before = (cursor.slot == 0)[None, :, None], state.value
        starts = jnp.broadcast_to(starts[None], (len(modalities), directions, rows, slots)).transpose(3, 0, 1, 2)
        projected = _flip_backward(projected)
        states = scan_gru(
            projected.reshape(slots, groups, rows, 3 * size),
            starts.reshape(slots, groups, rows),
            self.param("recurrent_kernel", _orthogonal_gates, (groups, size, 3 * size)),
            self.param("candidate_bias", nn.initializers.zeros, (groups, size)),
            before,
        )
        if cursor is not None:
            state.value = jnp.where(mask[:, 0, None], states[-1], state.value)
        states = _flip_backward(states.reshape(slots, len(modalities), directions, rows, size))
        states = states.transpose(1, 3, 0, 2, 4).reshape(len(modalities), rows, slots, directions * size)
        return jnp.where(mask[None, :, :, None], states, 0.0)


def _flip_backward(values: Array) -> Array:
    """Reverses the slots (axis 0) of the second direction (axis 2), if there is one."""
    return jnp.concatenate([values[:, :, :1], values[::-1, :, 1:]], axis=2)
