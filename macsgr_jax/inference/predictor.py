"""Predicts new conversations with trained networks: emotions, uncertainty, and the utterances that mattered."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from macsgr_jax.config import ModelConfig
from macsgr_jax.data.batching import order_by_length, pack_dialogues
from macsgr_jax.models import Network, build_network
from macsgr_jax.models.stream import STREAM, Cursor
from macsgr_jax.types import AnyArray, Batch, Params

RELATIONS = ("same speaker, past", "same speaker, future", "other speaker, past", "other speaker, future")
MIN_SLOTS = 16
# Conversations of up to this many utterances share rows, of up to this many slots.
SHARED_SLOTS = 128
# The slots that are predicted at once, unless a single row has more: what a draw needs of them fits the cache.
SLOTS_AT_ONCE = 256
# The utterances with the most attention that are reported; the others hardly count.
NUM_INFLUENCES = 5


class Turns(NamedTuple):
    """Standardised utterances of one conversation, U of them.

    Attributes:
        features: modality -> f32[U, D_m].
        available: modality -> bool[U].
        speakers: i32[U].
    """

    features: dict[str, np.ndarray]
    available: dict[str, np.ndarray]
    speakers: np.ndarray


class Link(NamedTuple):
    """Another utterance that a prediction depends on.

    Attributes:
        turn: its position in the conversation.
        weight: attention, or M^s of eq. 22, between 0 and 1.
        relation: one of RELATIONS.
    """

    turn: int
    weight: float
    relation: str


class Prediction(NamedTuple):
    """The prediction for one utterance.

    Attributes:
        probabilities: f32[C], calibrated where temperatures are given.
        weights: f32[M], fusion weights omega, modalities in alphabetical order.
        uncertainty: entropy of the mean over draws of the latent Gaussians, divided by log C: 0 is certain, 1 a guess.
        influences: the utterances that the semantic encoder attends to most.
        edges: the edges of the semantic graph that end in this utterance.
    """

    probabilities: np.ndarray
    weights: np.ndarray
    uncertainty: float
    influences: tuple[Link, ...]
    edges: tuple[Link, ...]


class Window(NamedTuple):
    """A part of a conversation that a network sees at once.

    Attributes:
        first: the position of its first utterance.
        last: the position after its last utterance.
        predict_from: the position of the first utterance that is predicted from it.
        predict_to: the position after the last utterance that is predicted from it.
    """

    first: int
    last: int
    predict_from: int
    predict_to: int


class RowPredictions(NamedTuple):
    """The predictions for B rows of N slots, of which each attends to K: N in a batch, those of the window in a stream.

    Attributes:
        probabilities: f32[B, N, C].
        sampled: f32[B, N, C], the mean of the probabilities over draws of the latent Gaussians.
        weights: f32[M, B, N].
        attention: f32[B, N, K], the attention of the semantic encoder, mean over its heads; zero where it is ablated.
        similarity: f32[B, N, K], M^s of eq. 22.
    """

    probabilities: AnyArray
    sampled: AnyArray
    weights: AnyArray
    attention: AnyArray
    similarity: AnyArray


class Kept(NamedTuple):
    """What networks keep of the past of a stream; nothing in a batch. Several networks stand in front of each array.

    Attributes:
        encoded: the variables of `Network.encode`.
        decoded: the variables of `Network.decode`, for the means and for each draw of the latent Gaussians.
    """

    encoded: dict[str, Any]
    decoded: dict[str, Any]


def plan_windows(length: int, context: int, causal: bool) -> list[Window]:
    """Covers a conversation of any length with windows of bounded length that overlap by half.

    Args:
        length: U, the number of utterances.
        context: the maximal number of utterances of a window, a multiple of four.
        causal: whether each utterance has at least half a window before it; otherwise a quarter on each side.

    Returns:
        Windows that predict each utterance once; one window if all of it fits.
    """
    half = context // 2
    lead = half if causal else context // 4
    windows, first = [], 0
    while True:
        last = min(first + context, length)
        windows.append(
            Window(first, last, first + lead if first else 0, last if last == length else first + lead + half)
        )
        if last == length:
            return windows
        first += half


def choose_slots(length: int, context: int) -> int:
    """Chooses the slots of a row for a window: few numbers, so that few are compiled, doubling up to the context."""
    slots = MIN_SLOTS
    while slots < length:
        slots = min(2 * slots, context)
    return slots


def pack_windows(lengths: Sequence[int], context: int) -> dict[int, list[list[int]]]:
    """Packs windows into rows: short ones share rows, long ones lie in rows of about their own length.

    Args:
        lengths: the number of utterances of each window.
        context: the maximal number of utterances of a window.

    Returns:
        Number of slots of a row -> the windows of each such row.
    """
    sizes = np.array([choose_slots(length, context) for length in lengths])
    short = sizes <= SHARED_SLOTS
    slots = np.where(short, np.max(sizes, where=short, initial=0), sizes)
    counted = np.asarray(lengths)
    return {
        int(size): pack_dialogues(counted, int(size), order_by_length(counted, np.flatnonzero(slots == size)))
        for size in np.unique(slots)
    }


def predict_draws(
    params: Params,
    temperatures: Array,
    kept: Kept,
    batch: Batch,
    noise: Array,
    cursor: Cursor | None = None,
    *,
    network: Network,
) -> tuple[RowPredictions, Kept]:
    """Encodes once, and decodes the means and all draws of the latent Gaussians at once.

    Args:
        params: the weights of one network, or those of S networks, S in front of each array.
        temperatures: f32[] or f32[S], by which logits are divided.
        kept: what the networks keep of the past, in a stream.
        batch: the rows, or the newest utterances of a stream.
        noise: f32[draws, M, B, N, d_e], standard normal.
        cursor: where the newest utterances stand in a stream.
        network: the network.

    Returns:
        The mean of the networks' predictions, and what they keep.
    """

    def predict(params: Params, temperature: Array, kept: Kept) -> tuple[RowPredictions, Kept]:
        def apply(method: str, stream: dict[str, Any], *arguments: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
            variables = {"params": params, STREAM: stream}
            result, after = network.apply(variables, *arguments, method=method, mutable=[STREAM, "intermediates"])
            return result, after.get(STREAM, {}), after.get("intermediates", {})

        def decode(noise: Array, stream: dict[str, Any]) -> tuple[RowPredictions, dict[str, Any]]:
            output, stream, sown = apply("decode", stream, batch, encoded, noise, cursor)
            probabilities = jax.nn.softmax(output.logits / temperature)
            similarity = sown["similarity"][0]
            attention = jnp.zeros_like(similarity)
            if network.semantic is not None:
                attention = jnp.mean(sown["semantic"]["attention"][0], axis=1)
            return RowPredictions(probabilities, probabilities, output.weights, attention, similarity), stream

        encoded, encoding, _ = apply("encode", kept.encoded, batch, cursor)
        # The first draw is the mean itself.
        noises = jnp.concatenate([jnp.zeros_like(noise[:1]), noise])
        if cursor is None:  # One draw after the other: together they would not fit the cache of a processor.
            rows, decoding = jax.lax.map(lambda draw: decode(*draw), (noises, kept.decoded))
        else:
            rows, decoding = jax.vmap(decode)(noises, kept.decoded)
        sampled = jnp.mean(rows.sampled[1:], axis=0)
        return jax.tree.map(lambda values: values[0], rows)._replace(sampled=sampled), Kept(encoding, decoding)

    if not jnp.ndim(temperatures):  # A single network is spared the batch dimension.
        return predict(params, temperatures, kept)
    rows, after = jax.vmap(predict)(params, temperatures, kept)
    return jax.tree.map(lambda values: jnp.mean(values, axis=0), rows), after


@functools.partial(jax.jit, static_argnames=("network",))
def predict_rows(
    params: Params, temperatures: Array, batch: Batch, noise: Array, *, network: Network
) -> RowPredictions:
    """Predicts the utterances of some rows, as `predict_draws` describes."""
    return predict_draws(params, temperatures, Kept({}, {}), batch, noise, network=network)[0]


@functools.partial(jax.jit, static_argnames=("network", "samples", "modalities", "slots"))
def draw_noise(*, network: Network, samples: int, modalities: int, slots: int) -> Array:
    """Draws the noise of the latent Gaussians, the same for every conversation.

    Args:
        network: the network.
        samples: the number of draws.
        modalities: M.
        slots: the number N of slots of the row that a conversation alone lies in.

    Returns:
        f32[samples, M, N, d_e].
    """

    def draw(key: Array) -> Array:
        size = network.projection.features
        unused = {"prototypes": jnp.zeros((network.num_prototypes, size))}
        shape = (modalities, 1, slots, size)
        return network.apply({"params": unused}, shape, method="draw_noise", rngs={"sample": key})[:, 0]

    return jax.vmap(draw)(jax.random.split(jax.random.key(0), samples))


class Predictor:
    """Predicts with one or several networks, whose probabilities are averaged.

    Args:
        config: the configuration of the networks.
        num_classes: C, the number of emotions.
        params: the weights of each network.
        temperatures: the temperature of each network, for calibration.
        context: the maximal number of utterances that a network sees at once; rounded up to a multiple of four.
        samples: the number of draws of the latent Gaussians.
    """

    def __init__(
        self,
        config: ModelConfig,
        num_classes: int,
        params: Sequence[Params],
        temperatures: Sequence[float],
        context: int = 512,
        samples: int = 16,
    ) -> None:
        self.config = config
        self.context = max(4 * math.ceil(context / 4), MIN_SLOTS)
        self.network = build_network(config, num_classes)
        # A single network is spared the dimension of several.
        alone = len(params) == 1
        self.temperatures = np.asarray(temperatures[0] if alone else temperatures, np.float32)
        self.params: Params = jax.device_put(
            params[0] if alone else jax.tree.map(lambda *leaves: np.stack(leaves), *params)
        )
        self.samples = samples
        self._noise: dict[int, np.ndarray] = {}

    @property
    def widths(self) -> dict[str, int]:
        """Returns the number of features of each modality."""
        encoder = self.params["encoder"]
        inputs = {name.removeprefix("input_"): encoder[name] for name in encoder if name.startswith("input_")}
        return {name: inputs[name]["kernel"].shape[-2] for name in sorted(inputs)}

    def predict(self, turns: Turns) -> list[Prediction]:
        """Predicts every utterance of a whole conversation."""
        return self.predict_many([turns])[0]

    def predict_many(self, conversations: Sequence[Turns]) -> list[list[Prediction]]:
        """Predicts every utterance of some conversations, several of which share a row; each is predicted as alone."""
        if not conversations:
            return []
        placed = [
            (number, window)
            for number, turns in enumerate(conversations)
            for window in plan_windows(len(turns.speakers), self.context, self.config.causal)
        ]
        predictions: list[dict[int, Prediction]] = [{} for _ in conversations]
        for slots, packed in pack_windows([window.last - window.first for _, window in placed], self.context).items():
            rows = min(2 ** math.ceil(math.log2(len(packed))), max(1, SLOTS_AT_ONCE // slots))
            for start in range(0, len(packed), rows):
                filled = [
                    [(conversations[placed[index][0]], placed[index][1]) for index in row]
                    for row in packed[start : start + rows]
                ]
                found = self._predict_rows(filled, rows, slots)
                for row, described in zip(packed[start : start + rows], found, strict=True):
                    for index, ones in zip(row, described, strict=True):
                        number, window = placed[index]
                        predictions[number].update(enumerate(ones, window.predict_from))
        return [[found[turn] for turn in range(len(found))] for found in predictions]

    def draw_noise(self, slots: int) -> np.ndarray:
        """Returns the noise of a conversation in a row of some slots, f32[draws, M, N, d_e]."""
        if slots not in self._noise:
            shape = {"samples": self.samples, "modalities": len(self.widths), "slots": slots}
            self._noise[slots] = np.asarray(draw_noise(network=self.network, **shape))
        return self._noise[slots]

    def _predict_rows(
        self, filled: Sequence[Sequence[tuple[Turns, Window]]], rows: int, slots: int
    ) -> list[list[list[Prediction]]]:
        """Predicts the windows of some rows of some slots; those that are not filled are padding."""
        batch = place_windows(filled, rows, slots)
        noise = np.zeros((self.samples, len(batch.features), rows, slots, self.config.hidden_size), np.float32)
        for row, members in enumerate(filled):
            start = 0
            for _, window in members:
                length = window.last - window.first
                alone = self.context if self.config.causal else choose_slots(length, self.context)
                noise[:, :, row, start : start + length] = self.draw_noise(alone)[:, :, :length]
                start += length
        result = predict_rows(self.params, self.temperatures, batch, noise, network=self.network)
        found = RowPredictions(*map(np.asarray, result))
        described: list[list[list[Prediction]]] = []
        for row, members in enumerate(filled):
            described.append([])
            start = 0
            for turns, window in members:
                end = start + window.last - window.first
                speakers = turns.speakers[window.first : window.last]
                described[-1].append(
                    [
                        self.describe(found, row, start + slot, slice(start, end), slot, speakers, window.first)
                        for slot in range(window.predict_from - window.first, window.predict_to - window.first)
                    ]
                )
                start = end
        return described

    def describe(
        self,
        found: RowPredictions,
        row: int,
        column: int,
        window: slice,
        slot: int,
        speakers: np.ndarray,
        first: int,
    ) -> Prediction:
        """Describes the prediction for one utterance.

        Args:
            found: the predictions, on the host.
            row: the row of the utterance.
            column: its slot among the N of the row.
            window: the slots of its window among the K that are attended to.
            slot: its slot within the window.
            speakers: i32[...], the speakers of the window.
            first: the position of the window in the conversation.
        """
        sampled = found.sampled[row, column].astype(np.float64)
        entropy = -np.sum(sampled * np.log(np.maximum(sampled, 1e-12)))

        def link(other: int, weight: float) -> Link:
            relation = (0 if speakers[other] == speakers[slot] else 2) + int(other > slot)
            return Link(first + other, float(weight), RELATIONS[relation])

        attention = found.attention[row, column, window].copy()
        attention[slot] = 0.0
        most = np.argsort(-attention, kind="stable")[:NUM_INFLUENCES]
        near = range(max(slot - self.config.window_past, 0), min(slot + self.config.reach_future + 1, len(attention)))
        similarity = found.similarity[row, column, window]
        return Prediction(
            probabilities=found.probabilities[row, column],
            weights=found.weights[:, row, column],
            uncertainty=float(np.clip(entropy / np.log(len(sampled)), 0.0, 1.0)) if len(sampled) > 1 else 0.0,
            influences=tuple(link(int(other), attention[other]) for other in most if attention[other] > 0),
            edges=tuple(link(other, similarity[other]) for other in near if other != slot),
        )


def make_batch(turns: Turns, window: Window, slots: int) -> Batch:
    """Returns the row of a window, padded to its slots: a batch of NumPy arrays."""
    return place_windows([[(turns, window)]], 1, slots)


def place_windows(filled: Sequence[Sequence[tuple[Turns, Window]]], rows: int, slots: int) -> Batch:
    """Lays windows of conversations out in rows.

    Args:
        filled: the windows of each row that has any, with their conversations; they fit.
        rows: the number B of rows.
        slots: the number N of slots of a row.

    Returns:
        Batch of NumPy arrays, zero where padded.
    """
    turns = filled[0][0][0]

    def place(select: Callable[[Turns], np.ndarray]) -> AnyArray:
        like = select(turns)
        values = np.zeros((rows, slots, *like.shape[1:]), like.dtype)
        for row, members in enumerate(filled):
            start = 0
            for one, window in members:
                length = window.last - window.first
                values[row, start : start + length] = select(one)[window.first : window.last]
                start += length
        return values

    dialogue: AnyArray = np.full((rows, slots), -1, np.int32)
    labels: AnyArray = np.zeros((rows, slots), np.int32)
    for row, members in enumerate(filled):
        lengths = [window.last - window.first for _, window in members]
        dialogue[row, : sum(lengths)] = np.repeat(np.arange(len(lengths)), lengths)
    return Batch(
        features={name: place(_get("features", name)) for name in turns.features},
        available={name: place(_get("available", name)) for name in turns.available},
        speakers=place(lambda one: one.speakers.astype(np.int32)),
        labels=labels,
        dialogue=dialogue,
        mask=dialogue >= 0,
    )


def _get(field: str, name: str) -> Callable[[Turns], np.ndarray]:
    return lambda turns: getattr(turns, field)[name]
