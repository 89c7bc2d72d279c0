"""How far the place of dialogues in a batch moves values and gradients: `python -m tests.testing.invariance`.

In exact arithmetic it would move nothing. Each case draws dialogues, and places them one to a row, packed tightly with
others, packed with padding before and between them, and in another order. The differences are relative: of outputs, to
the largest of the same kind; of the loss terms, to each; of gradients, to the length of the whole gradient.
"""

import itertools
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.losses import total_loss
from macsgr_jax.models import build_network
from macsgr_jax.presets import PRESETS
from macsgr_jax.training.step import gather_batch
from macsgr_jax.types import Utterances

DIALOGUES, MAX_LENGTH, CLASSES = 6, 12, 5
ROWS, SLOTS = DIALOGUES, 2 * MAX_LENGTH  # One shape, and one program, for all placements.
SIZES = {"audio": 20, "text": 30}


class Differences(NamedTuple):
    """The largest relative differences of some cases."""

    outputs: float
    terms: float
    gradients: float


def draw_table(draw: np.random.Generator) -> tuple[Utterances, np.ndarray]:
    """Utterances, of which some lack a modality, and the offsets of their dialogues; always the same number."""
    lengths = draw.integers(1, MAX_LENGTH + 1, DIALOGUES)
    count = DIALOGUES * MAX_LENGTH  # Those behind the last dialogue are in no row.
    available = {name: draw.random(count) < 0.85 for name in SIZES}
    table = Utterances(
        features={name: draw.normal(size=(count, size)).astype(np.float32) for name, size in SIZES.items()},
        available=available,
        speakers=draw.integers(0, 3, count).astype(np.int32),
        labels=draw.integers(0, CLASSES, count).astype(np.int32),
        dialogue=np.zeros(count, np.int32),
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    for number, (begin, end) in enumerate(itertools.pairwise(offsets)):
        table.dialogue[begin:end] = number
    return table, offsets


def place(draw: np.random.Generator, offsets: np.ndarray) -> Iterator[np.ndarray]:
    """Yields i32[ROWS, SLOTS] of each placement, -1 where padded; the first has one dialogue to a row."""
    dialogues = [np.arange(begin, end) for begin, end in itertools.pairwise(offsets)]
    for gaps, together, shuffled in ((0, False, False), (0, True, False), (1, True, False), (2, True, True)):
        order = draw.permutation(DIALOGUES) if shuffled else np.arange(DIALOGUES)
        index = np.full((ROWS, SLOTS), -1, np.int32)
        row, slot = 0, 0
        for number in order:
            size, gap = len(dialogues[number]), int(draw.integers(0, gaps + 1))
            if slot and (not together or slot + gap + size > SLOTS):
                row, slot = row + 1, 0
            slot = min(slot + gap, SLOTS - size)
            index[row, slot : slot + size] = dialogues[number]
            slot += size
        yield draw.permutation(index) if shuffled else index


def measure(config: Config, cases: int) -> Differences:
    """The largest differences of some cases, each with weights of its own."""
    network = build_network(config.model, CLASSES)

    @jax.jit
    def differentiate(params: Any, table: Utterances, index: Any) -> Any:
        batch = gather_batch(table, index)

        def loss(params: Any) -> Any:
            output = network.apply({"params": params}, batch)
            total, terms = total_loss(output, batch, params["prototypes"], config)
            return total, (output, {"total": total, **terms})

        (_, (output, terms)), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return output, terms, gradients

    worst = Differences(0.0, 0.0, 0.0)
    for case in range(cases):
        draw = np.random.default_rng(case)
        table, offsets = draw_table(draw)
        first, *others = place(draw, offsets)
        params = jax.jit(network.init)(jax.random.key(case), gather_batch(table, first))["params"]
        expected = differentiate(params, table, first)
        for index in others:
            found = differentiate(params, table, index)
            worst = Differences(*map(max, worst, compare(expected, first, found, index)))
    return worst


def compare(expected: Any, first: np.ndarray, found: Any, index: np.ndarray) -> Differences:
    """The differences of one placement from the first."""
    outputs = [
        difference(by_utterance(one, first), by_utterance(other, index))
        for one, other in zip(jax.tree.leaves(expected[0]), jax.tree.leaves(found[0]), strict=True)
    ]
    terms = [difference(np.asarray(expected[1][name]), np.asarray(found[1][name])) for name in expected[1]]
    flat = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (expected[2], found[2])]
    gradients = float(np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[0]))
    return Differences(max(outputs), max(terms), gradients)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    largest = float(np.abs(one).max())
    return float(np.abs(one - other).max()) / largest if largest else float(np.abs(other).max())


def by_utterance(values: Any, index: np.ndarray) -> np.ndarray:
    """The values of the utterances in their order."""
    values = np.asarray(values)
    axis = next(a for a in range(values.ndim) if values.shape[a : a + 2] == index.shape)
    flat = np.moveaxis(values.reshape(*values.shape[:axis], -1, *values.shape[axis + 2 :]), axis, 0)
    return np.asarray(flat[np.argsort(index.ravel())[np.count_nonzero(index < 0) :]])


def main() -> None:
    """Prints the table of docs/reliability.md, for whole networks."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    jax.config.update("jax_default_matmul_precision", "highest")
    print("| preset | outputs | loss terms | gradients |\n|---|---|---|---|")
    for name in ("default", "literal"):
        print(f"| `{name}` | {' | '.join(f'{value:.0e}' for value in measure(PRESETS[name], cases))} |", flush=True)


if __name__ == "__main__":
    main()
