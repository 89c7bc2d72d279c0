from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.models.gru import GRUEncoder, dialogue_starts, scan_gru
from tests import reference

# Two rows: three dialogues and padding; one dialogue that fills its row.
DIALOGUE = np.array([[4, 4, 4, 7, 2, 2, -1], [5, 5, 5, 5, 5, 5, 5]])
MASK = DIALOGUE >= 0
ROWS, SLOTS = DIALOGUE.shape
SIZES = {"text": 5, "audio": 3, "video": 2}


def draw_features(modalities: int) -> dict[str, np.ndarray]:
    """Features of the first modalities, garbage where padded."""
    random = np.random.default_rng(0)
    names = list(SIZES)[:modalities]
    return {
        name: np.where(MASK[..., None], random.normal(size=(ROWS, SLOTS, SIZES[name])), 1e3).astype(np.float32)
        for name in names
    }


def test_dialogue_starts() -> None:
    expected = [[1, 0, 0, 1, 1, 0, 1], [1, 0, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(dialogue_starts(DIALOGUE), np.array(expected, bool))


def test_scan_gru_equals_the_loops() -> None:
    random = np.random.default_rng(1)
    groups, size = 2, 3
    projected = random.normal(size=(SLOTS, groups, ROWS, 3 * size)).astype(np.float32)
    kernel = random.normal(size=(groups, size, 3 * size)).astype(np.float32)
    bias = random.normal(size=(groups, size)).astype(np.float32)
    starts = np.broadcast_to(np.asarray(dialogue_starts(DIALOGUE)).T[:, None], (SLOTS, groups, ROWS))
    states = np.asarray(jax.jit(scan_gru)(projected, starts, kernel, bias))
    for group in range(groups):
        for row in range(ROWS):
            inputs = projected[:, group, row]
            expected = reference.gru(
                inputs, DIALOGUE[row], MASK[row], np.eye(3 * size), np.zeros(3 * size), kernel[group], bias[group]
            )
            np.testing.assert_allclose(states[MASK[row], group, row], expected[MASK[row]], atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_encoder_equals_the_loops_in_each_direction(
    make_params: Callable[..., Any], modalities: int, causal: bool
) -> None:
    features = draw_features(modalities)
    encoder = GRUEncoder(hidden_size=6, causal=causal)
    params = make_params(encoder, features, DIALOGUE, MASK)
    hidden = jax.jit(encoder.apply)({"params": params}, features, DIALOGUE, MASK)
    directions, size = (1, 6) if causal else (2, 3)
    for m, name in enumerate(sorted(features)):
        dense = params[f"input_{name}"]
        for direction in range(directions):
            of_direction = slice(direction * 3 * size, (direction + 1) * 3 * size)
            group = m * directions + direction
            for row in range(ROWS):
                expected = reference.gru(
                    features[name][row],
                    DIALOGUE[row],
                    MASK[row],
                    dense["kernel"][:, of_direction],
                    dense["bias"][of_direction],
                    params["recurrent_kernel"][group],
                    params["candidate_bias"][group],
                    reverse=direction == 1,
                )
                found = hidden[m, row, :, direction * size : (direction + 1) * size]
                np.testing.assert_allclose(found, expected, atol=1e-5)
    assert hidden.shape == (modalities, ROWS, SLOTS, 6)


def test_recurrent_kernels_start_orthogonal_each() -> None:
    features = draw_features(2)
    encoder = GRUEncoder(hidden_size=6)
    kernels = jax.jit(encoder.init)(jax.random.key(0), features, DIALOGUE, MASK)["params"]["recurrent_kernel"]
    blocks = np.asarray(kernels).reshape(4, 3, 3, 3).transpose(0, 2, 1, 3).reshape(12, 3, 3)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(3), atol=1e-5)
    assert len({tuple(block.ravel().round(3)) for block in blocks}) == 12
