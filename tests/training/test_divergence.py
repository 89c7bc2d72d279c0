"""Losses that are not finite: found, named, and kept to the run that they are of."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from macsgr_jax.config import Config
from macsgr_jax.losses import TERMS
from macsgr_jax.training.loop import DivergenceError, EpochReport, check_finite
from tests.testing.corpora import compile_quickly
from tests.testing.ten_seeds import SEEDS, flatten, train_to_end

ADVICE = r": lower train\.learning_rate, or set train\.clip_norm$"


def make_report(epoch: int = 5, nll: float = 1.0, **terms: list[float]) -> EpochReport:
    """Two runs of four steps, of which the second run is as given."""
    good = {name: np.ones((2, 4), np.float32) for name in TERMS}
    for name, values in terms.items():
        good[name][1] = values
    return EpochReport(epoch, good, {"nll": np.array([1, nll], np.float32)})


def change_rate(ten_seeds: Any, run: int, rate: float) -> list[Config]:
    """The configurations of ten seeds with another learning rate for one of them."""
    config = ten_seeds.config
    changed = dataclasses.replace(config, train=dataclasses.replace(config.train, learning_rate=rate))
    return [changed if seed == run else config for seed in SEEDS]


def test_the_seed_the_first_step_and_the_part_at_fault_are_named() -> None:
    check_finite(make_report(), [7, 9])
    late, early = [1, 1, np.inf, 1], [1, np.nan, 1, 1]
    with pytest.raises(DivergenceError, match="^seed 9: the latent loss is inf at step 3 of epoch 5" + ADVICE):
        check_finite(make_report(total=late, latent=late), [7, 9])
    with pytest.raises(DivergenceError, match="^seed 9: the total loss is nan at step 2 of epoch 1" + ADVICE):
        check_finite(make_report(1, total=early, latent=late), [7, 9])


def test_the_validation_loss_counts_too() -> None:
    with pytest.raises(DivergenceError, match="^seed 9: the validation loss is nan at epoch 5" + ADVICE):
        check_finite(make_report(nll=np.nan), [7, 9])


def test_the_first_run_at_fault_is_named() -> None:
    report = make_report(total=[1, 1, np.inf, 1])
    report.terms["total"][0, 3] = np.nan
    with pytest.raises(DivergenceError, match="^seed 7: the total loss is nan at step 4 of epoch 5" + ADVICE):
        check_finite(report, [7, 9])


def test_a_run_that_diverges_leaves_the_others_alone(ten_seeds: Any) -> None:
    with compile_quickly():
        runs, reports = train_to_end(ten_seeds.prepared, change_rate(ten_seeds, 3, 1e30), SEEDS)
    with pytest.raises(DivergenceError, match=r"^seed 3: the \w+ loss is (inf|nan|-inf) at .* of epoch [12]: lower"):
        for report in reports:
            check_finite(report, SEEDS)
    others = np.array([run for run in SEEDS if run != 3])
    for name, values in flatten(runs, len(SEEDS)).items():
        np.testing.assert_array_equal(values[others], ten_seeds.outcome[name][others], err_msg=name)


def test_weights_that_the_last_step_spoiled_show_in_the_same_epoch(ten_seeds: Any) -> None:
    """The losses are those before each step: the validation loss alone knows what the last one did."""
    with compile_quickly():
        _, reports = train_to_end(ten_seeds.prepared, change_rate(ten_seeds, 1, np.inf), SEEDS)
    first = reports[0]
    first.terms.update({name: np.where(np.isfinite(term), term, 1) for name, term in first.terms.items()})
    with pytest.raises(DivergenceError, match="^seed 1: the validation loss is nan at epoch 1" + ADVICE):
        check_finite(first, SEEDS)
