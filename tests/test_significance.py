"""Tests of significance, against scipy, loops, and cases whose answer is known."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from macsgr_jax.errors import InputError
from macsgr_jax.significance import (
    adjust,
    compare_over_dialogues,
    compare_over_seeds,
    count_by_dialogue,
)
from macsgr_jax.weighted_f1 import weighted_f1


def test_over_seeds_is_the_t_test_of_the_differences() -> None:
    one, other = np.random.default_rng(0).normal([[0.5], [0.0]], 1.0, (2, 10))
    found = compare_over_seeds(one, other)
    assert found.p_value == pytest.approx(stats.ttest_1samp(one - other, 0).pvalue)
    assert found.difference == pytest.approx(one.mean() - other.mean())
    assert compare_over_seeds(other, one).difference == pytest.approx(-found.difference)


def test_over_seeds_without_spread() -> None:
    assert compare_over_seeds([0.5, 0.6], [0.5, 0.6]) == (0.0, 1.0)
    difference, p_value = compare_over_seeds([1.0, 2.0], [0.0, 1.0])
    assert (difference, p_value) == (1.0, 0.0)


@pytest.mark.parametrize(("one", "other"), [([0.5], [0.4]), ([0.5, 0.6], [0.4])])
def test_over_seeds_needs_pairs(one: list[float], other: list[float]) -> None:
    with pytest.raises(InputError, match="the same two or more seeds of both"):
        compare_over_seeds(one, other)


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04: times 4 3 2 1, and never below the one before.
    assert adjust([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert adjust([0.6, 0.5]) == [1.0, 1.0]
    assert adjust([]) == []


def draw(seed: int, share_right: float, seeds: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions i64[S, U], labels and dialogues of 40 dialogues of 1 to 9 utterances."""
    random = np.random.default_rng(seed)
    dialogue = np.repeat(np.arange(40), np.random.default_rng(1).integers(1, 10, 40))
    labels = np.random.default_rng(2).integers(0, 4, dialogue.size)
    wrong = random.random((seeds, dialogue.size)) > share_right
    return np.where(wrong, random.integers(0, 4, wrong.shape), labels), labels, dialogue


def test_counts_and_scores_by_dialogue() -> None:
    predicted, labels, dialogue = draw(0, 0.5)
    counts = count_by_dialogue(predicted, labels, dialogue, 4)
    assert counts.shape == (3, 40, 4, 4) and counts.sum() == predicted.size
    for seed, said in enumerate(predicted):
        expected = np.zeros((40, 4, 4))
        for utterance, label in enumerate(labels):
            expected[dialogue[utterance], label, said[utterance]] += 1
        np.testing.assert_array_equal(counts[seed], expected)
        assert weighted_f1(counts[seed].sum(0)) == pytest.approx(f1_score(labels, said, average="weighted"))
    assert weighted_f1(np.zeros((2, 4, 4))).tolist() == [0.0, 0.0]


def test_the_bootstrap_is_that_of_loops() -> None:
    (one, labels, dialogue), (other, _, _) = draw(0, 0.6), draw(1, 0.5, seeds=2)
    counts = [count_by_dialogue(said, labels, dialogue, 4) for said in (one, other)]
    found = compare_over_dialogues(*counts, resamples=50, seed=3)
    draws = np.random.default_rng(3).multinomial(40, np.full(40, 1 / 40), 50)

    def score(said: np.ndarray, times: np.ndarray) -> float:
        repeats = times[dialogue]
        gold = np.repeat(labels, repeats)
        return float(np.mean([f1_score(gold, np.repeat(row, repeats), average="weighted") for row in said]))

    differences = np.array([score(one, times) - score(other, times) for times in draws])
    once = np.ones(40, int)
    assert found.difference == pytest.approx(score(one, once) - score(other, once))
    np.testing.assert_allclose([found.low, found.high], np.percentile(differences, [2.5, 97.5]))
    other_side = min((differences <= 0).sum(), (differences >= 0).sum())
    assert found.p_value == pytest.approx(min(1, 2 * (other_side + 1) / 51))


def test_the_bootstrap_tells_a_real_difference_from_none() -> None:
    (one, labels, dialogue), (same, _, _), (worse, _, _) = draw(0, 0.7), draw(1, 0.7), draw(2, 0.4)
    counts, same_counts, worse_counts = (count_by_dialogue(said, labels, dialogue, 4) for said in (one, same, worse))
    assert compare_over_dialogues(counts, worse_counts, 2000).p_value < 0.01
    none = compare_over_dialogues(counts, same_counts, 2000)
    assert none.p_value > 0.05 and none.low < 0 < none.high
    assert compare_over_dialogues(counts, counts, 100).p_value == 1.0


def test_the_bootstrap_needs_the_same_dialogues() -> None:
    predicted, labels, dialogue = draw(0, 0.5)
    counts = count_by_dialogue(predicted, labels, dialogue, 4)
    with pytest.raises(InputError, match="not tested on the same dialogues: 40 and 39"):
        compare_over_dialogues(counts, counts[:, :39])
