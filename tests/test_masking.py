import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax.masking import masked_logsumexp, masked_mean, masked_softmax, safe_divide, safe_norm, safe_normalize

MASKED = {"mean": masked_mean, "softmax": masked_softmax, "logsumexp": masked_logsumexp}


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values [3, 5] and a mask that leaves the last row nothing."""
    random = np.random.default_rng(seed)
    mask = random.random((3, 5)) < 0.6
    mask[:2, 0] = True
    mask[2] = False
    return random.normal(size=(3, 5)).astype(np.float32), mask


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
def test_masked_mean_is_the_mean_of_what_is_left(seed: int, axis: int | tuple[int, ...] | None) -> None:
    values, mask = draw(seed)
    expected = np.ma.mean(np.ma.array(values.astype(np.float64), mask=~mask), axis=axis)
    np.testing.assert_allclose(masked_mean(values, mask, axis), np.ma.filled(expected, 0.0), rtol=1e-5)


def test_masked_mean_broadcasts_its_mask() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert masked_mean(values, np.array([True, False, True])) == pytest.approx((0 + 2 + 3 + 5) / 4)
    np.testing.assert_allclose(masked_mean(values, np.array([[True], [False]]), axis=0), [0, 1, 2])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("axis", [0, 1])
def test_masked_softmax_is_the_softmax_of_what_is_left(seed: int, axis: int) -> None:
    values, mask = draw(seed)
    exponentials = np.exp(values.astype(np.float64)) * mask
    total = exponentials.sum(axis, keepdims=True)
    expected = np.divide(exponentials, total, out=np.zeros_like(exponentials), where=total > 0)
    np.testing.assert_allclose(masked_softmax(values, mask, axis), expected, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_masked_logsumexp_is_that_of_what_is_left(seed: int) -> None:
    values, mask = draw(seed)
    found = np.asarray(masked_logsumexp(values, mask))
    for row in range(2):
        assert found[row] == pytest.approx(np.logaddexp.reduce(values[row, mask[row]].astype(np.float64)), rel=1e-5)
    assert found[2] == jnp.finfo(jnp.float32).min / 2


@pytest.mark.parametrize("size", [1e4, -1e4, 1e30, -1e30])
def test_large_logits_do_not_overflow(size: float) -> None:
    logits, mask = jnp.array([size, size, 0.0]), jnp.array([True, True, False])
    np.testing.assert_allclose(masked_softmax(logits, mask), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(masked_logsumexp(logits, mask), size + np.log(2), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(masked_logsumexp)(logits, mask), [0.5, 0.5, 0.0])


@pytest.mark.parametrize("garbage", [1e30, -1e30, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", MASKED)
def test_garbage_under_the_mask_changes_nothing(name: str, garbage: float) -> None:
    """Neither the value nor the gradient."""
    values, mask = draw()

    def evaluate(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, pull_back = jax.vjp(lambda entries: MASKED[name](entries, mask, axis=1), jnp.asarray(values))
        return np.asarray(found), np.asarray(pull_back(jnp.cos(jnp.arange(found.size)).reshape(found.shape))[0])

    clean_value, clean_gradient = evaluate(np.where(mask, values, 0.0))
    dirty_value, dirty_gradient = evaluate(np.where(mask, values, np.float32(garbage)))
    np.testing.assert_array_equal(dirty_value, clean_value)
    np.testing.assert_array_equal(dirty_gradient, clean_gradient)
    np.testing.assert_array_equal(dirty_gradient[~mask], 0.0)
    assert np.abs(dirty_gradient[mask]).max() > 0


@pytest.mark.parametrize("name", MASKED)
def test_an_all_false_mask_has_a_finite_value_and_no_gradient(name: str) -> None:
    values, mask = jnp.array([1.0, jnp.nan, jnp.inf]), jnp.zeros(3, bool)
    found, pull_back = jax.vjp(lambda entries: MASKED[name](entries, mask, axis=0), values)
    expected = {"mean": 0.0, "softmax": np.zeros(3), "logsumexp": jnp.finfo(jnp.float32).min / 2}
    np.testing.assert_array_equal(found, expected[name])
    np.testing.assert_array_equal(pull_back(jnp.ones_like(found))[0], 0.0)


def test_masked_logsumexp_of_nothing_can_be_added_to() -> None:
    """Half of the least float: a difference of two of them is still finite."""
    nothing = masked_logsumexp(jnp.zeros(2), jnp.zeros(2, bool))
    assert np.isfinite(nothing - 1e30)
    assert jax.nn.softplus(nothing) == 0.0


def test_safe_divide_is_the_quotient() -> None:
    numerator, denominator = np.array([1.0, -3.0, 0.0, 2.0]), np.array([4, -2, 5, 0])
    np.testing.assert_allclose(safe_divide(numerator, denominator), [0.25, 1.5, 0.0, 0.0])
    np.testing.assert_allclose(safe_divide(1.0, jnp.array([[2.0], [0.0]])), [[0.5], [0.0]])


def test_gradients_of_safe_divide() -> None:
    """Those of the quotient, and 0 where the denominator is 0."""
    numerator, denominator = jnp.array([3.0, 3.0, 0.0]), jnp.array([2.0, 0.0, 0.0])
    by_numerator, by_denominator = jax.grad(lambda *parts: safe_divide(*parts).sum(), (0, 1))(numerator, denominator)
    np.testing.assert_allclose(by_numerator, [0.5, 0.0, 0.0])
    np.testing.assert_allclose(by_denominator, [-0.75, 0.0, 0.0])


def test_safe_normalize_gives_unit_length() -> None:
    vectors = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32) * 100
    expected = vectors / np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True)
    np.testing.assert_allclose(safe_normalize(vectors), expected, rtol=1e-5)


def test_safe_normalize_keeps_short_vectors_short() -> None:
    np.testing.assert_allclose(
        safe_normalize(jnp.array([[3e-7, 0.0], [0.0, 0.0]])), [[0.3, 0.0], [0.0, 0.0]], rtol=1e-5
    )


def test_safe_norm_is_the_norm() -> None:
    vectors = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(safe_norm(vectors), np.linalg.norm(vectors.astype(np.float64), axis=-1), rtol=1e-5)
    assert safe_norm(jnp.array([9e-7, 0.0])) == 0.0


def test_gradients_of_norm_and_direction() -> None:
    vector = jnp.array([3.0, 4.0])
    np.testing.assert_allclose(jax.grad(safe_norm)(vector), [0.6, 0.8], rtol=1e-5)
    expected = (np.eye(2) - np.outer([0.6, 0.8], [0.6, 0.8])) / 5
    np.testing.assert_allclose(jax.jacobian(safe_normalize)(vector), expected, atol=1e-6)


def test_gradients_at_the_zero_vector_are_finite() -> None:
    """Those of `jnp.linalg.norm` are not a number there."""
    zero = jnp.zeros(3)
    assert not np.isfinite(jax.grad(jnp.linalg.norm)(zero)).any()
    np.testing.assert_array_equal(jax.grad(safe_norm)(zero), 0.0)
    assert np.isfinite(jax.jacobian(safe_normalize)(zero)).all()
