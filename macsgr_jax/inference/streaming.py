"""Predicts conversations line by line while they go on, with causal networks: each utterance is computed alone."""

import functools
import json
import zipfile
import zlib
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
from macsgr_jax.types import AnyArray, Batch, Params

# Windows begin half a window after one another, so that each utterance lies in two of them. Both are rows of one batch:
# with a single row XLA would copy everything that is kept at every step, instead of writing in place.
WINDOWS = 2
FORMAT = "macsgr_jax.stream/1"


class StreamState(NamedTuple):
    """What is kept of R conversations that go on.

    Attributes:
        lengths: i32[R], the number of utterances of each conversation so far.
        speakers: i32[R, context], the speaker of each conversation's utterance at each position modulo the context.
        kept: what the networks keep of both current windows of each conversation, on the device, in 2 * R rows.
    """

    lengths: np.ndarray
    speakers: np.ndarray
    kept: Kept


@functools.partial(jax.jit, static_argnames=("network",), donate_argnames=("kept",))
def predict_newest(
    params: Params, temperatures: Array, kept: Kept, batch: Batch, noise: Array, slot: Array, *, network: Network
) -> tuple[RowPredictions, Kept]:
    """Predicts the newest utterances of conversations.

    Args:
        params: the weights of one network or several, as in `predict_draws`.
        temperatures: f32[] or f32[S].
        kept: what the networks keep of the windows before these utterances; its buffers are reused.
        batch: the utterances, N = 1; the mask is False where a row has no new one.
        noise: f32[draws, M, N, d_e], the noise of each slot of a window.
        slot: i32[B], the slot of each utterance in its window; without a new one, that of the next.
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
        predictor: a predictor of causal networks; its program for the next utterance is compiled at once.
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
        self.state = StreamState(lengths, np.zeros((conversations, self._context), np.int32), Kept({}, {}))
        nothing, slots = self._place({}), self._find_slots()
        one = predictor
        step = functools.partial(predict_newest, network=one.network)
        _, shapes = jax.eval_shape(step, one.params, one.temperatures, Kept({}, {}), nothing, self._noise, slots)
        kept = jax.device_put(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes))
        # A step without an utterance compiles the program, and what it writes is written over by the next one.
        _, kept = step(one.params, one.temperatures, kept, nothing, self._noise, slots)
        self.state = self.state._replace(kept=kept)

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
        lengths, speakers, kept = self.state
        for conversation, turn in turns.items():
            speakers[conversation, lengths[conversation] % self._context] = turn.speakers[0]
        one, slots = self._predictor, self._find_slots()
        result, kept = predict_newest(
            one.params, one.temperatures, kept, self._place(turns), self._noise, slots, network=one.network
        )
        found = RowPredictions(*map(np.asarray, result))
        predictions = {}
        for conversation in turns:
            rows = conversation + np.arange(WINDOWS) * len(lengths)
            # The older window, except that the second one does not exist before half a window.
            row = rows[np.argmax(slots[rows]) if lengths[conversation] >= self._context // 2 else 0]
            predictions[conversation] = self._describe(found, int(row), conversation, int(slots[row]))
        lengths[list(turns)] += 1
        self.state = StreamState(lengths, speakers, kept)
        return predictions

    def restart(self, conversation: int) -> None:
        """Forgets a conversation, so that another one can take its place."""
        self.state.lengths[conversation] = 0

    def save(self, path: Path, about: dict[str, Any] | None = None) -> None:
        """Writes the state of all conversations to a pickle-free .npz, atomically.

        Args:
            path: the file to make or replace.
            about: plain values to keep beside it, such as the ids of the utterances.
        """
        arrays: dict[str, np.ndarray] = {
            f"kept/{name}": np.asarray(values) for name, values in self._name_kept().items()
        }
        head = {"format": FORMAT, "networks": self._checksum(), "about": about or {}}
        arrays |= {"lengths": self.state.lengths, "speakers": self.state.speakers, "head": np.array(json.dumps(head))}
        write_npz(path, arrays)

    def resume(self, path: Path) -> dict[str, Any]:
        """Goes on from a state that was saved.

        Args:
            path: a file of `save`.

        Returns:
            What was kept beside it.

        Raises:
            InputError: the file is no such state, or of other networks, another context or number of draws.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            head = json.loads(str(arrays["head"]))
            if head["format"] != FORMAT:
                raise ValueError(f"its format is {head['format']}")
            about, checksum = dict(head["about"]), head["networks"]
            state = StreamState(arrays["lengths"], arrays["speakers"], self.state.kept)
        except FileNotFoundError:
            raise InputError(f"{path} does not exist: give a state that was saved") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path} is not the state of a stream ({error}): remove it, and begin again") from None
        wanted: dict[str, AnyArray] = {"lengths": self.state.lengths, "speakers": self.state.speakers}
        wanted |= {f"kept/{name}": values for name, values in self._name_kept().items()}
        found = {name: values.shape for name, values in arrays.items() if name != "head"}
        if checksum != self._checksum() or found != {name: values.shape for name, values in wanted.items()}:
            raise InputError(
                f"{path} was saved by other networks, or with another --context or --samples: give the same ones, or"
                " another file"
            )
        leaves = [arrays[f"kept/{name}"] for name in self._name_kept()]
        kept = jax.device_put(jax.tree.unflatten(jax.tree.structure(self.state.kept), leaves))
        self.state = state._replace(kept=kept)
        return about

    def _name_kept(self) -> dict[str, Array]:
        """Returns the arrays of `state.kept` by name, in the order of the tree."""
        leaves = jax.tree_util.tree_leaves_with_path(self.state.kept)
        return {jax.tree_util.keystr(path, simple=True, separator="/"): values for path, values in leaves}

    def _checksum(self) -> int:
        """Returns a number that tells networks from others, with their configuration and temperatures."""
        checksum = zlib.crc32(repr((self._predictor.config, self._predictor.temperatures.tolist())).encode())
        for leaf in jax.tree.leaves(self._predictor.params):
            checksum = zlib.crc32(np.ascontiguousarray(leaf).data, checksum)
        return checksum

    def _find_slots(self) -> np.ndarray:
        """Returns the slot of the next utterance of each conversation in the first windows and in the second, i32[2R].

        Before half a window, what the second window is given does not matter: its slot 0 forgets it.
        """
        begin = np.arange(WINDOWS)[:, None] * (self._context // WINDOWS)
        return ((self.state.lengths - begin) % self._context).astype(np.int32).reshape(-1)

    def _describe(self, found: RowPredictions, row: int, conversation: int, slot: int) -> Prediction:
        first = int(self.state.lengths[conversation]) - slot
        speakers = self.state.speakers[conversation, (first + np.arange(slot + 1)) % self._context]
        return self._predictor.describe(found, row, 0, slice(0, slot + 1), slot, speakers, first)

    def _place(self, turns: Mapping[int, Turns]) -> Batch:
        """Returns the next utterances as a batch with one slot, once for each window."""
        rows = len(self.state.lengths)
        features: dict[str, AnyArray] = {
            name: np.zeros((rows, 1, width), np.float32) for name, width in self._predictor.widths.items()
        }
        available: dict[str, AnyArray] = {name: np.zeros((rows, 1), bool) for name in features}
        speakers: AnyArray = np.zeros((rows, 1), np.int32)
        mask: AnyArray = np.zeros((rows, 1), bool)
        for one, turn in turns.items():
            for name, values in features.items():
                values[one], available[name][one] = turn.features[name], turn.available[name]
            speakers[one], mask[one] = turn.speakers, True
        dialogue: AnyArray = np.where(mask, 0, -1).astype(np.int32)
        batch = Batch(
            features=features,
            available=available,
            speakers=speakers,
            labels=np.zeros_like(speakers),
            dialogue=dialogue,
            mask=mask,
        )
        return jax.tree.map(lambda values: np.concatenate([values] * WINDOWS), batch)
