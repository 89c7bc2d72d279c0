from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax.models.graph import NUM_RELATIONS, build_semantic_graph, semantic_similarity, shortest_paths
from tests import reference

DIALOGUE = np.array([[3, 3, 3, 3, 8, 8, 8, -1], [6, 1, 1, 1, 1, 1, -1, -1]])
MASK = DIALOGUE >= 0
SPEAKERS = np.array([[0, 1, 0, 1, 2, 2, 1, 0], [5, 5, 4, 4, 5, 4, 0, 0]])
ROWS, SLOTS = DIALOGUE.shape

similar = jax.jit(semantic_similarity, static_argnames="form")


def draw_nodes(seed: int = 0) -> np.ndarray:
    """Nodes [B, N, d_f], zero where padded."""
    nodes = np.random.default_rng(seed).normal(size=(ROWS, SLOTS, 5))
    return (nodes * MASK[..., None]).astype(np.float32)


@pytest.mark.parametrize("form", ["scaled", "printed"])
@pytest.mark.parametrize("seed", range(3))
def test_similarity_equals_the_loops(form: Literal["scaled", "printed"], seed: int) -> None:
    nodes = draw_nodes(seed)
    found = similar(nodes, form)
    for row in range(ROWS):
        expected = reference.semantic_similarity(nodes[row], scaled=form == "scaled")
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_similarity_of_known_angles() -> None:
    nodes = jnp.array([[[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0], [1.0, 1.0]]])
    np.testing.assert_allclose(similar(nodes)[0, 0], [1, 0.5, 0, 0.75], atol=1e-3)
    np.testing.assert_allclose(similar(nodes, "printed")[0, 0, 1:], 1 - np.pi * np.array([0.5, 1, 0.25]), atol=2e-3)


@pytest.mark.parametrize("form", ["scaled", "printed"])
@pytest.mark.parametrize(
    "nodes",
    [np.ones((1, 3, 4)), np.zeros((1, 3, 4)), np.array([[[1.0, 2], [-1, -2], [2, 4]]]), np.eye(3)[None]],
    ids=["identical", "zero", "opposite", "orthogonal"],
)
def test_similarity_has_finite_gradients(form: Literal["scaled", "printed"], nodes: np.ndarray) -> None:
    value, gradient = jax.value_and_grad(lambda x: semantic_similarity(x, form).sum())(nodes.astype(np.float32))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(("past", "future"), [(2, 1), (1, 3), (3, 0), (0, 2), (0, 0), (10, 10)])
def test_graph_has_the_edges_of_the_loops(past: int, future: int) -> None:
    nodes = draw_nodes()
    similarity = np.asarray(similar(nodes))
    graph = jax.jit(build_semantic_graph, static_argnames=("past", "future"))(
        nodes, similarity, SPEAKERS, DIALOGUE, MASK, past=past, future=future
    )
    edges: Any = graph.edges
    found = set()
    for sender, receiver, relation, weight, valid in zip(
        *map(np.asarray, (graph.senders, graph.receivers, edges["relation"], edges["weight"], edges["valid"])),
        strict=True,
    ):
        assert 0 <= relation < NUM_RELATIONS
        if valid:
            row = receiver // SLOTS
            assert row == sender // SLOTS
            assert weight == similarity[row, receiver % SLOTS, sender % SLOTS]
            edge = (row, sender % SLOTS, receiver % SLOTS, relation)
            assert edge not in found
            found.add(edge)
    expected = {
        (row, *edge)
        for row in range(ROWS)
        for edge in reference.window_edges(DIALOGUE[row], MASK[row], SPEAKERS[row], past, future)
    }
    assert found == expected
    assert len(graph.senders) == ROWS * SLOTS * (past + 1 + future) == graph.n_edge.sum()
    np.testing.assert_array_equal(graph.nodes, nodes.reshape(ROWS * SLOTS, -1))
    np.testing.assert_array_equal(graph.n_node, [SLOTS, SLOTS])


@pytest.mark.parametrize(("past", "future"), [(1, 1), (3, 2), (2, 5), (4, 0), (0, 3), (0, 0), (10, 10)])
@pytest.mark.parametrize("slots", [1, 2, 9])
def test_shortest_paths_equal_a_search(slots: int, past: int, future: int) -> None:
    hops, reachable = shortest_paths(slots, past, future)
    searched = reference.shortest_paths(slots, past, future)
    np.testing.assert_array_equal(reachable, np.isfinite(searched))
    np.testing.assert_array_equal(hops, np.where(np.isfinite(searched), searched, 0))
    assert hops.dtype == np.int32
