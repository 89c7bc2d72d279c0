"""What a causal network keeps of the past of a conversation, so that only its newest utterance is computed."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

# The collection of Flax variables that holds what is kept, as "params" holds the weights.
STREAM = "stream"


@functools.partial(jax.tree_util.register_dataclass, data_fields=["slot"], meta_fields=["slots"])
@dataclasses.dataclass(frozen=True)
class Cursor:
    """Where the newest utterance of each conversation stands in what is kept of it.

    A batch of B rows has one slot then, the newest utterance; keys and values come from all N slots of the window.

    Attributes:
        slot: i32[B], the slot of the newest utterance, from 0; slot 0 begins a new window, which forgets what was kept.
        slots: the number N of slots of a window.
    """

    slot: Array
    slots: int

    def visible(self) -> Array:
        """Returns which slots of the window are filled, those of the newest utterance and its past: bool[B, 1, N]."""
        return (jnp.arange(self.slots) <= self.slot[:, None])[:, None, :]


class Memory(nn.Module):
    """Keeps the values of the past for a stream, in the collection "stream"; in a batch it does nothing.

    Attributes:
        slots: the number of utterances that are kept, the newest ones, as a ring; None keeps all slots of a window.
    """

    slots: int | None = None

    @nn.compact
    def __call__(self, values: Array, cursor: Cursor | None) -> Array:
        """Adds the values of the newest utterances to those of the past.

        Args:
            values: [B, 1, ...] in a stream, [B, N, ...] in a batch.
            cursor: where the newest utterances stand; None in a batch.

        Returns:
            The values of all slots that are kept, [B, slots, ...]; those that were not filled since the window began
            are arbitrary. In a batch, `values` itself.
        """
        if cursor is None:
            return values
        rows, slots = values.shape[0], cursor.slots if self.slots is None else self.slots
        # The slots are the last axis, where attention multiplies by them without a copy.
        newest = jnp.moveaxis(values, 1, -1)
        kept = self.variable(STREAM, "values", jnp.zeros, (*newest.shape[:-1], slots), values.dtype)
        place = kept.value.at[jnp.arange(rows), ..., cursor.slot % slots]
        kept.value = place.set(newest[..., 0], mode="promise_in_bounds", unique_indices=True)
        return jnp.moveaxis(kept.value, -1, 1)
