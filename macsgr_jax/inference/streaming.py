"""Predicts conversations line by line while they go on, with causal networks: each utterance is computed alone."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from macsgr_jax.errors import InputError
from macsgr_jax.files import write_npz
from macsgr_jax.inference.predictor import Kept, Prediction, Predictor, RowPredictions, Turns, predict_draws
from macsgr_jax.models import Network
from macsgr_jax.models.stream import Cursor
from macsgr_jax.types import Batch, Params


class StreamState(NamedTuple):
    """What is kept of R conversations that go on.

    Attributes:
        lengths: i32[R], the number of utterances of each conversation so far.
        speakers: i32[R, context], the speaker of each conversation's utterance at each position modulo the context.
        windows: what the networks keep of the current windows, on the device. At first there is one; the second begins
            when a conversation grows longer than half a window.
    """

    lengths: np.ndarray
    speakers: np.ndarray
    windows: tuple[Kept, ...]


@functools.partial(jax.jit, static_argnames=("network",), donate_argnames=("kept",))
def predict_newest(
    params: Params, temperatures: Array, kept: Kept, batch: Batch, noise: Array, slot: Array, *, network: Network
) -> tuple[RowPredictions, Kept]:
    """Predicts the newest utterances of R conversations.

    Args:
        params: the weights of S networks, S in front of each array.
        temperatures: f32[S].
        kept: what the networks keep of the windows before these utterances; its buffers are reused.
        batch: the utterances, B = R and N = 1; the mask is False where a conversation has no new one.
        noise: f32[draws, M, N, d_e], the noise of each slot of a window.
        slot: i32[R], the slot of each utterance in its window; without a new one, that of the next.
        network: the network.

    Returns:
        The predictions, and what the networks keep.
    """
    at_slot = noise[:, :, slot][:, :, :, None]
    cursor = Cursor(slot, noise.shape[2])
    return predict_draws(params, temperatures, kept, batch, at_slot, cursor, network=network)


class StreamingPredictor:
    """Predicts each utterance of conversations that go on; an update takes the same time at any length.

    The prediction is that of `Predictor.predict` for the last utterance of the conversation so far, since it is made in
    the same windows of `context` utterances, each of which begins half a window after the one before. Of both windows
    that an utterance lies in, the networks keep what later utterances need, so that nothing is computed twice.

    Args:
        predictor: a predictor of causal networks; its program for one utterance is compiled at once.
        conversations: the number R of conversations, which are predicted as one batch.

    Attributes:
        state: what is kept of the conversations; its arrays are changed by each update.

    Raises:
        ValueError: the networks see future utterances.
    """

    def __init__(self, predictor: Predictor, conversations: int = 1) -> None:
        if not predictor.config.causal:
            raise ValueError("a network that is not causal cannot predict a conversation that goes on")
        self._predictor = predictor
        self._context = predictor.context
        self._noise = jax.device_put(predictor.draw_noise(self._context))
        lengths = np.zeros(conversations, np.int32)
        self.state = StreamState(lengths, np.zeros((conversations, self._context), np.int32), ())
        # A step without an utterance keeps nothing, and compiles the program.
        _, window = self._step(self._start_window(), self._place({}), lengths)
        self.state = self.state._replace(windows=(window,))

    def update(self, turn: Turns) -> Prediction:
        """Predicts the next utterance (U = 1) of the first conversation."""
        return self.update_many({0: turn})[0]

    def update_many(self, turns: Mapping[int, Turns]) -> dict[int, Prediction]:
        """Predicts the next utterances of some conversations.

        Args:
            turns: conversation, from 0 -> its next utterance (U = 1).

        Returns:
            Conversation -> the prediction for that utterance.
        """
        lengths, speakers, windows = self.state
        half = self._context // 2
        if len(windows) == 1 and any(lengths[one] >= half for one in turns):
            windows = (*windows, self._start_window())
        batch = self._place(turns)
        for one, turn in turns.items():
            speakers[one, lengths[one] % self._context] = turn.speakers[0]
        slots, found, after = [], [], []
        for number, kept in enumerate(windows):
            position = lengths - number * half  # Negative where the window does not exist yet.
            slot = (position % self._context).astype(np.int32)
            rows, kept = self._step(kept, batch._replace(mask=batch.mask & (position >= 0)[:, None]), slot)
            slots.append(np.where(position >= 0, slot, -1))
            found.append(rows)
            after.append(kept)
        oldest = np.argmax(slots, axis=0)
        rows = [RowPredictions(*map(np.asarray, one)) for one in found[: max(oldest[list(turns)], default=0) + 1]]
        predictions = {
            one: self._describe(rows[oldest[one]], one, int(slots[oldest[one]][one])) for one in turns
        }
        lengths[list(turns)] += 1
        self.state = StreamState(lengths, speakers, tuple(after))
        return predictions

    def restart(self, conversation: int) -> None:
        """Forgets a conversation, so that another one can take its place."""
        self.state.lengths[conversation] = 0

    def _describe(self, rows: RowPredictions, conversation: int, slot: int) -> Prediction:
        first = int(self.state.lengths[conversation]) - slot
        speakers = self.state.speakers[conversation, (first + np.arange(slot + 1)) % self._context]
        return self._predictor.describe(rows, conversation, 0, slice(0, slot + 1), slot, speakers, first)

    def _step(self, kept: Kept, batch: Batch, slot: np.ndarray) -> tuple[RowPredictions, Kept]:
        one = self._predictor
        return predict_newest(one.params, one.temperatures, kept, batch, self._noise, slot, network=one.network)

    def _place(self, turns: Mapping[int, Turns]) -> Batch:
        """Returns the next utterances as a batch with one slot per conversation."""
        rows = len(self.state.lengths)
        features = {name: np.zeros((rows, 1, width), np.float32) for name, width in self._predictor.widths.items()}
        available = {name: np.zeros((rows, 1), bool) for name in features}
        speakers, mask = np.zeros((rows, 1), np.int32), np.zeros((rows, 1), bool)
        for one, turn in turns.items():
            for name, values in features.items():
                values[one], available[name][one] = turn.features[name], turn.available[name]
            speakers[one], mask[one] = turn.speakers, True
        dialogue = np.where(mask, 0, -1).astype(np.int32)
        return Batch(features, available, speakers, np.zeros_like(speakers), dialogue, mask)

    def _start_window(self) -> Kept:
        """Returns what the networks keep of a window that has not begun: zeros."""
        one, batch = self._predictor, self._place({})
        arguments = (one.params, one.temperatures, Kept({}, {}), batch, self._noise, self.state.lengths)
        _, kept = jax.eval_shape(functools.partial(predict_newest, network=one.network), *arguments)
        return jax.device_put(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), kept))
