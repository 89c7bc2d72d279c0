"""Uncertainty-aware fusion (Fig. 3): how much each modality counts, and attention between modalities (eqs. 14-21)."""

import functools
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from macsgr_jax.config import Matmul
from macsgr_jax.masking import safe_norm
from macsgr_jax.models.attention import attend
from macsgr_jax.models.products import dot_general_in


def fusion_weights(
    std: Array, available: Array, *, uncertainty: Literal["direct", "inverse"] = "direct", weighted: bool = True
) -> Array:
    """omega_m = |sigma_m| / sum |sigma|, eqs. 14-15, over the modalities that are available.

    Args:
        std: f32[M, B, N, d_e].
        available: bool[M, B, N].
        uncertainty: the weight grows with |sigma| as printed (direct), or with 1 / |sigma| (inverse).
        weighted: False gives every available modality the same weight (the ablation "w/o UW").

    Returns:
        f32[M, B, N], summing to one over M; zero where nothing is available.
    """
    norm = safe_norm(std) if weighted else jnp.ones(std.shape[:-1], std.dtype)
    positive = available & (norm > 0)
    informativeness = jnp.where(positive, norm, 1.0)
    if uncertainty == "inverse":
        informativeness = 1.0 / informativeness
    informativeness = jnp.where(positive, informativeness, 0.0)
    total = jnp.sum(informativeness, axis=0)
    return informativeness / jnp.where(total > 0, total, 1.0)


def split_evenly(size: int, parts: int) -> list[int]:
    """`parts` widths that differ by one at most and sum to `size`."""
    return [size // parts + (part < size % parts) for part in range(parts)]


class CrossModalFusion(nn.Module):
    """Weighted samples of every modality to one vector an utterance, eqs. 18-21.

    Every modality queries every other one (itself, if it is alone), a linear layer maps each modality's branch, and the
    branches are concatenated to d_f.

    Attributes:
        fused_size: d_f.
        heads: attention heads.
        interaction: False replaces the attention by a sum (the ablation "w/o CMI").
        residual: a linear path around the attention. Without it the attention over the dialogue loses which utterance
            is being classified.
        matmul: precision of the products with weights.
    """

    fused_size: int
    heads: int
    interaction: bool
    residual: bool
    matmul: Matmul = "float32"

    @nn.compact
    def __call__(self, weighted: Array, available: Array, allowed: Array) -> Array:
        """Fuse.

        Args:
            weighted: f32[M, B, N, d_e], X~ of eqs. 16-17.
            available: bool[M, B, N].
            allowed: bool[B, N, N], who attends to whom.

        Returns:
            f32[B, N, d_f].
        """
        modalities = weighted.shape[0]
        dense = functools.partial(nn.Dense, dot_general=dot_general_in(self.matmul))
        if not self.interaction:
            return dense(self.fused_size, name="sum_out")(jnp.sum(weighted, axis=0))
        branches = []
        for own, width in enumerate(split_evenly(self.fused_size, modalities)):
            others = [other for other in range(modalities) if other != own] or [own]
            branch = sum(self._interact(own, other, weighted, available, allowed) for other in others) / len(others)
            branch = dense(width, name=f"branch_{own}")(branch)
            if self.residual:
                # Differs from the paper: eq. 21 has no such path.
                branch = branch + dense(width, name=f"residual_{own}")(weighted[own])
            branches.append(branch)
        return jnp.concatenate(branches, axis=-1)

    def _interact(self, own: int, other: int, weighted: Array, available: Array, allowed: Array) -> Array:
        shape = (self.heads, self.fused_size // self.heads)
        dense = functools.partial(nn.DenseGeneral, shape, use_bias=False, dot_general=dot_general_in(self.matmul))
        query = dense(name=f"query_{own}_{other}")(weighted[own])  # Eq. 18.
        key = dense(name=f"key_{own}_{other}")(weighted[other])  # Eq. 19.
        value = dense(name=f"value_{own}_{other}")(weighted[other])  # Eq. 20.
        return attend(query, key, value, allowed & available[other][:, None, :])  # Eq. 21.
