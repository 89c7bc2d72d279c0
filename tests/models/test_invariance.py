"""Padding, packing and order of the dialogues move values and gradients by rounding alone."""

from tests.testing.corpora import compile_quickly, tiny_config
from tests.testing.invariance import measure


def test_the_place_of_a_dialogue_changes_nothing_beyond_rounding() -> None:
    with compile_quickly():
        worst = measure(tiny_config(), cases=12)
    assert 0 < max(worst) < 1e-5, worst
