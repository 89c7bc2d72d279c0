"""Dialogues to rows of slots: everything once, nothing torn, one shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from macsgr_jax.data.batching import (
    PADDING,
    choose_rows_per_step,
    count_steps,
    epoch_rows,
    evaluation_rows,
    index_rows,
    order_by_length,
    pack_dialogues,
    padding_fraction,
    sample_utterances,
    shorten,
)

LENGTHS = np.random.default_rng(0).integers(1, 13, 40)
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])
TRAINING = np.flatnonzero(np.arange(40) % 4 != 0)


def check_rows(index: np.ndarray, offsets: np.ndarray, dialogues: np.ndarray) -> None:
    """Every utterance of the dialogues once, each dialogue in neighbouring slots of one row, nothing else."""
    expected = np.concatenate([np.arange(offsets[d], offsets[d + 1]) for d in dialogues])
    assert sorted(index[index != PADDING].tolist()) == sorted(expected.tolist())
    rows = index.reshape(-1, index.shape[-1])
    for dialogue in dialogues:
        row, slot = np.argwhere(rows == offsets[dialogue])[0]
        utterances = np.arange(offsets[dialogue], offsets[dialogue + 1])
        assert rows[row, slot : slot + len(utterances)].tolist() == utterances.tolist()


@st.composite
def draw_layouts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, int, int]:
    """Offsets, the dialogues to take, slots, rows a step, and a seed."""
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=25))
    taken = draw(st.sets(st.integers(0, len(lengths) - 1), min_size=1))
    slots = draw(st.integers(max(lengths), 30))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return offsets, np.array(sorted(taken)), slots, draw(st.integers(1, 6)), draw(st.integers(0, 1000))


@given(draw_layouts())
def test_any_lengths_are_laid_out_whole(layout: tuple[np.ndarray, np.ndarray, int, int, int]) -> None:
    offsets, dialogues, slots, rows_per_step, seed = layout
    shape = (count_steps(offsets, dialogues, slots, rows_per_step), rows_per_step, slots)
    tight = evaluation_rows(offsets, dialogues, slots, rows_per_step)
    check_rows(tight, offsets, dialogues)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        index = epoch_rows(offsets, dialogues, slots, rows_per_step, rng)
        check_rows(index, offsets, dialogues)
        assert index.shape == tight.shape == shape and index.dtype == tight.dtype == np.int32


@pytest.mark.parametrize("seed", range(3))
def test_fifty_epochs_have_one_shape_and_everything_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    epochs = [epoch_rows(OFFSETS, TRAINING, 12, 3, rng) for _ in range(50)]
    for index in epochs:
        check_rows(index, OFFSETS, TRAINING)
    assert {index.shape for index in epochs} == {(count_steps(OFFSETS, TRAINING, 12, 3), 3, 12)}
    assert len({index.tobytes() for index in epochs}) == 50


def test_a_tight_packing_keeps_its_shape_and_the_longest_dialogue_its_turns() -> None:
    """Only sixes with fours fill these rows: almost every random order needs more rows than there are."""
    lengths = np.array([10] + [6] * 8 + [4] * 8)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rng = np.random.default_rng(0)
    steps_of_longest = set()
    for _ in range(50):
        index = epoch_rows(offsets, np.arange(17), 10, 1, rng)
        assert index.shape == (9, 1, 10)
        check_rows(index, offsets, np.arange(17))
        steps_of_longest.add(int(np.argwhere(index == 0)[0, 0]))
    assert steps_of_longest == set(range(9))


def test_the_seed_decides_everything() -> None:
    first, again, other = (epoch_rows(OFFSETS, TRAINING, 16, 3, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_evaluation_rows_are_the_same_every_time_and_in_decreasing_length() -> None:
    first, again = (evaluation_rows(OFFSETS, TRAINING, 12, 3) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    longest = TRAINING[np.argmax(LENGTHS[TRAINING])]
    assert first[0, 0, 0] == OFFSETS[longest]


def test_empty_rows_are_spread_over_the_steps() -> None:
    """Seven full rows in steps of four: the one empty row of every epoch, and five in steps of six likewise."""
    for dialogues, rows_per_step in ((7, 4), (19, 6), (13, 5)):
        offsets = np.arange(dialogues + 1) * 4
        rng = np.random.default_rng(0)
        for _ in range(10):
            index = epoch_rows(offsets, np.arange(dialogues), 4, rows_per_step, rng)
            empty = np.sum(np.all(index == PADDING, axis=2), axis=1)
            assert empty.sum() == index.shape[0] * rows_per_step - dialogues
            assert empty.max() - empty.min() <= 1


def test_every_dialogue_gets_a_turn_in_every_step() -> None:
    """Where a dialogue lands is not decided by its length or its place in the corpus."""
    offsets = np.arange(9) * 2
    rng = np.random.default_rng(0)
    steps_of_first = {int(np.argwhere(epoch_rows(offsets, np.arange(8), 2, 2, rng) == 0)[0][0]) for _ in range(60)}
    assert steps_of_first == {0, 1, 2, 3}


def test_dialogues_go_into_the_fullest_row_with_room() -> None:
    assert pack_dialogues(np.array([3, 4, 1]), 5, np.arange(3)) == [[0], [1, 2]]
    assert pack_dialogues(np.array([3, 4, 1]), 5, np.array([2, 1, 0])) == [[2, 1], [0]]
    assert pack_dialogues(np.array([3, 2, 5, 2]), 5, np.arange(4)) == [[0, 1], [2], [3]]


@pytest.mark.parametrize("function", [evaluation_rows, epoch_rows])
def test_a_dialogue_longer_than_a_row_is_refused(function: object) -> None:
    arguments = (np.array([0, 3, 9]), np.arange(2), 5, 1)
    with pytest.raises(ValueError, match="dialogue 1 has 6 utterances, a row 5 slots"):
        function(*arguments, *([np.random.default_rng(0)] if function is epoch_rows else []))  # type: ignore[operator]


def test_order_by_length_keeps_equals_as_given() -> None:
    assert order_by_length(np.array([2, 5, 2, 7]), np.array([2, 0, 1, 3])).tolist() == [3, 1, 2, 0]


def test_index_rows_by_hand() -> None:
    index = index_rows(np.array([0, 2, 3, 6]), [[1, 2], [0]], 5, 3)
    assert index.tolist() == [[2, 3, 4, 5, -1], [0, 1, -1, -1, -1], [-1] * 5]


def test_padding_fraction_by_hand() -> None:
    assert padding_fraction(np.array([[[0, 1, 2, -1], [3, -1, -1, -1]]])) == 0.5
    assert padding_fraction(np.array([[[0, 1]]])) == 0.0


def test_rows_per_step_hold_the_slots_of_the_average_dialogues() -> None:
    assert choose_rows_per_step(np.array([2, 6]), 8, 16) == 8
    assert choose_rows_per_step(np.array([2, 6]), 8, 5) == 2
    assert choose_rows_per_step(np.array([2]), 50, 1) == 1


def test_lengths_without_a_share_are_rounded_and_never_empty() -> None:
    np.testing.assert_array_equal(shorten(np.array([1, 2, 3, 9, 110]), 0.5), [1, 1, 2, 4, 55])
    np.testing.assert_array_equal(shorten(np.array([1, 2, 3, 9, 110]), 0.0), [1, 2, 3, 9, 110])
    lengths = np.arange(1, 200)
    assert np.all(np.diff(shorten(lengths, 0.7)) >= 0)  # A row shortened like its dialogues still has room for them.


def test_every_dialogue_keeps_its_number_of_utterances_in_order_each_as_likely() -> None:
    offsets, kept = np.array([0, 1, 6, 8]), np.array([1, 3, 1])
    samples = [sample_utterances(offsets, kept, np.random.default_rng(seed)) for seed in range(400)]
    for sample in samples:
        assert np.all(np.diff(sample) > 0)  # In the old order, none twice.
        np.testing.assert_array_equal(np.histogram(sample, offsets)[0], kept)
    shares = np.mean([np.isin(np.arange(8), sample) for sample in samples], axis=0)
    assert np.all(np.abs(shares - [1, 0.6, 0.6, 0.6, 0.6, 0.6, 0.5, 0.5]) < 0.1)


def test_all_utterances_are_kept_where_none_is_left_out() -> None:
    np.testing.assert_array_equal(sample_utterances(OFFSETS, LENGTHS, np.random.default_rng(0)), np.arange(OFFSETS[-1]))
