"""Recurrent encoders of all modalities and both directions in one scan."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from macsgr_jax.config import Matmul
from macsgr_jax.models.products import dot_general_in


def dialogue_starts(dialogue: Array) -> Array:
    """True at each slot whose left neighbour belongs to another dialogue, or that has none.

    Args:
        dialogue: i32[B, N].

    Returns:
        bool[B, N].
    """
    first = jnp.ones_like(dialogue[:, :1], dtype=bool)
    return jnp.concatenate([first, dialogue[:, 1:] != dialogue[:, :-1]], axis=1)


def scan_gru(projected: Array, starts: Array, recurrent_kernel: Array, candidate_bias: Array) -> Array:
    """A gated recurrent unit over slots, for G recurrences at once; the state resets where a dialogue starts.

    Args:
        projected: f32[N, G, B, 3H], the inputs through their kernels: reset, update and candidate gate.
        starts: bool[N, G, B].
        recurrent_kernel: f32[G, H, 3H].
        candidate_bias: f32[G, H], added to the state's part of the candidate.

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

    start = jnp.zeros((*projected.shape[1:3], size), projected.dtype)
    return jax.lax.scan(step, start, (projected, starts))[1]


def _orthogonal_gates(key: Array, shape: tuple[int, int, int]) -> Array:
    groups, size, _ = shape
    # One orthogonal matrix a recurrence and gate, not one over all of them.
    keys = jax.random.split(key, groups * 3)
    blocks = jax.vmap(lambda one: nn.initializers.orthogonal()(one, (size, size)))(keys)
    return blocks.reshape(groups, 3, size, size).transpose(0, 2, 1, 3).reshape(groups, size, 3 * size)


class GRUEncoder(nn.Module):
    """f_theta and f_phi of the paper: a GRU a modality over the utterances of each dialogue.

    Attributes:
        hidden_size: d_e, over both directions together.
        causal: one direction only, forwards, of the whole d_e.
        matmul: precision of the product with the inputs' weights.
    """

    hidden_size: int
    causal: bool = False
    matmul: Matmul = "float32"

    @nn.compact
    def __call__(self, features: dict[str, Array], dialogue: Array, mask: Array) -> Array:
        """Encode every slot in the context of its dialogue.

        Args:
            features: modality -> f32[B, N, D_m].
            dialogue: i32[B, N].
            mask: bool[B, N].

        Returns:
            f32[M, B, N, d_e], modalities in alphabetical order; zero where padded.
        """
        directions = 1 if self.causal else 2
        size = self.hidden_size // directions
        rows, slots = dialogue.shape
        modalities = sorted(features)
        # The input's kernel stays outside the scan: one large product instead of N small ones.
        dense = functools.partial(nn.Dense, directions * 3 * size, dot_general=dot_general_in(self.matmul))
        projected = jnp.stack([dense(name=f"input_{name}")(features[name]) for name in modalities])
        projected = projected.reshape(len(modalities), rows, slots, directions, 3 * size).transpose(2, 0, 3, 1, 4)
        starts = jnp.stack([dialogue_starts(dialogue), dialogue_starts(dialogue[:, ::-1])][:directions])
        starts = jnp.broadcast_to(starts[None], (len(modalities), directions, rows, slots)).transpose(3, 0, 1, 2)
        projected = _flip_backward(projected)
        groups = len(modalities) * directions
        states = scan_gru(
            projected.reshape(slots, groups, rows, 3 * size),
            starts.reshape(slots, groups, rows),
            self.param("recurrent_kernel", _orthogonal_gates, (groups, size, 3 * size)),
            self.param("candidate_bias", nn.initializers.zeros, (groups, size)),
        )
        states = _flip_backward(states.reshape(slots, len(modalities), directions, rows, size))
        states = states.transpose(1, 3, 0, 2, 4).reshape(len(modalities), rows, slots, directions * size)
        return jnp.where(mask[None, :, :, None], states, 0.0)


def _flip_backward(values: Array) -> Array:
    """Reverse the slots (axis 0) of the second direction (axis 2), if there is one."""
    return jnp.concatenate([values[:, :, :1], values[::-1, :, 1:]], axis=2)
