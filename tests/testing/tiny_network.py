"""Networks small enough to compile in a second, and batches of the same few dialogues placed in different ways."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.losses import total_loss
from macsgr_jax.models import build_network
from macsgr_jax.types import Batch, Utterances

FEATURES = {"audio": 4, "text": 5, "video": 3}
OFFSETS = np.array([0, 5, 8, 9, 13, 15])  # Dialogues of 5, 3, 1, 4 and 2 utterances.
COUNT = OFFSETS[-1]
CLASSES, ROWS, SLOTS, PAD = 4, 5, 8, -1


def place(packed: list[list[int]], slots: int = SLOTS, rows: int = ROWS) -> np.ndarray:
    """The utterance of each slot, -1 where padded; PAD among the dialogues of a row leaves a slot."""
    index = np.full((rows, slots), -1)
    for row, dialogues in enumerate(packed):
        utterances = [u for d in dialogues for u in ([-1] if d == PAD else range(OFFSETS[d], OFFSETS[d + 1]))]
        index[row, : len(utterances)] = utterances
    return index


ONE_A_ROW = place([[0], [1], [2], [3], [4]])
PACKED = place([[3, 2, 1], [], [4, PAD, 0]])


def draw_table(modalities: int) -> Utterances:
    """Utterances of which some lack a modality, and one lacks all."""
    random = np.random.default_rng(modalities)
    names = list(FEATURES)[:modalities]
    available = {name: random.random(COUNT) < 0.8 for name in names}
    for m, name in enumerate(names):
        available[name][0], available[name][1], available[name][10] = True, m == 0, False
    return Utterances(
        features={name: random.normal(0, 1.5, (COUNT, FEATURES[name])).astype(np.float32) for name in names},
        available=available,
        speakers=random.integers(0, 2, COUNT).astype(np.int32),
        labels=random.integers(0, CLASSES, COUNT).astype(np.int32),
        dialogue=np.repeat(np.arange(5, dtype=np.int32), np.diff(OFFSETS)),
    )


def gather(table: Utterances, index: np.ndarray, garbage: float = 0.0) -> Batch:
    """A batch with garbage in padding and missing modalities."""
    mask = index >= 0
    available = {name: mask & values[index] for name, values in table.available.items()}
    return Batch(
        features={
            name: np.where(available[name][..., None], values[index], np.float32(garbage))
            for name, values in table.features.items()
        },
        available=available,
        speakers=np.where(mask, table.speakers[index], 0 if garbage == 0 else 77),
        labels=np.where(mask, table.labels[index], 0 if garbage == 0 else -5),
        dialogue=np.where(mask, table.dialogue[index], -1),
        mask=mask,
    )


def scatter(values: Any, index: np.ndarray) -> np.ndarray:
    """[..., B, N, k] to the utterances [U, ..., k]; without k for weights."""
    values = np.asarray(values)
    axis = next(a for a in range(values.ndim) if values.shape[a : a + 2] == index.shape)
    flat = np.moveaxis(values.reshape(*values.shape[:axis], -1, *values.shape[axis + 2 :]), axis, 0)
    result = np.full((COUNT, *flat.shape[1:]), np.nan)
    result[index[index >= 0]] = flat[index.ravel() >= 0]
    return result


class Setup(NamedTuple):
    """A network with random weights, and (output, terms, gradients) of a batch in evaluation and in training.

    Training takes the seeds of its samples and of its dropout.
    """

    modalities: int
    table: Utterances
    params: Any
    evaluate: Callable[[Batch], Any]
    train: Callable[..., Any]


def set_up(modalities: int, config: Config, make_params: Callable[..., Any], jit: Callable[..., Any]) -> Setup:
    """Compiled lazily; equal paths of two configurations have equal weights."""
    table = draw_table(modalities)
    network = build_network(config.model, CLASSES)
    params = make_params(network, gather(table, ONE_A_ROW))

    def differentiate(params: Any, batch: Batch, rngs: dict[str, Any], train: bool) -> Any:
        def loss(params: Any) -> Any:
            output = network.apply({"params": params}, batch, train=train, rngs=rngs)
            total, terms = total_loss(output, batch, params["prototypes"], config)
            return total, (output, terms)

        (_, (output, terms)), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return output, terms, gradients

    compiled = jit(differentiate, static_argnames="train")

    def train(batch: Batch, sample: int = 0, dropout: int = 0) -> Any:
        rngs = {"sample": jax.random.key(sample), "dropout": jax.random.key(dropout)}
        return compiled(params, batch, rngs, train=True)

    return Setup(modalities, table, params, lambda batch: compiled(params, batch, {}, train=False), train)


def assert_same_outputs(
    one: Any, one_index: np.ndarray, other: Any, other_index: np.ndarray, tolerance: float = 1e-5
) -> None:
    """Each utterance's outputs agree."""
    for (path, first), second in zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(
            scatter(first, one_index),
            scatter(second, other_index),
            rtol=tolerance,
            atol=tolerance,
            err_msg=jax.tree_util.keystr(path),
        )


def assert_same_gradients(one: Any, other: Any) -> None:
    """1e-4 of each leaf's largest entry; some leaves are zero but for rounding, 1e-6 of the largest of all."""
    rounding = 1e-6 * max(np.abs(leaf).max() for leaf in jax.tree.leaves(one))
    for (path, first), second in zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True):
        tolerance = 1e-4 * np.abs(first).max() + rounding
        np.testing.assert_allclose(second, first, rtol=0, atol=tolerance, err_msg=jax.tree_util.keystr(path))


def assert_finite(tree: Any) -> None:
    """No leaf has an infinity or a NaN."""
    for path, leaf in jax.tree.leaves_with_path(tree):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
