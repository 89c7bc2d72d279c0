import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ott.geometry import geometry
from ott.solvers import linear

from macsgr_jax.losses import prototype_alignment, sinkhorn_codes
from macsgr_jax.masking import safe_normalize
from tests import reference

K = 5
TEMPERATURE = 0.07

codes_of = jax.jit(sinkhorn_codes, static_argnames=("epsilon", "iterations"))
evaluate = jax.jit(prototype_alignment, static_argnames=("temperature", "epsilon", "iterations"))


@jax.jit
def differentiate(embeddings: jax.Array, prototypes: jax.Array, mask: jax.Array) -> tuple[jax.Array, Any]:
    """Value and gradients."""
    loss = functools.partial(prototype_alignment, temperature=TEMPERATURE)
    return jax.value_and_grad(loss, argnums=(0, 1))(embeddings, prototypes, mask)


def draw_prototypes(size: int = 4) -> np.ndarray:
    """Prototypes of various lengths."""
    random = np.random.default_rng(99)
    return (random.normal(size=(K, size)) * random.uniform(0.5, 2, (K, 1))).astype(np.float32)


def draw_scores(seed: int, utterances: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Scores f32[U, K] like cosines, and a mask that leaves at least the first row."""
    random = np.random.default_rng(seed)
    mask = random.random(utterances) < 0.7
    mask[0] = True
    return random.uniform(-1, 1, (utterances, K)).astype(np.float32), mask


def reference_codes(embeddings: np.ndarray, prototypes: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Codes of each modality after three rounds, from vectors of any length."""
    return [
        reference.sinkhorn(
            np.array([[reference.cosine(vector, prototype) for prototype in prototypes] for vector in vectors]),
            valid,
            0.05,
            3,
            first="columns",
        )
        for vectors, valid in zip(embeddings, mask, strict=True)
    ]


def reference_loss(embeddings: np.ndarray, prototypes: np.ndarray, mask: np.ndarray) -> float:
    """Eq. 11 by loops."""
    codes = reference_codes(embeddings, prototypes, mask)
    return reference.prototype_alignment(embeddings, prototypes, mask, TEMPERATURE, codes, average="entries")


@jax.jit
def differentiate_raw(vectors: jax.Array, prototypes: jax.Array, mask: jax.Array) -> tuple[jax.Array, Any]:
    """Value and gradients with respect to vectors and prototypes of any length."""

    def loss(vectors: jax.Array, prototypes: jax.Array) -> jax.Array:
        return prototype_alignment(safe_normalize(vectors), prototypes, mask, temperature=TEMPERATURE)

    return jax.value_and_grad(loss, argnums=(0, 1))(vectors, prototypes)


@pytest.mark.parametrize("epsilon", [0.05, 0.5])
@pytest.mark.parametrize("iterations", [1, 2, 3, 10])
def test_codes_equal_that_many_rounds_of_the_loops(iterations: int, epsilon: float) -> None:
    """OTT would run none of three with its own inner iterations: trap 1 of DESIGN.md."""
    for seed in range(3):
        scores, mask = draw_scores(seed)
        expected = reference.sinkhorn(scores, mask, epsilon, iterations, first="columns")
        found = codes_of(scores, mask, epsilon=epsilon, iterations=iterations)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("utterances", [1, 2, 20])
def test_codes_of_other_sizes_equal_the_loops(utterances: int) -> None:
    scores, mask = draw_scores(0, utterances)
    expected = reference.sinkhorn(scores, mask, 0.05, 3, first="columns")
    np.testing.assert_allclose(codes_of(scores, mask), expected, atol=1e-5)


def test_three_rounds_are_neither_one_nor_many() -> None:
    scores, mask = draw_scores(0)
    one, three, many = (np.asarray(codes_of(scores, mask, iterations=n)) for n in (1, 3, 1000))
    assert np.abs(three - one).max() > 1e-2
    assert np.abs(three - many).max() > 1e-2


@pytest.mark.parametrize("seed", range(3))
def test_converged_codes_are_the_exact_entropic_plan(seed: int) -> None:
    scores, mask = draw_scores(seed)
    expected = reference.sinkhorn_converged(scores, mask, 0.2)
    np.testing.assert_allclose(codes_of(scores, mask, epsilon=0.2, iterations=1000), expected, atol=1e-5)
    np.testing.assert_allclose(expected.sum(0), mask.sum() / K, atol=1e-6)


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("garbage", [0.0, 1e30, np.inf, np.nan])
def test_valid_rows_sum_to_one_and_padded_rows_are_zero(garbage: float, iterations: int) -> None:
    scores, mask = draw_scores(1)
    clean = codes_of(scores[mask], np.ones(mask.sum(), bool), iterations=iterations)
    codes = np.asarray(codes_of(np.where(mask[:, None], scores, np.float32(garbage)), mask, iterations=iterations))
    np.testing.assert_allclose(codes[mask].sum(1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(codes[~mask], 0.0)
    np.testing.assert_allclose(codes[mask], clean, atol=1e-6)
    assert not mask.all()


def test_codes_of_nothing_are_zero() -> None:
    np.testing.assert_array_equal(codes_of(np.full((3, K), 0.5, np.float32), np.zeros(3, bool)), 0.0)


def test_no_gradient_flows_through_codes(jit_quickly: Callable[..., Any]) -> None:
    """OTT's own would be not a number, or wrong: trap 2 of DESIGN.md."""
    scores, mask = draw_scores(2)
    gradient = jit_quickly(jax.grad(lambda x: jnp.sum(sinkhorn_codes(x, mask) * jnp.arange(K))))(scores)
    np.testing.assert_array_equal(gradient, 0.0)


def test_vmapped_codes_equal_a_loop() -> None:
    drawn = [draw_scores(seed) for seed in range(4)]
    scores, masks = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    found = jax.jit(jax.vmap(sinkhorn_codes))(scores, masks)
    for run in range(4):
        np.testing.assert_allclose(found[run], codes_of(scores[run], masks[run]), atol=1e-6)


def solve_as_ott_does(scores: jax.Array, share: jax.Array, **options: Any) -> jax.Array:
    """The plan without our workarounds."""
    cost = geometry.Geometry(cost_matrix=-scores, epsilon=0.5)
    return linear.solve(cost, a=share, lse_mode=True, threshold=-1.0, **options).matrix


def test_ott_still_runs_none_of_three_iterations() -> None:
    """When this fails, `inner_iterations` in prototype.py is no longer needed: trap 1 of DESIGN.md."""
    scores = jnp.asarray(draw_scores(0)[0])
    plan = solve_as_ott_does(scores, jnp.full(7, 1 / 7), min_iterations=3, max_iterations=3)
    np.testing.assert_allclose(plan, jnp.exp(scores / 0.5), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:`NormalCG:DeprecationWarning")
def test_ott_still_has_no_gradient_with_zero_weights() -> None:
    """When this fails, OTT differentiates what we mask, and a gradient could be allowed: trap 2 of DESIGN.md."""
    scores, mask = draw_scores(2)
    differentiate_plan = jax.jit(jax.grad(lambda x, share: jnp.sum(solve_as_ott_does(x, share) ** 2)))

    def has_gradient(share: np.ndarray) -> bool:
        try:
            return bool(np.isfinite(differentiate_plan(scores, share.astype(np.float32))).all())
        except jax.errors.JaxRuntimeError:  # Some versions of the compiler let the linear solver notice its NaN.
            return False

    assert has_gradient(np.full(7, 1 / 7))
    assert not has_gradient(mask / mask.sum())


@pytest.mark.parametrize("utterances", [1, 2, 7])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_equals_the_loops(make_case: Callable[..., Any], modalities: int, utterances: int, scenario: str) -> None:
    embeddings, _, mask = make_case(0, modalities, utterances, scenario)
    prototypes = draw_prototypes()
    found = evaluate(embeddings, prototypes, mask, temperature=TEMPERATURE)
    np.testing.assert_allclose(found, reference_loss(embeddings, prototypes, mask), rtol=1e-5, atol=1e-5)


def test_twenty_utterances_equal_the_loops(make_case: Callable[..., Any]) -> None:
    embeddings, _, mask = make_case(3, 2, 20, "some missing")
    found = evaluate(embeddings, draw_prototypes(), mask, temperature=TEMPERATURE)
    np.testing.assert_allclose(found, reference_loss(embeddings, draw_prototypes(), mask), rtol=1e-5)


def test_gradients_equal_central_differences_with_fixed_codes(
    make_case: Callable[..., Any], numerical_gradient: Callable[..., np.ndarray]
) -> None:
    embeddings, _, mask = make_case(1, 2, 4, "all valid", 3)
    mask[0, 3] = False
    prototypes, vectors = draw_prototypes(3), embeddings * np.float32(1.5)
    codes = reference_codes(vectors, prototypes, mask)

    def loss(vectors: np.ndarray, prototypes: np.ndarray) -> float:
        return reference.prototype_alignment(vectors, prototypes, mask, TEMPERATURE, codes, average="entries")

    _, (of_vectors, of_prototypes) = differentiate_raw(vectors, prototypes, mask)
    expected = numerical_gradient(lambda x: loss(x, prototypes), vectors)
    np.testing.assert_allclose(of_vectors, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        of_prototypes, numerical_gradient(lambda x: loss(vectors, x), prototypes), rtol=1e-4, atol=1e-4
    )
    assert np.abs(expected[:, :3]).max() > 0.1
    np.testing.assert_array_equal(of_vectors[:, 3], 0.0)


@pytest.mark.parametrize("vectors", [np.ones((2, 5, 4)), np.zeros((2, 5, 4))])
@pytest.mark.parametrize("valid", [0, 1, 5])
def test_degenerate_embeddings_have_finite_gradients(vectors: np.ndarray, valid: int) -> None:
    mask = np.broadcast_to(np.arange(5) < valid, (2, 5))
    prototypes = draw_prototypes()
    prototypes[0] = 0.0
    value, gradients = differentiate_raw(vectors.astype(np.float32), prototypes, mask)
    np.testing.assert_allclose(value, reference_loss(vectors, prototypes, mask), rtol=1e-5, atol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("garbage", [1e30, np.inf, np.nan])
def test_appended_garbage_changes_neither_value_nor_gradient(make_case: Callable[..., Any], garbage: float) -> None:
    embeddings, _, mask = make_case(2, 2, 7, "some missing")
    prototypes = draw_prototypes()
    value, (of_embeddings, of_prototypes) = differentiate(embeddings, prototypes, mask)
    padded = np.pad(embeddings, ((0, 0), (0, 4), (0, 0)), constant_values=garbage)
    longer_value, longer = differentiate(padded, prototypes, np.pad(mask, ((0, 0), (0, 4))))
    np.testing.assert_allclose(longer_value, value, rtol=1e-5)
    np.testing.assert_allclose(longer[0][:, :7], of_embeddings, atol=1e-5)
    np.testing.assert_array_equal(longer[0][:, 7:], 0.0)
    np.testing.assert_allclose(longer[1], of_prototypes, atol=1e-5)
    assert value > 0.1


def test_vmapped_equals_a_loop(make_case: Callable[..., Any]) -> None:
    cases = [make_case(seed, 2, 7, "some missing") for seed in range(4)]
    embeddings, mask = np.stack([case.embeddings for case in cases]), np.stack([case.mask for case in cases])
    temperatures, prototypes = np.array([0.05, 0.07, 0.1, 0.2], np.float32), draw_prototypes()
    vmapped = jax.vmap(lambda x, m, t: prototype_alignment(x, prototypes, m, temperature=t))
    found = jax.jit(vmapped)(embeddings, mask, temperatures)
    for run in range(4):
        alone = evaluate(embeddings[run], prototypes, mask[run], temperature=float(temperatures[run]))
        np.testing.assert_allclose(found[run], alone, rtol=1e-5)
