import math

import jax
import numpy as np
import pytest

from macsgr_jax.models.attention import attend, dialogue_pairs

DIALOGUE = np.array([[3, 3, 3, 8, 8, -1], [6, -1, -1, -1, -1, -1]])
MASK = DIALOGUE >= 0


@pytest.mark.parametrize("causal", [False, True])
def test_dialogue_pairs_equal_the_loops(causal: bool) -> None:
    pairs = dialogue_pairs(DIALOGUE, MASK, causal)
    for row in range(2):
        for i in range(6):
            for j in range(6):
                same = DIALOGUE[row, i] == DIALOGUE[row, j] and MASK[row, i] and MASK[row, j]
                assert pairs[row, i, j] == (same and (j <= i or not causal))


@pytest.mark.parametrize("garbage", [0.0, 1e3])
def test_attend_equals_the_loops(garbage: float) -> None:
    random = np.random.default_rng(0)
    heads, size = 2, 3
    query, key, value = (random.normal(size=(2, 6, heads, size)).astype(np.float32) for _ in range(3))
    allowed = np.asarray(dialogue_pairs(DIALOGUE, MASK)) & (random.random((2, 6, 6)) < 0.7)
    allowed[0, 1] = False
    for array in (query, key, value):
        array[~MASK] = garbage
    found = jax.jit(attend)(query, key, value, allowed)
    expected = np.zeros((2, 6, heads * size))
    for row in range(2):
        for i in range(6):
            for head in range(heads):
                seen = [j for j in range(6) if allowed[row, i, j]]
                scores = [math.exp(query[row, i, head] @ key[row, j, head] / math.sqrt(size)) for j in seen]
                for j, score in zip(seen, scores, strict=True):
                    expected[row, i, head * size : (head + 1) * size] += score / sum(scores) * value[row, j, head]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found[0, 1], 0.0)
