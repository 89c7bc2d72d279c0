"""The references themselves, where a result is known without them."""

import math
from typing import Literal

import numpy as np
import pytest

from tests import reference


def test_sinkhorn_meets_both_marginals() -> None:
    random = np.random.default_rng(0)
    scores, mask = random.uniform(-1, 1, (7, 3)), np.array([1, 1, 0, 1, 1, 1, 0], bool)
    codes = reference.sinkhorn_converged(scores, mask, 0.1)
    np.testing.assert_allclose(codes.sum(1), mask, atol=1e-12)
    np.testing.assert_allclose(codes.sum(0), 5 / 3, rtol=1e-9)
    # The plan has the form a_i b_j exp(scores / epsilon): no 2 x 2 interaction is left over.
    rest = np.log(codes[mask]) - scores[mask] / 0.1
    np.testing.assert_allclose(rest - rest[:1] - rest[:, :1] + rest[0, 0], 0.0, atol=1e-9)


@pytest.mark.parametrize("first", ["rows", "columns"])
def test_many_rounds_of_the_loops_reach_the_exact_plan(first: Literal["rows", "columns"]) -> None:
    scores, mask = np.random.default_rng(1).uniform(-1, 1, (5, 3)), np.array([1, 0, 1, 1, 1], bool)
    exact = reference.sinkhorn_converged(scores, mask, 0.2)
    np.testing.assert_allclose(reference.sinkhorn(scores, mask, 0.2, 400, first), exact, atol=1e-9)
    assert np.abs(reference.sinkhorn(scores, mask, 0.2, 1, first) - exact).max() > 1e-3


def test_no_round_leaves_a_softmax_of_the_scores() -> None:
    scores = np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]])
    codes = reference.sinkhorn(scores, np.array([True, False]), 0.5, 0)
    np.testing.assert_allclose(codes[0], np.exp(2 * scores[0]) / np.exp(2 * scores[0]).sum())
    np.testing.assert_array_equal(codes[1], 0.0)


@pytest.mark.parametrize(("past", "future"), [(1, 1), (3, 2), (2, 5), (4, 0), (0, 3), (0, 0)])
def test_shortest_paths_are_distance_over_window_rounded_up(past: int, future: int) -> None:
    hops = reference.shortest_paths(11, past, future)
    for i in range(11):
        for j in range(11):
            window = past if j < i else future
            distance = abs(i - j)
            expected = 0 if distance == 0 else math.ceil(distance / window) if window else math.inf
            assert hops[i, j] == expected


def test_window_edges_of_a_packed_row() -> None:
    dialogue, mask = np.array([0, 0, 0, 1, 1, -1]), np.array([1, 1, 1, 1, 1, 0], bool)
    edges = reference.window_edges(dialogue, mask, np.array([5, 6, 5, 5, 5, 0]), past=2, future=1)
    first = [(0, 0, 0), (1, 0, 3), (0, 1, 2), (1, 1, 0), (2, 1, 3), (0, 2, 0), (1, 2, 2), (2, 2, 0)]
    assert edges == [*first, (3, 3, 0), (4, 3, 1), (3, 4, 0), (4, 4, 0)]


def test_instance_alignment_of_three_utterances_by_hand() -> None:
    """Unit vectors at 0, 60 and 90 degrees; the first two share a label."""
    angles = np.radians([0, 60, 90])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], -1)[None]
    cos = {"01": 0.5, "02": 0.0, "12": math.cos(math.radians(30))}
    first = -math.log(math.exp(cos["01"]) / (math.exp(cos["01"]) + math.exp(cos["02"])))
    second = -math.log(math.exp(cos["01"]) / (math.exp(cos["01"]) + math.exp(cos["12"])))
    labels, mask, one = np.array([0, 0, 1]), np.ones((1, 3), bool), np.ones((1, 1))
    loss = reference.instance_alignment(embeddings, labels, mask, one, 0 * one)
    assert loss == pytest.approx((first + second + 0) / 3)
    assert reference.instance_alignment(embeddings, labels, mask, one, 0.6 * one) == 0  # cos .5 is no longer positive
    ungated = reference.instance_alignment(embeddings, labels, mask, one, 0.6 * one, gate=False)
    assert ungated == pytest.approx(loss)  # with one temperature an offset cancels
    hot = reference.instance_alignment(embeddings, labels, mask, 0.5 * one, 0.6 * one, form="printed")
    assert hot > 0  # .5 / .5 - .6 > 0 where (.5 - .6) / .5 < 0


def test_pair_losses_of_one_modality_or_nothing_valid_are_zero() -> None:
    ones, codes = np.ones((1, 2, 3)), [np.full((2, 4), 0.25)] * 2
    prototypes = np.eye(4, 3)
    assert reference.prototype_alignment(ones, prototypes, np.ones((1, 2), bool), 0.1, codes) == 0
    assert reference.latent_alignment(ones, ones, np.ones((1, 2), bool)) == 0
    two, apart = np.ones((2, 2, 3)), np.array([[1, 0], [0, 1]], bool)
    assert reference.prototype_alignment(two, prototypes, apart, 0.1, codes) == 0
    assert reference.latent_alignment(two, two, apart) == 0


