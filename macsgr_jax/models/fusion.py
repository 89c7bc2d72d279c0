"""Uncertainty-aware fusion (Fig. 3): the weight of each modality, and attention between modalities (eqs. 14-21)."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from macsgr_jax.masking import safe_divide, safe_norm
from macsgr_jax.models.attention import attend
from macsgr_jax.models.products import DotGeneral
from macsgr_jax.models.stream import Cursor, Memory


def fusion_weights(
    std: Array, available: Array, *, uncertainty: Literal["direct", "inverse"] = "direct", weighted: bool = True
) -> Array:
    """Computes omega_m = |sigma_m| / sum |sigma| of eqs. 14-15 over the modalities that are available.

    Args:
        std: f32[M, B, N, d_e], the standard deviations of the latent Gaussians.
        available: bool[M, B, N], False where a modality is missing or the slot is padding.
        uncertainty: "direct" has the weight grow with |sigma| as printed, "inverse" with 1 / |sigma|.
        weighted: False gives every available modality the same weight (the ablation "w/o UW").

    Returns:
        f32[M, B, N], which sums to one over M; zero where nothing is available.
    """
    norm = safe_norm(std) if weighted else jnp.ones(std.shape[:-1], std.dtype)
    informativeness = jnp.where(available, norm, 0.0)
    if uncertainty == "inverse":
        informativeness = safe_divide(1.0, informativeness)
    return safe_divide(informativeness, jnp.sum(informativeness, axis=0))  # Eqs. 14-15.


def split_evenly(size: int, parts: int) -> list[int]:
    """Returns `parts` widths that differ by at most one and sum to `size`."""
    return [size // parts + (part < size % parts) for part in range(parts)]


class CrossModalFusion(nn.Module):
    """Fuses the weighted samples of all modalities into one vector per utterance, eqs. 18-21.

    Every modality queries every other one (or itself, if there is no other), a linear layer maps the branch of each
    modality, and the branches are concatenated to d_f features.

    Attributes:
        fused_size: d_f.
        heads: number of attention heads.
        interaction: False replaces the attention by a sum (the ablation "w/o CMI").
        residual: whether a linear path leads around the attention. Without it the attention over the dialogue loses
            which utterance is being classified.
        dot_general: the product with weights, in its precision.
    """

    fused_size: int
    heads: int
    interaction: bool
    residual: bool
    dot_general: DotGeneral = jax.lax.dot_general

    @nn.compact
    def __call__(self, weighted: Array, available: Array, allowed: Array, cursor: Cursor | None = None) -> Array:
        """Fuses the modalities of every slot.

        Args:
            weighted: f32[M, B, N, d_e], X~ of eqs. 16-17.
            available: bool[M, B, N], False where a modality is missing or the slot is padding.
            allowed: bool[B, N, N], [row, i, j] for slot i attending to slot j.
            cursor: where the newest utterances stand in a stream, in which `available` and the last axis of `allowed`
                have all slots of the window, and N is 1 elsewhere.

        Returns:
            f32[B, N, d_f].
        """
        modalities = weighted.shape[0]
        dense = functools.partial(nn.Dense, dot_general=self.dot_general)
        if not self.interaction:
            return dense(self.fused_size, name="sum_out")(jnp.sum(weighted, axis=0))
        branches = []
        for own, width in enumerate(split_evenly(self.fused_size, modalities)):
            others = [other for other in range(modalities) if other != own] or [own]
            interactions = (self._interact(own, other, weighted, available, allowed, cursor) for other in others)
            branch = sum(interactions) / len(others)
            branch = dense(width, name=f"branch_{own}")(branch)
            if self.residual:
                # Differs from the paper: eq. 21 has no such path.
                branch = branch + dense(width, name=f"residual_{own}")(weighted[own])
            branches.append(branch)
        return jnp.concatenate(branches, axis=-1)

    def _interact(
        self, own: int, other: int, weighted: Array, available: Array, allowed: Array, cursor: Cursor | None
    ) -> Array:
        shape = (self.heads, self.fused_size // self.heads)
        dense = functools.partial(nn.DenseGeneral, shape, use_bias=False, dot_general=self.dot_general)
        query = dense(name=f"query_{own}_{other}")(weighted[own])  # Eq. 18.
        key = dense(name=f"key_{own}_{other}")(weighted[other])  # Eq. 19.
        value = dense(name=f"value_{own}_{other}")(weighted[other])  # Eq. 20.
        key = Memory(name=f"past_keys_{own}_{other}")(key, cursor)
        value = Memory(name=f"past_values_{own}_{other}")(value, cursor)
        return attend(query, key, value, allowed & available[other][:, None, :])  # Eq. 21.
