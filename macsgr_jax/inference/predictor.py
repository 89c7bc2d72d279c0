"""What trained networks say of a new conversation: answers, how sure they are, and what they rest on."""

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
SHORTEST_ROW = 16
# Of the edges and influences, those that are named; the rest hardly counts.
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
    """Another utterance that an answer rests on.

    Attributes:
        turn: its position in the conversation.
        weight: attention, or M^s of eq. 22, between 0 and 1.
        relation: one of RELATIONS.
    """

    turn: int
    weight: float
    relation: str


class Answer(NamedTuple):
    """What is said of one utterance.

    Attributes:
        probabilities: f32[C], calibrated where temperatures are given.
        weights: f32[M], fusion weights omega, modalities in alphabetical order.
        uncertainty: entropy of the mean over draws of the latent Gaussians, over log C: 0 is sure, 1 is a guess.
        influences: the utterances that the semantic encoder attends to most.
        edges: of the semantic graph, towards this utterance.
    """

    probabilities: np.ndarray
    weights: np.ndarray
    uncertainty: float
    influences: tuple[Link, ...]
    edges: tuple[Link, ...]


class Window(NamedTuple):
    """A stretch of a conversation that is looked at together.

    Attributes:
        first: its first utterance.
        last: the one after its last.
        answer_from: the first one that is answered from it.
        answer_to: the one after the last that is answered from it.
    """

    first: int
    last: int
    answer_from: int
    answer_to: int


class Said(NamedTuple):
    """What networks say of a row of N slots.

    Attributes:
        probabilities: f32[N, C].
        sampled: f32[N, C], the mean over draws of the latent Gaussians.
        weights: f32[M, N].
        attention: f32[N, N], of the semantic encoder, mean over its heads; zero where that is ablated.
        similarity: f32[N, N], M^s.
    """

    probabilities: Array
    sampled: Array
    weights: Array
    attention: Array
    similarity: Array


def plan_windows(length: int, context: int, causal: bool) -> list[Window]:
    """Cover a conversation of any length with windows of bounded length that overlap by half.

    Args:
        length: U.
        context: the most utterances of a window; a multiple of four.
        causal: each utterance has at least half a window before it, otherwise a quarter on each side.

    Returns:
        Windows that answer each utterance once; one window if all of it fits.
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
def examine(params: Params, batch: Batch, temperature: Array, key: Array, *, network: Network, samples: int) -> Said:
    """What one network says of one row.

    Args:
        params: its weights.
        batch: B = 1.
        temperature: f32[], by which logits are divided.
        key: PRNG key of the draws.
        network: the network.
        samples: draws of the latent Gaussians.

    Returns:
        Said.
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
    return Said(probabilities, sampled, output.weights[:, 0], attention, similarity)


class Predictor:
    """Networks that answer together: their probabilities are averaged.

    Args:
        config: of all of them.
        num_classes: C.
        params: the weights of each.
        temperatures: of each, for calibration.
        context: the most utterances that are looked at together; rounded up to a multiple of four.
        samples: draws of the latent Gaussians.
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
        self.context = max(4 * math.ceil(context / 4), SHORTEST_ROW)
        self._network = build_network(config, num_classes)
        self._runs = list(zip(params, temperatures, strict=True))
        self._samples = samples

    def answer(self, turns: Turns) -> list[Answer]:
        """The answers to a whole conversation."""
        answers: list[Answer] = []
        for window in plan_windows(len(turns.speakers), self.context, self.config.causal):
            answers += self.answer_window(turns, window, self._choose_slots(window.last - window.first))
        return answers

    def answer_window(self, turns: Turns, window: Window, slots: int) -> list[Answer]:
        """The answers that a window gives, from a row of some slots."""
        length = window.last - window.first
        batch = make_batch(turns, window, slots)
        key = jax.random.key(0)
        said = [
            examine(params, batch, jnp.float32(temperature), key, network=self._network, samples=self._samples)
            for params, temperature in self._runs
        ]
        mean = Said(*(np.mean([np.asarray(part) for part in parts], axis=0) for parts in zip(*said, strict=True)))
        speakers = turns.speakers[window.first : window.last]
        return [
            self._describe(mean, speakers, slot, length, window.first)
            for slot in range(window.answer_from - window.first, window.answer_to - window.first)
        ]

    def _choose_slots(self, length: int) -> int:
        """Few lengths of rows, so that few are compiled: doubling up to the context.

        For causal networks it is the context, as in `StreamingPredictor`: draws differ with the length of the row.
        """
        slots = self.context if self.config.causal else SHORTEST_ROW
        while slots < length:
            slots = min(2 * slots, self.context)
        return slots

    def _describe(self, said: Said, speakers: np.ndarray, slot: int, length: int, first: int) -> Answer:
        sampled = np.asarray(said.sampled)[slot].astype(np.float64)
        entropy = -np.sum(sampled * np.log(np.maximum(sampled, 1e-12)))

        def link(other: int, weight: float) -> Link:
            relation = (0 if speakers[other] == speakers[slot] else 2) + int(other > slot)
            return Link(first + other, float(weight), RELATIONS[relation])

        attention = np.asarray(said.attention)[slot, :length].copy()
        attention[slot] = 0.0
        most = np.argsort(-attention, kind="stable")[:NUM_INFLUENCES]
        near = range(max(slot - self.config.window_past, 0), min(slot + self.config.reach_future + 1, length))
        similarity = np.asarray(said.similarity)[slot]
        return Answer(
            probabilities=np.asarray(said.probabilities)[slot],
            weights=np.asarray(said.weights)[:, slot],
            uncertainty=float(np.clip(entropy / np.log(len(sampled)), 0.0, 1.0)) if len(sampled) > 1 else 0.0,
            influences=tuple(link(int(other), attention[other]) for other in most if attention[other] > 0),
            edges=tuple(link(other, similarity[other]) for other in near if other != slot),
        )


def make_batch(turns: Turns, window: Window, slots: int) -> Batch:
    """The row of a window, filled up to its slots."""
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
