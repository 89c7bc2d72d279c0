"""The scale curve: time and memory per utterance against dialogue length, batch and corpus.

Points run one after another in one process. The memory of a point is read from its compiled program before any array of
its size is allocated: that is exact, and a point that would not fit is skipped with a note.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark.corpus_shapes import Shape, draw_lengths
from experiments.benchmark.jax_training import compile_program
from macsgr_jax.config import Config
from macsgr_jax.data.batching import epoch_rows
from macsgr_jax.models import build_network
from macsgr_jax.training.step import init_state, train_epoch
from macsgr_jax.types import Utterances

# Along the axis "corpus" an epoch ends after so many steps.
MAX_STEPS = 8
REPEATED = 997


@dataclasses.dataclass(frozen=True)
class Axes:
    """The points to measure along each axis.

    Attributes:
        lengths: numbers of utterances per dialogue, with `slots` utterances per step.
        slots: the number of utterances per step along `lengths`.
        batches: numbers of dialogues per step, each of `batch_length` utterances.
        batch_length: the number of utterances per dialogue along `batches`.
        corpora: numbers of utterances of a corpus with dialogue lengths of the shape, in steps of the default batch.
        rounds: the number of calls whose median is a time.
    """

    lengths: tuple[int, ...]
    slots: int
    batches: tuple[int, ...]
    batch_length: int
    corpora: tuple[int, ...]
    rounds: int


FULL = Axes(tuple(2**n for n in range(4, 12)), 2048, tuple(2**n for n in range(9)), 32, (10**3, 10**4, 10**5, 10**6), 3)
QUICK = Axes((16, 32), 32, (2,), 16, (100,), 1)


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of the curve to measure.

    Attributes:
        axis: "length", "batch" or "corpus".
        position: the value on the axis.
        offsets: i64[dialogues + 1], offsets of the dialogues of the corpus.
        slots: N, the number of slots of a row.
        rows_per_step: B, the number of rows of a step.
    """

    axis: str
    position: int
    offsets: np.ndarray
    slots: int
    rows_per_step: int


def make_points(axes: Axes, shape: Shape) -> Iterator[Point]:
    """Yields the points, from the smallest to the largest of each axis."""
    for length in axes.lengths:
        rows = max(1, axes.slots // length)
        yield Point("length", length, length * np.arange(rows + 1), length, rows)
    for dialogues in axes.batches:
        yield Point("batch", dialogues, axes.batch_length * np.arange(dialogues + 1), axes.batch_length, dialogues)
    for utterances in axes.corpora:
        lengths = draw_lengths(shape, np.random.default_rng(0))
        lengths = np.resize(lengths, -(-utterances * len(lengths) // int(lengths.sum())))
        rows = max(1, round(16 * float(lengths.mean()) / shape.longest))
        yield Point("corpus", utterances, np.concatenate([[0], np.cumsum(lengths)]), shape.longest, rows)


class Scale:
    """Measures points of one network.

    Args:
        shape: the shape of the features, emotions and speakers, and of the lengths along the axis "corpus".
        config: the configuration of the training.
        limit: the maximum memory of a point in bytes.
        rounds: the number of calls whose median is a time.
    """

    def __init__(self, shape: Shape, config: Config, limit: int, rounds: int) -> None:
        self._shape, self._limit, self._rounds = shape, limit, rounds
        self._network = build_network(config.model, shape.num_classes)
        self._config = jax.tree.map(jnp.float32, config)
        # The weights have the same shapes at every point.
        start = (jax.random.key(0), self._make_utterances(np.array([0, 1])), jnp.zeros((1, 1), jnp.int32))
        self._state = init_state(*start, self._config, network=self._network)

    def measure(self, point: Point) -> dict[str, Any]:
        """Measures one point.

        Args:
            point: the point.

        Returns:
            Plain values: `skipped` with the reason, or the figures. `bytes_per_utterance` leaves out the weights and
            the optimiser, and counts the utterances of the whole corpus, which is one step along "length" and "batch".
        """
        utterances, dialogues = int(point.offsets[-1]), np.arange(len(point.offsets) - 1)
        start = time.perf_counter()
        rows = epoch_rows(point.offsets, dialogues, point.slots, point.rows_per_step, np.random.default_rng(0))
        packing = time.perf_counter() - start
        rows = rows[:MAX_STEPS]
        known = {
            "axis": point.axis,
            "place": point.position,
            "slots": point.slots,
            "rows_per_step": point.rows_per_step,
        }
        shapes = jax.eval_shape(lambda: self._make_utterances(point.offsets))
        program = compile_program(train_epoch, self._state, shapes, rows, self._config, network=self._network)
        if program.bytes is not None and program.bytes > self._limit:
            needed = f"needs {program.bytes / 2**30:.1f} GiB, the limit is {self._limit / 2**30:.1f} GiB"
            return {**known, "skipped": needed}
        seconds = self._time(program.call, self._make_utterances(point.offsets), jnp.asarray(rows))
        weights = sum(leaf.nbytes for leaf in jax.tree.leaves(self._state))
        return {
            **known,
            "step_milliseconds": 1e3 * seconds / len(rows),
            "microseconds_per_utterance": 1e6 * seconds / int((rows >= 0).sum()),
            "packing_microseconds_per_utterance": 1e6 * packing / utterances,
            "bytes": program.bytes,
            "bytes_per_utterance": None if program.bytes is None else (program.bytes - weights) / utterances,
            "compile_seconds": program.seconds,
        }

    def _time(self, call: Callable[..., Any], utterances: Utterances, rows: jax.Array) -> float:
        seconds = []
        state = jax.tree.map(jnp.copy, self._state)
        for _ in range(self._rounds + 1):
            start = time.perf_counter()
            state, _ = jax.block_until_ready(call(state, utterances, rows, self._config))
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds[1:]))

    def _make_utterances(self, offsets: np.ndarray) -> Utterances:
        """Makes utterances of repeated noise: the values do not matter, and no other array of this size is needed."""
        shape, count = self._shape, int(offsets[-1])
        index = jnp.arange(count) % REPEATED
        keys = jax.random.split(jax.random.key(0), len(shape.sizes) + 2)
        features = {
            name: jax.random.normal(key, (REPEATED, size))[index]
            for key, (name, size) in zip(keys, sorted(shape.sizes.items()), strict=False)
        }
        return Utterances(
            features=features,
            available={name: jnp.ones(count, bool) for name in features},
            speakers=jax.random.randint(keys[-2], (REPEATED,), 0, shape.speakers_per_dialogue)[index],
            labels=jax.random.randint(keys[-1], (REPEATED,), 0, shape.num_classes)[index],
            dialogue=jnp.asarray(np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))),
        )