def test_latent_and_prototype_alignment_by_hand() -> None:
    mean, std = np.array([[[0.0, 0.0]], [[3.0, 0.0]]]), np.array([[[1.0, 1.0]], [[1.0, 5.0]]])
    assert reference.latent_alignment(mean, std, np.ones((2, 1), bool)) == pytest.approx(2.5)
    embeddings, prototypes = np.array([[[1.0, 0.0]], [[0.0, 1.0]]]), 3 * np.eye(2)
    codes = [np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])]
    loss = reference.prototype_alignment(embeddings, prototypes, np.ones((2, 1), bool), 0.5, codes)
    assert loss == pytest.approx(math.log(1 + math.exp(2)))  # each modality must predict the other's prototype


def test_attention_without_weights_is_the_mean_of_what_is_reachable() -> None:
    random = np.random.default_rng(2)
    nodes, value = random.normal(size=(5, 4)), random.normal(size=(4, 2, 3))
    dialogue, mask, zero = np.array([0, 0, 0, 1, -1]), np.array([1, 1, 1, 1, 0], bool), np.zeros((4, 2, 3))
    hop_embedding = np.zeros((2, 3))
    arguments = (nodes, dialogue, mask, zero, zero, value, hop_embedding)
    outputs = reference.semantic_encoder(*arguments, past=1, future=0, max_hops=2, use_encoding=False)
    projected = (nodes @ value.reshape(4, 6)).reshape(5, 6)
    np.testing.assert_allclose(outputs[2], projected[:3].mean(0))
    np.testing.assert_allclose(outputs[1], projected[:2].mean(0))
    np.testing.assert_allclose(outputs[[0, 3]], projected[[0, 3]])
    np.testing.assert_array_equal(outputs[4], 0.0)


def test_encoding_is_added_to_logits_and_to_values() -> None:
    """Equal nodes without weights: what is left of eq. 26 is the bias, averaged with itself as logit."""
    nodes, dialogue, mask, zero = np.ones((3, 2)), np.zeros(3, int), np.ones(3, bool), np.zeros((2, 1, 2))
    arguments = (nodes, dialogue, mask, zero, zero, zero, np.array([[0.3, -0.2]]))
    outputs = reference.semantic_encoder(*arguments, past=1, future=1, max_hops=1)
    bias = 1 - math.acos(1 - 1e-6) / math.pi + np.array([0.3, -0.2, -0.2])  # two hops count as one
    np.testing.assert_allclose(outputs[0], (np.exp(bias) * bias).sum() / np.exp(bias).sum())


def test_one_relation_without_similarity_is_a_mean_of_neighbours() -> None:
    nodes, identity = np.random.default_rng(3).normal(size=(3, 2)), np.eye(2)
    edges = reference.window_edges(np.zeros(3), np.ones(3, bool), np.zeros(3), past=2, future=0)
    outputs = reference.relational_convolution(nodes, edges, None, identity[None], 0 * identity, np.array([1.0, 0.0]))
    np.testing.assert_allclose(outputs[2], nodes.mean(0) + np.array([1.0, 0.0]))
    halved = reference.relational_convolution(nodes, edges, np.full((3, 3), 0.5), identity[None], identity, np.zeros(2))
    np.testing.assert_allclose(halved[2], nodes[2] + 0.5 * nodes.mean(0))


def test_weights_and_similarity_of_known_vectors() -> None:
    std = np.array([[[3.0, 4.0], [1.0, 0.0]], [[0.0, 15.0], [2.0, 0.0]]])
    available = np.array([[1, 1], [1, 0]], bool)
    np.testing.assert_allclose(reference.fusion_weights(std, available), [[0.25, 1.0], [0.75, 0.0]])
    np.testing.assert_allclose(reference.fusion_weights(std, available, inverse=True), [[0.75, 1.0], [0.25, 0.0]])
    nodes = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    scaled = reference.semantic_similarity(nodes)
    np.testing.assert_allclose(scaled, [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]], atol=5e-4)
    np.testing.assert_allclose(reference.semantic_similarity(nodes, scaled=False)[0, 1], 1 - math.pi / 2)


def test_recurrence_resets_and_runs_backwards() -> None:
    random = np.random.default_rng(4)
    inputs, weights = random.normal(size=(6, 3)), (random.normal(size=(3, 6)), random.normal(size=6))
    recurrent = (random.normal(size=(2, 6)), random.normal(size=2))
    dialogue, mask = np.array([0, 0, 0, 1, 1, -1]), np.array([1, 1, 1, 1, 1, 0], bool)
    forwards = reference.gru(inputs, dialogue, mask, *weights, *recurrent)
    second = reference.gru(inputs[3:5], np.zeros(2), np.ones(2, bool), *weights, *recurrent)
    np.testing.assert_allclose(forwards[3:5], second)
    np.testing.assert_array_equal(forwards[5], 0.0)
    backwards = reference.gru(inputs[::-1], dialogue[::-1], mask[::-1], *weights, *recurrent, reverse=True)
    np.testing.assert_allclose(backwards[::-1], forwards)
    assert np.abs(reference.gru(inputs, dialogue, mask, *weights, *recurrent, reverse=True) - forwards).max() > 1e-3


def test_classification_of_even_logits_is_log_of_the_classes() -> None:
    logits = np.array([[2.0] * 4, [np.nan] * 4, [-1.0] * 4])
    mask = np.array([True, False, True])
    assert reference.classification(logits, np.array([0, 0, 3]), mask) == pytest.approx(math.log(4))
    assert reference.classification(logits, np.zeros(3, int), ~mask & False) == 0
