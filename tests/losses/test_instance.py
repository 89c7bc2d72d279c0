import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax.losses import dense_instance_alignment, instance_alignment, instance_blockwise
from macsgr_jax.masking import safe_normalize
from tests import reference

TEMPERATURES = np.array([[0.1, 0.05, 0.2], [0.05, 0.3, 0.15], [0.2, 0.15, 0.25]], np.float32)
OFFSETS = np.array([[0.1, -0.2, 0.3], [-0.2, 0.0, 0.2], [0.3, 0.2, -0.1]], np.float32)

evaluate = jax.jit(instance_alignment, static_argnames=("gate", "form"))
differentiate = jax.jit(jax.value_and_grad(instance_alignment))


def numbers(modalities: int) -> tuple[np.ndarray, np.ndarray]:
    """Temperatures and offsets of the first modalities."""
    return TEMPERATURES[:modalities, :modalities], OFFSETS[:modalities, :modalities]


@jax.jit
def differentiate_raw(vectors: jax.Array, labels: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Value and gradient with respect to vectors of any length."""

    def loss(vectors: jax.Array) -> jax.Array:
        return instance_alignment(safe_normalize(vectors), labels, mask, *numbers(vectors.shape[0]))

    return jax.value_and_grad(loss)(vectors)


@pytest.mark.parametrize("utterances", [1, 2, 7, 20])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_equals_the_loops(make_case: Callable[..., Any], modalities: int, utterances: int, scenario: str) -> None:
    case = make_case(0, modalities, utterances, scenario)
    found = evaluate(*case, *numbers(modalities))
    expected = reference.instance_alignment(*case, *numbers(modalities))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", ["inside", "printed"])
@pytest.mark.parametrize("gate", [True, False])
def test_equals_the_loops_in_every_reading(make_case: Callable[..., Any], gate: bool, form: str, seed: int) -> None:
    case = make_case(seed, 2, 7, "some missing")
    found = evaluate(*case, *numbers(2), gate=gate, form=form)
    expected = reference.instance_alignment(*case, *numbers(2), gate, form)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_gate_and_form_matter(make_case: Callable[..., Any]) -> None:
    case = make_case(0, 2, 7, "all valid")
    readings = [evaluate(*case, *numbers(2), gate=g, form=f) for g in (True, False) for f in ("inside", "printed")]
    assert len({round(float(reading), 3) for reading in readings}) == 4


def test_the_inside_form_counts_a_positive_from_cosine_xi_on() -> None:
    """Unit vectors at 0, 60 and 180 degrees; the first two are the only pair."""
    embeddings = jnp.array([[[1.0, 0.0], [0.5, 3**0.5 / 2], [-1.0, 0.0]]])
    labels, mask, tau = jnp.array([0, 0, 1]), jnp.ones((1, 3), bool), jnp.full((1, 1), 0.5)
    below, above = (evaluate(embeddings, labels, mask, tau, jnp.full((1, 1), xi)) for xi in (0.49, 0.51))
    assert below > 0
    assert above == 0


@pytest.mark.parametrize("scenario", ["nothing valid", "all different"])
def test_without_a_positive_pair_it_is_zero_with_zero_gradient(make_case: Callable[..., Any], scenario: str) -> None:
    case = make_case(0, 1, 7, scenario)
    value, gradient = differentiate_raw(*case)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0.0)


def test_gradient_equals_central_differences(
    make_case: Callable[..., Any], numerical_gradient: Callable[..., np.ndarray]
) -> None:
    embeddings, _, mask = make_case(1, 2, 4, "all valid", 3)
    labels, mask = np.array([0, 1, 0, 0]), mask & (np.arange(4) != 3) | np.array([[True], [False]])
    vectors = embeddings * np.array([0.5, 1.0, 2.0, 1.5], np.float32)[:, None]
    tau, xi = numbers(2)
    # Only away from the gate's edge is there a gradient to compare with.
    for i in np.argwhere(mask):
        for j in np.argwhere(mask):
            assert abs(vectors[tuple(i)] @ vectors[tuple(j)] - xi[i[0], j[0]]) > 1e-3
    expected = numerical_gradient(lambda x: reference.instance_alignment(x, labels, mask, tau, xi), vectors)
    _, gradient = differentiate_raw(vectors, labels, mask)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected[mask]).max() > 0.1
    np.testing.assert_array_equal(np.asarray(gradient)[~mask], 0.0)


@pytest.mark.parametrize(
    "vectors", [np.ones((2, 5, 3)), np.zeros((2, 5, 3)), np.eye(3)[None, [0, 0, 1, 1, 2]] * [[[1]], [[-1]]]]
)
@pytest.mark.parametrize("valid", [0, 1, 5])
def test_degenerate_embeddings_have_finite_gradients(vectors: np.ndarray, valid: int) -> None:
    labels = np.array([0, 1, 0, 1, 1])
    mask = np.broadcast_to(np.arange(5) < valid, (2, 5))
    value, gradient = differentiate_raw(vectors.astype(np.float32), labels, mask)
    np.testing.assert_allclose(value, reference.instance_alignment(vectors, labels, mask, *numbers(2)), atol=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("garbage", [1e30, np.inf, np.nan])
def test_appended_garbage_changes_neither_value_nor_gradient(make_case: Callable[..., Any], garbage: float) -> None:
    case = make_case(2, 2, 7, "some missing")
    value, gradient = differentiate(*case, *numbers(2))
    longer_value, longer_gradient = differentiate(
        np.pad(case.embeddings, ((0, 0), (0, 4), (0, 0)), constant_values=garbage),
        np.pad(case.labels, (0, 4), constant_values=case.labels[0]),
        np.pad(case.mask, ((0, 0), (0, 4))),
        *numbers(2),
    )
    np.testing.assert_allclose(longer_value, value, rtol=1e-5)
    np.testing.assert_allclose(longer_gradient[:, :7], gradient, atol=1e-5)
    np.testing.assert_array_equal(longer_gradient[:, 7:], 0.0)
    assert value > 0.1


def test_vmapped_equals_a_loop(make_case: Callable[..., Any]) -> None:
    cases = [make_case(seed, 2, 7, "some missing") for seed in range(4)]
    stacked = [np.stack(arrays) for arrays in zip(*cases, strict=True)]
    temperatures = np.stack([TEMPERATURES[:2, :2] * (1 + run) for run in range(4)])
    found = jax.jit(jax.vmap(instance_alignment, in_axes=(0, 0, 0, 0, None)))(*stacked, temperatures, OFFSETS[:2, :2])
    for run, case in enumerate(cases):
        np.testing.assert_allclose(found[run], evaluate(*case, temperatures[run], OFFSETS[:2, :2]), rtol=1e-5)


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("form", ["inside", "printed"])
@pytest.mark.parametrize("block", [5, 16, 1000])
def test_blocks_equal_the_dense_form(
    monkeypatch: pytest.MonkeyPatch, make_case: Callable[..., Any], block: int, form: str, gate: bool
) -> None:
    """Value and all gradients. 34 anchors: seven even blocks with one filled up, three, one; tau is not symmetric."""
    monkeypatch.setattr(instance_blockwise, "BLOCK", block)
    embeddings, labels, mask = make_case(5, 2, 17, "some missing")
    tau, xi = np.float32([[0.1, 0.07], [0.05, 0.3]]), np.float32([[0.05, 0.02], [-0.1, 0.0]])
    found, expected = (
        jax.jit(
            jax.value_and_grad(
                lambda embeddings, tau, xi, loss=loss: loss(embeddings, labels, mask, tau, xi, gate=gate, form=form),
                argnums=(0, 1, 2),
            )
        )(embeddings, tau, xi)
        for loss in (instance_alignment, dense_instance_alignment)
    )
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for one, other in zip(found[1], expected[1], strict=True):
        assert np.abs(other).max() > 0.01
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("utterances", [1, 2, 7])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_the_dense_form_equals_the_loops(
    make_case: Callable[..., Any], modalities: int, utterances: int, scenario: str
) -> None:
    case = make_case(0, modalities, utterances, scenario)
    value, gradient = jax.jit(jax.value_and_grad(dense_instance_alignment))(*case, *numbers(modalities))
    expected = reference.instance_alignment(*case, *numbers(modalities))
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("temperature", [0.001, 0.005, 0.01, 0.02])
def test_small_temperatures_neither_overflow_nor_lose_the_gradient(
    make_case: Callable[..., Any], temperature: float, gate: bool
) -> None:
    """CLIP's temperatures go down to 0.01, where the odds of a pair exceed the largest float32."""
    embeddings, labels, mask = make_case(3, 2, 9, "all valid")
    tau, xi = np.full((2, 2), temperature, np.float32), np.zeros((2, 2), np.float32)
    expected = reference.instance_alignment(embeddings, labels, mask, tau, xi, gate)
    for loss in (instance_alignment, dense_instance_alignment):
        value, gradient = jax.value_and_grad(loss)(embeddings, labels, mask, tau, xi, gate=gate)
        np.testing.assert_allclose(value, expected, rtol=1e-4)
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1


def count_bytes(utterances: int) -> int:
    """Memory of forward and backward besides the arguments."""
    shapes = [((2, utterances, 150), jnp.float32), ((utterances,), jnp.int32), ((2, utterances), bool)]
    arguments = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in shapes]
    memory = differentiate.lower(*arguments, *numbers(2)).compile().memory_analysis()
    return int(memory.temp_size_in_bytes + memory.output_size_in_bytes)


def test_memory_grows_with_the_utterances_and_not_with_their_square() -> None:
    small, large = count_bytes(5_000), count_bytes(20_000)
    assert large < 4.5 * small
    assert large < 1e9


@pytest.mark.slow
def test_twenty_thousand_utterances_take_less_than_two_gigabytes() -> None:
    """Forward and backward, measured as the largest resident memory of a process of its own."""
    program = """
import jax, numpy as np, resource
from macsgr_jax.losses import instance_alignment
random = np.random.default_rng(0)
embeddings = random.normal(size=(2, 20_000, 150)).astype(np.float32)
embeddings /= np.linalg.norm(embeddings, axis=-1, keepdims=True)
labels, mask = random.integers(0, 6, 20_000), np.ones((2, 20_000), bool)
tau, xi = np.float32([[0.1, 0.05], [0.05, 0.3]]), np.zeros((2, 2), np.float32)
value, gradient = jax.jit(jax.value_and_grad(instance_alignment))(embeddings, labels, mask, tau, xi)
assert np.isfinite(value) and np.isfinite(gradient).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 2e9
