from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.models.attention import dialogue_pairs
from macsgr_jax.models.graph import semantic_similarity
from macsgr_jax.models.semantic import SemanticEncoder
from tests import reference

DIALOGUE = np.array([[3, 3, 3, 3, 3, 3, 8, -1], [6, 1, 1, 1, 1, 1, -1, -1]])
MASK = DIALOGUE >= 0
ROWS, SLOTS = DIALOGUE.shape
HEADS, SIZE, MAX_HOPS = 2, 6, 2


def draw_inputs() -> tuple[np.ndarray, Any, Any]:
    """Nodes, M^s and who attends to whom."""
    nodes = np.random.default_rng(0).normal(size=(ROWS, SLOTS, 5)).astype(np.float32)
    return nodes, semantic_similarity(nodes), dialogue_pairs(DIALOGUE, MASK)


def make_encoder(past: int = 2, future: int = 1, **options: Any) -> SemanticEncoder:
    """An encoder whose paths are longer than `max_hops`."""
    return SemanticEncoder(size=SIZE, heads=HEADS, past=past, future=future, max_hops=MAX_HOPS, **options)


@pytest.mark.parametrize("encoding", [True, False])
@pytest.mark.parametrize(("past", "future"), [(2, 1), (1, 3), (2, 0), (10, 10)])
def test_equals_the_loops(make_params: Callable[..., Any], past: int, future: int, encoding: bool) -> None:
    inputs = draw_inputs()
    encoder = make_encoder(past, future, encoding=encoding)
    params = make_params(encoder, *inputs)
    assert ("hop_embedding" in params) == encoding
    found = jax.jit(encoder.apply)({"params": params}, *inputs)
    for row in range(ROWS):
        expected = reference.semantic_encoder(
            inputs[0][row],
            DIALOGUE[row],
            MASK[row],
            *(params[name]["kernel"] for name in ("query", "key", "value")),
            params.get("hop_embedding"),
            past,
            future,
            MAX_HOPS,
            use_encoding=encoding,
        )
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


def test_with_its_own_value_the_attention_cancels(make_params: Callable[..., Any]) -> None:
    """Eq. 26 as printed: without the encoding only W_v g_i is left."""
    inputs = draw_inputs()
    encoder = make_encoder(encoding=False, attended_value="self")
    params = make_params(encoder, *inputs)
    found = encoder.apply({"params": params}, *inputs)
    expected = inputs[0] @ np.asarray(params["value"]["kernel"]).reshape(5, SIZE) * MASK[..., None]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_paths_beyond_max_hops_share_one_encoding(make_params: Callable[..., Any]) -> None:
    inputs = draw_inputs()
    encoder = make_encoder(past=1, future=1)
    params = make_params(encoder, *inputs)
    assert params["hop_embedding"].shape == (HEADS, MAX_HOPS + 1)
    moved = {**params, "hop_embedding": params["hop_embedding"] + np.eye(MAX_HOPS + 1, dtype=np.float32)[-1]}
    before, after = (np.asarray(encoder.apply({"params": p}, *inputs)) for p in (params, moved))
    lengths = np.array([[(row == name).sum() for name in row] for row in DIALOGUE])
    changed = np.abs(after - before).max(-1) > 1e-6
    # Each end of a dialogue of three has a path of two hops; in a shorter one there is none.
    np.testing.assert_array_equal(changed, MASK & (lengths >= 3))
