"""Predicts new conversations with trained networks: emotions, uncertainty, and the utterances that mattered."""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from macsgr_jax.config import ModelConfig
from macsgr_jax.models import Network, build_network
from macsgr_jax.models.graph import semantic_similarity
from macsgr_jax.training.checkpoint import Params
from macsgr_jax.types import Batch

RELATIONS = ("same speaker, past", "same speaker, future", "other speaker, past", "other speaker, future")
MIN_SLOTS = 16
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
    """The predictions for a row of N slots.

    Attributes:
        probabilities: f32[N, C].
        sampled: f32[N, C], the mean of the probabilities over draws of the latent Gaussians.
        weights: f32[M, N].
        attention: f32[N, N], the attention of the semantic encoder, mean over its heads; zero where it is ablated.
        similarity: f32[N, N], M^s of eq. 22.
    """

    probabilities: Array
    sampled: Array
    weights: Array
    attention: Array
    similarity: Array


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


@functools.partial(jax.jit, static_argnames=("network", "samples"))
def predict_row(
    params: Params, batch: Batch, temperature: Array, key: Array, *, network: Network, samples: int
) -> RowPredictions:
    """Predicts the utterances of one row with one network.

    Args:
        params: the weights.
        batch: the row, B = 1.
        temperature: f32[], by which logits are divided.
        key: PRNG key of the draws.
        network: the network.
        samples: the number of draws of the latent Gaussians.

    Returns:
        The predictions of its slots.
    """
    output, kept = network.apply({"params": params}, batch, mutable=["intermediates"])
    slots = batch.mask.shape[1]
    attention = jnp.zeros((slots, slots))
    if network.semantic is not None:
        attention = jnp.mean(kept["intermediates"]["semantic"]["attention"][0][0], axis=0)

    def draw(one: Array) -> Array:
        sampled = network.apply({"params": params}, batch, sample=True, rngs={"sample": one})
        return jax.nn.softmax(sampled.logits[0] / temperature)

    probabilities = jax.nn.softmax(output.logits[0] / temperature)
    sampled = jnp.mean(jax.lax.map(draw, jax.random.split(key, samples)), axis=0)
    similarity = semantic_similarity(output.nodes, network.similarity)[0]
    return RowPredictions(probabilities, sampled, output.weights[:, 0], attention, similarity)


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
        self._network = build_network(config, num_classes)
        self._runs = list(zip(params, temperatures, strict=True))
        self._samples = samples

    def predict(self, turns: Turns) -> list[Prediction]:
        """Predicts every utterance of a whole conversation."""
        predictions: list[Prediction] = []
        for window in plan_windows(len(turns.speakers), self.context, self.config.causal):
            predictions += self.predict_window(turns, window, self._choose_slots(window.last - window.first))
        return predictions

    def predict_window(self, turns: Turns, window: Window, slots: int) -> list[Prediction]:
        """Predicts the utterances of a window that are to be predicted from it, in a row of some slots."""
        length = window.last - window.first
        batch = make_batch(turns, window, slots)
        key = jax.random.key(0)
        rows = [
            predict_row(params, batch, jnp.float32(temperature), key, network=self._network, samples=self._samples)
            for params, temperature in self._runs
        ]
        mean = RowPredictions(
            *(np.mean([np.asarray(part) for part in parts], axis=0) for parts in zip(*rows, strict=True))
        )
        speakers = turns.speakers[window.first : window.last]
        return [
            self._describe(mean, speakers, slot, length, window.first)
            for slot in range(window.predict_from - window.first, window.predict_to - window.first)
        ]

    def _choose_slots(self, length: int) -> int:
        """Returns the slots of a row: few lengths, so that few are compiled, doubling up to the context.

        For causal networks it is the context, as in `StreamingPredictor`: draws differ with the length of the row.
        """
        slots = self.context if self.config.causal else MIN_SLOTS
        while slots < length:
            slots = min(2 * slots, self.context)
        return slots

    def _describe(self, row: RowPredictions, speakers: np.ndarray, slot: int, length: int, first: int) -> Prediction:
        sampled = np.asarray(row.sampled)[slot].astype(np.float64)
        entropy = -np.sum(sampled * np.log(np.maximum(sampled, 1e-12)))

        def link(other: int, weight: float) -> Link:
            relation = (0 if speakers[other] == speakers[slot] else 2) + int(other > slot)
            return Link(first + other, float(weight), RELATIONS[relation])

        attention = np.asarray(row.attention)[slot, :length].copy()
        attention[slot] = 0.0
        most = np.argsort(-attention, kind="stable")[:NUM_INFLUENCES]
        near = range(max(slot - self.config.window_past, 0), min(slot + self.config.reach_future + 1, length))
        similarity = np.asarray(row.similarity)[slot]
        return Prediction(
            probabilities=np.asarray(row.probabilities)[slot],
            weights=np.asarray(row.weights)[:, slot],
            uncertainty=float(np.clip(entropy / np.log(len(sampled)), 0.0, 1.0)) if len(sampled) > 1 else 0.0,
            influences=tuple(link(int(other), attention[other]) for other in most if attention[other] > 0),
            edges=tuple(link(other, similarity[other]) for other in near if other != slot),
        )


def make_batch(turns: Turns, window: Window, slots: int) -> Batch:
    """Returns the row of a window, padded to its slots."""
    length = window.last - window.first
    mask = np.arange(slots) < length

    def place(values: np.ndarray) -> Array:
        row = np.zeros((1, slots, *values.shape[1:]), values.dtype)
        row[0, :length] = values[window.first : window.last]
        return jnp.asarray(row)

    return Batch(
        features={name: place(values) for name, values in turns.features.items()},
        available={name: place(values) for name, values in turns.available.items()},
        speakers=place(turns.speakers.astype(np.int32)),
        labels=jnp.zeros((1, slots), jnp.int32),
        dialogue=jnp.where(mask, 0, -1).astype(jnp.int32)[None],
        mask=jnp.asarray(mask)[None],
    )
