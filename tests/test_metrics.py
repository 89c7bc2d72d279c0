"""Scores against scikit-learn, calibration against a loop, and the counts against themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

from macsgr_jax.errors import InputError
from macsgr_jax.metrics import add_counts, count, scores, summarize, zero_counts

CLASSES = 6
count_jitted = jax.jit(count)


def draw(seed: int, num: int, gold: list[int], predicted: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Logits f32[num, CLASSES] whose largest is one of `predicted`, and labels i32[num] out of `gold`."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(num, CLASSES)).astype(np.float32)
    never = np.setdiff1d(np.arange(CLASSES), predicted)
    logits[:, never] -= 20.0
    return logits, random.choice(gold, num).astype(np.int32)


CASES = {
    "every class": (0, 200, [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]),
    "absent class": (1, 150, [0, 2, 5], [0, 1, 2, 3, 4, 5]),
    "class never predicted": (2, 150, [0, 1, 2, 3, 4, 5], [1, 4]),
    "absent and never predicted": (3, 100, [0, 2, 3], [0, 2, 4]),
    "nothing right": (4, 30, [0, 1], [2, 3]),
    "one utterance": (5, 1, [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]),
    "one utterance, right": (6, 1, [3], [3]),
}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_scikit_learn(case: str) -> None:
    logits, labels = draw(*CASES[case])
    predicted = logits.argmax(-1)
    counts = count_jitted(logits, labels, np.ones(len(labels), bool))
    result = scores(counts)
    every = np.arange(CLASSES)
    np.testing.assert_array_equal(counts.confusion, confusion_matrix(labels, predicted, labels=every))
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(-1, keepdims=True)
    expected = {
        "waa": accuracy_score(labels, predicted),
        "waf1": f1_score(labels, predicted, average="weighted", zero_division=0),
        "macro_f1": f1_score(labels, predicted, average="macro", zero_division=0),
        "uar": balanced_accuracy_score(labels, predicted),
        "nll": log_loss(labels, probabilities, labels=every),
        "f1": f1,
        "recall": recall,
        "precision": precision,
        "support": support,
    }
    assert set(result) == set(expected) | {"ece"}
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_calibration_error_is_that_of_a_loop() -> None:
    logits, labels = draw(7, 400, list(range(CLASSES)), list(range(CLASSES)))
    logits[:40] *= 30.0  # certain: the last bin, with probabilities of one
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    expected, filled = 0.0, 0
    for k in range(15):
        inside = []
        for row, label in zip(probabilities, labels, strict=True):
            top = row.max()
            if k / 15 <= top < (k + 1) / 15 or (k == 14 and top >= 1):
                inside.append((top, row.argmax() == label))
        if inside:
            filled += 1
            confidence = np.mean([top for top, _ in inside])
            accuracy = np.mean([right for _, right in inside])
            expected += len(inside) / len(labels) * abs(accuracy - confidence)
    counts = count(logits, labels, np.ones(len(labels), bool))
    assert filled > 8
    assert np.sum(np.asarray(counts.calibration.utterances) > 0) == filled
    assert np.sum(counts.calibration.utterances) == len(labels)
    np.testing.assert_allclose(scores(counts)["ece"], expected, rtol=1e-5)


def test_calibration_error_of_a_known_case() -> None:
    """Four utterances at probability .75, half of them right, are off by .25."""
    logits = np.tile(np.log([0.75, 0.25]).astype(np.float32), (4, 1))
    result = scores(count(logits, np.array([0, 0, 1, 1]), np.ones(4, bool)))
    np.testing.assert_allclose(result["ece"], 0.25, rtol=1e-6)
    np.testing.assert_allclose(result["nll"], -0.5 * np.log(0.75 * 0.25), rtol=1e-6)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e30])
def test_padding_counts_for_nothing_whatever_is_in_it(garbage: float) -> None:
    logits, labels = draw(8, 24, list(range(CLASSES)), list(range(CLASSES)))
    mask = np.random.default_rng(9).random(24) < 0.6
    padded_logits = np.where(mask[:, None], logits, garbage).astype(np.float32)
    padded_labels = np.where(mask, labels, -7)
    padded = count_jitted(padded_logits.reshape(4, 6, CLASSES), padded_labels.reshape(4, 6), mask.reshape(4, 6))
    alone = count_jitted(logits[mask], labels[mask], np.ones(mask.sum(), bool))
    assert 0 < mask.sum() < 24
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-6), padded, alone)


def test_nothing_valid_scores_zero() -> None:
    counts = count(np.full((2, 3, CLASSES), np.nan, np.float32), np.full((2, 3), 99), np.zeros((2, 3), bool))
    jax.tree.map(np.testing.assert_array_equal, counts, zero_counts(CLASSES))
    for name, value in scores(counts).items():
        np.testing.assert_array_equal(value, 0.0, err_msg=name)


def test_counts_of_parts_add_up_to_those_of_the_whole() -> None:
    logits, labels = draw(10, 90, [0, 1, 2, 3], list(range(CLASSES)))
    mask = np.random.default_rng(11).random(90) < 0.8
    total = zero_counts(CLASSES)
    for part in (slice(0, 1), slice(1, 40), slice(40, 90)):
        total = add_counts(total, count_jitted(logits[part], labels[part], mask[part]))
    whole = count_jitted(logits, labels, mask)
    assert jax.tree.map(lambda leaf: leaf.dtype, total) == jax.tree.map(lambda leaf: leaf.dtype, whole)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5), total, whole)
    assert int(total.confusion.sum()) == mask.sum()


def test_jit_and_vmap_change_nothing() -> None:
    runs = [draw(seed, 50, [0, 1, 2, 4], [0, 1, 2, 3]) for seed in range(3)]
    logits = np.stack([run[0] for run in runs]).reshape(3, 5, 10, CLASSES)
    labels = np.stack([run[1] for run in runs]).reshape(3, 5, 10)
    mask = np.random.default_rng(12).random((3, 5, 10)) < 0.7
    together = jax.jit(jax.vmap(lambda *run: scores(count(*run))))(logits, labels, mask)
    for run in range(3):
        alone = scores(count(logits[run], labels[run], mask[run]))  # neither jit nor vmap
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][run], value, rtol=1e-5, atol=1e-7, err_msg=name)
    assert len(np.unique(together["waf1"])) == 3


def test_counts_are_a_carry_of_a_scan() -> None:
    logits, labels = draw(13, 60, list(range(CLASSES)), list(range(CLASSES)))
    batches = (logits.reshape(6, 10, CLASSES), labels.reshape(6, 10), jnp.ones((6, 10), bool))
    total, _ = jax.lax.scan(
        lambda carry, batch: (add_counts(carry, count(*batch)), None), zero_counts(CLASSES), batches
    )
    whole = count_jitted(logits, labels, np.ones(60, bool))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5), total, whole)


def test_half_precision_logits_are_summed_in_single_precision() -> None:
    logits, labels = draw(14, 3000, list(range(CLASSES)), list(range(CLASSES)))
    rounded = jnp.asarray(logits, jnp.bfloat16)
    mask = np.ones(3000, bool)
    half, single = count(rounded, labels, mask), count(np.asarray(rounded, np.float32), labels, mask)
    assert half.nll.dtype == jnp.float32
    jax.tree.map(np.testing.assert_array_equal, half, single)


def test_summarize_is_mean_and_sample_standard_deviation() -> None:
    assert summarize([0.5, 0.7]) == pytest.approx((0.6, 0.1 * np.sqrt(2)))
    assert summarize(jnp.array([0.25])) == (0.25, 0.0)
    assert all(type(value) is float for value in summarize(np.array([1, 2, 3], np.float32)))


def test_summarize_refuses_no_runs() -> None:
    with pytest.raises(InputError, match="no run"):
        summarize([])
