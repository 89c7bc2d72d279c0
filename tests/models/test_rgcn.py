from collections.abc import Callable
from typing import Any

import jax
import jraph
import numpy as np
import pytest

from macsgr_jax.models.graph import (
    NUM_RELATIONS,
    DenseGraph,
    build_dense_graph,
    build_semantic_graph,
    semantic_similarity,
)
from macsgr_jax.models.rgcn import RelationalConvolution, SyntacticEncoder, aggregate_by_relation
from tests import reference

DIALOGUE = np.array([[3, 3, 3, 3, 8, 8, 8, -1], [6, 1, 1, 1, 1, 1, -1, -1]])
MASK = DIALOGUE >= 0
SPEAKERS = np.array([[0, 1, 0, 1, 2, 2, 1, 0], [5, 5, 4, 4, 5, 4, 0, 0]])
ROWS, SLOTS = DIALOGUE.shape
PAST, FUTURE, SIZE = 3, 2, 4


@pytest.fixture(scope="module")
def nodes() -> np.ndarray:
    """f32[B, N, d_f], garbage where padded."""
    drawn = np.random.default_rng(0).normal(size=(ROWS, SLOTS, SIZE))
    return np.where(MASK[..., None], drawn, 1e3).astype(np.float32)


@pytest.fixture(scope="module")
def similarity(nodes: np.ndarray) -> np.ndarray:
    """M^s."""
    return np.asarray(semantic_similarity(nodes))


@pytest.fixture(scope="module", params=[build_semantic_graph, build_dense_graph], ids=["edges", "dense"])
def graph(request: pytest.FixtureRequest, nodes: np.ndarray, similarity: np.ndarray) -> jraph.GraphsTuple | DenseGraph:
    """The window graph, as edges and densely."""
    return request.param(nodes, similarity, SPEAKERS, DIALOGUE, MASK, past=PAST, future=FUTURE)


def convolve(nodes: np.ndarray, similarity: np.ndarray, params: Any, weighted: bool) -> np.ndarray:
    """Eq. 23 by loops over all rows."""
    return np.stack(
        [
            reference.relational_convolution(
                nodes[row],
                reference.window_edges(DIALOGUE[row], MASK[row], SPEAKERS[row], PAST, FUTURE),
                similarity[row] if weighted else None,
                params["relation"]["kernel"],
                params["own"]["kernel"],
                params["own"]["bias"],
            )
            for row in range(ROWS)
        ]
    )


@pytest.mark.parametrize("weighted", [True, False])
def test_aggregation_is_the_mean_of_a_relations_messages(
    graph: jraph.GraphsTuple | DenseGraph, nodes: np.ndarray, similarity: np.ndarray, weighted: bool
) -> None:
    found = np.asarray(aggregate_by_relation(graph, weighted)).reshape(ROWS, SLOTS, NUM_RELATIONS, SIZE)
    expected = np.zeros(found.shape)
    for row in range(ROWS):
        edges = reference.window_edges(DIALOGUE[row], MASK[row], SPEAKERS[row], PAST, FUTURE)
        for i in range(SLOTS):
            for relation in range(NUM_RELATIONS):
                senders = [j for j, receiver, kind in edges if (receiver, kind) == (i, relation)]
                for j in senders:
                    weight = similarity[row, i, j] if weighted else 1.0
                    expected[row, i, relation] += weight * nodes[row, j] / len(senders)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (expected == 0).all(-1)[MASK].any()


@pytest.mark.parametrize("weighted", [True, False])
def test_convolution_equals_the_loops(
    make_params: Callable[..., Any],
    graph: jraph.GraphsTuple | DenseGraph,
    nodes: np.ndarray,
    similarity: np.ndarray,
    weighted: bool,
) -> None:
    convolution = RelationalConvolution(3, weighted)
    params = make_params(convolution, graph)
    found = np.asarray(jax.jit(convolution.apply)({"params": params}, graph)).reshape(ROWS, SLOTS, 3)
    np.testing.assert_allclose(found[MASK], convolve(nodes, similarity, params, weighted)[MASK], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("residual", [True, False])
def test_encoder_is_two_convolutions(
    make_params: Callable[..., Any],
    graph: jraph.GraphsTuple | DenseGraph,
    nodes: np.ndarray,
    similarity: np.ndarray,
    residual: bool,
) -> None:
    encoder = SyntacticEncoder(size=2, weighted=True, residual=residual, dropout=0.5)
    params = make_params(encoder, graph, train=False)
    found = np.asarray(jax.jit(lambda p, g: encoder.apply({"params": p}, g, train=False))(params, graph))
    hidden = np.maximum(convolve(nodes, similarity, params["layer_1"], True), 0)
    if residual:
        hidden = hidden + nodes
    expected = np.maximum(convolve(hidden, similarity, params["layer_2"], True), 0)
    np.testing.assert_allclose(found.reshape(ROWS, SLOTS, 2)[MASK], expected[MASK], rtol=1e-4, atol=1e-5)
    assert (expected[MASK] > 0).any()


@pytest.mark.parametrize(("past", "future"), [(3, 2), (0, 2), (2, 0), (0, 0), (10, 10)])
@pytest.mark.parametrize("weighted", [True, False])
def test_edges_and_matrices_have_one_value_and_one_gradient(
    nodes: np.ndarray, similarity: np.ndarray, past: int, future: int, weighted: bool
) -> None:
    target = np.random.default_rng(1).normal(size=(ROWS * SLOTS, NUM_RELATIONS, SIZE)).astype(np.float32)

    def measure(build: Any) -> Any:
        def loss(nodes: jax.Array, similarity: jax.Array) -> tuple[jax.Array, jax.Array]:
            graph = build(nodes, similarity, SPEAKERS, DIALOGUE, MASK, past=past, future=future)
            found = aggregate_by_relation(graph, weighted)
            return (found * target).sum(), found

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
            np.where(MASK[..., None], nodes, 0.0), similarity
        )

    (_, sparse), sparse_gradients = measure(build_semantic_graph)
    (_, dense), dense_gradients = measure(build_dense_graph)
    np.testing.assert_allclose(dense, sparse, rtol=1e-5, atol=1e-6)
    for one, other in zip(dense_gradients, sparse_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert np.abs(sparse_gradients[0]).max() > 0.1
