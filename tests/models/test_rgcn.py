from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest
from jax.export import export, symbolic_shape

from macsgr_jax.models.graph import NUM_RELATIONS, build_semantic_graph, semantic_similarity
from macsgr_jax.models.rgcn import (
    Aggregate,
    RelationalConvolution,
    SyntacticEncoder,
    aggregate_by_relation,
    aggregate_in_windows,
)
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


def shuffle_edges(graph: jraph.GraphsTuple) -> jraph.GraphsTuple:
    """The same graph as jraph sees it, with the edges of each row in another order."""
    order = np.random.default_rng(0).permutation(len(graph.senders) // ROWS)
    order = np.concatenate([row * len(order) + order for row in range(ROWS)])
    edges = {name: values[order] for name, values in graph.edges.items()}
    return graph._replace(edges=edges, senders=graph.senders[order], receivers=graph.receivers[order])


@pytest.fixture(scope="module", params=["windows", "any order"])
def case(
    request: pytest.FixtureRequest, nodes: np.ndarray, similarity: np.ndarray
) -> tuple[jraph.GraphsTuple, Aggregate]:
    """The window graph with the sum over windows, and the same edges in any order with the general sum."""
    graph = build_semantic_graph(nodes, similarity, SPEAKERS, DIALOGUE, MASK, past=PAST, future=FUTURE)
    if request.param == "windows":
        return graph, aggregate_in_windows
    return shuffle_edges(graph), aggregate_by_relation


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
def test_aggregation_is_a_mean_per_relation(
    case: tuple[jraph.GraphsTuple, Aggregate], nodes: np.ndarray, similarity: np.ndarray, weighted: bool
) -> None:
    graph, aggregate = case
    found = np.asarray(aggregate(graph, weighted)).reshape(ROWS, SLOTS, NUM_RELATIONS, SIZE)
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
    case: tuple[jraph.GraphsTuple, Aggregate],
    nodes: np.ndarray,
    similarity: np.ndarray,
    weighted: bool,
) -> None:
    graph, aggregate = case
    convolution = RelationalConvolution(size=3, weighted=weighted, aggregate=aggregate)
    params = make_params(convolution, graph)
    found = np.asarray(jax.jit(convolution.apply)({"params": params}, graph)).reshape(ROWS, SLOTS, 3)
    np.testing.assert_allclose(found[MASK], convolve(nodes, similarity, params, weighted)[MASK], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("residual", [True, False])
def test_encoder_is_two_convolutions(
    make_params: Callable[..., Any],
    case: tuple[jraph.GraphsTuple, Aggregate],
    nodes: np.ndarray,
    similarity: np.ndarray,
    residual: bool,
) -> None:
    graph, aggregate = case
    encoder = SyntacticEncoder(size=2, weighted=True, residual=residual, dropout=0.5, aggregate=aggregate)
    params = make_params(encoder, graph, train=False)
    found = np.asarray(jax.jit(lambda p, g: encoder.apply({"params": p}, g, train=False))(params, graph))
    hidden = np.maximum(convolve(nodes, similarity, params["layer_1"], True), 0)
    if residual:
        hidden = hidden + nodes
    expected = np.maximum(convolve(hidden, similarity, params["layer_2"], True), 0)
    np.testing.assert_allclose(found.reshape(ROWS, SLOTS, 2)[MASK], expected[MASK], rtol=1e-4, atol=1e-5)
    assert (expected[MASK] > 0).any()


WINDOWS = [(3, 2), (0, 2), (2, 0), (0, 0), (10, 10)]  # Some are longer than the rows.


def differentiate(aggregate: Aggregate, past: int, future: int, weighted: bool) -> Any:
    """A function of nodes, similarity, speakers, dialogue and mask: the sums and two gradients."""

    def loss(
        nodes: jax.Array, similarity: jax.Array, speakers: jax.Array, dialogue: jax.Array, mask: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        graph = build_semantic_graph(nodes, similarity, speakers, dialogue, mask, past=past, future=future)
        assert isinstance(graph, jraph.GraphsTuple)
        found = aggregate(graph, weighted)
        return (found * jnp.cos(jnp.arange(found.size).reshape(found.shape))).sum(), found

    return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)


def assert_same_sums(one: Any, other: Any) -> None:
    """Values and gradients agree, and the gradients are not zero."""
    ((_, values), gradients), ((_, expected), expected_gradients) = one, other
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    for found, gradient in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(found, gradient, rtol=1e-5, atol=1e-5)
    assert np.abs(expected_gradients[0]).max() > 0.1


@pytest.mark.parametrize(("past", "future"), WINDOWS)
@pytest.mark.parametrize("weighted", [True, False])
def test_windows_equal_segment_sum(
    nodes: np.ndarray, similarity: np.ndarray, past: int, future: int, weighted: bool
) -> None:
    """Values and gradients, in packed and padded rows."""
    inputs = (np.where(MASK[..., None], nodes, 0.0), similarity, SPEAKERS, DIALOGUE, MASK)
    windows, general = (
        jax.jit(differentiate(aggregate, past, future, weighted))(*inputs)
        for aggregate in (aggregate_in_windows, aggregate_by_relation)
    )
    assert_same_sums(windows, general)


@pytest.mark.parametrize(("past", "future"), WINDOWS)
def test_windows_equal_segment_sum_in_an_exported_program(
    nodes: np.ndarray, similarity: np.ndarray, past: int, future: int
) -> None:
    """The numbers of rows and slots are symbolic there."""
    inputs = (np.where(MASK[..., None], nodes, 0.0), similarity, SPEAKERS, DIALOGUE, MASK)
    rows, slots = symbolic_shape("B, N")
    shapes = [(rows, slots, SIZE), (rows, slots, slots), *[(rows, slots)] * 3]
    symbolic = [
        jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(values.dtype))
        for shape, values in zip(shapes, inputs, strict=True)
    ]
    exported = export(jax.jit(differentiate(aggregate_in_windows, past, future, True)))(*symbolic)
    inputs = tuple(np.asarray(values, kind.dtype) for values, kind in zip(inputs, symbolic, strict=True))
    assert_same_sums(
        jax.jit(exported.call)(*inputs), jax.jit(differentiate(aggregate_by_relation, past, future, True))(*inputs)
    )


def test_memory_of_windows_grows_with_the_length_of_a_row() -> None:
    """Twice as many slots take twice the memory, not four times."""

    def count_bytes(slots: int) -> int:
        shape, row = (1, slots, 8), np.zeros((1, slots), np.int32)
        graph = jax.eval_shape(
            lambda nodes: build_semantic_graph(
                nodes, jnp.zeros((1, slots, slots)), row, row, row == 0, past=10, future=10
            ),
            jax.ShapeDtypeStruct(shape, jnp.float32),
        )
        memory: Any = jax.jit(aggregate_in_windows).lower(graph).compile().memory_analysis()
        return int(memory.temp_size_in_bytes + memory.argument_size_in_bytes)

    assert count_bytes(2048) < 2.2 * count_bytes(1024)
