"""Grids and random draws of settings, from their text."""

import numpy as np
import pytest

from macsgr_jax.config import Config
from macsgr_jax.errors import InputError
from macsgr_jax.search.space import configure_point, draw_points, find_setting, make_grid


def test_an_axis_includes_both_ends_in_exact_decimals() -> None:
    points = make_grid(["lambda=0.1:0.9:0.1"], Config())
    assert [point["loss.lambda_alignment"] for point in points] == [f"0.{digit}" for digit in range(1, 10)]
    assert [configure_point(Config(), point).loss.lambda_alignment for point in points] == [
        float(f"0.{digit}") for digit in range(1, 10)
    ]


def test_the_papers_search_has_a_thousand_points_in_order() -> None:
    axes = [f"gamma_{name}=0.1:1:0.1" for name in ("instance", "prototype", "latent")]
    points = make_grid(axes, Config())
    assert len({tuple(point.values()) for point in points}) == 1000
    assert list(points[0]) == ["loss.gamma_instance", "loss.gamma_prototype", "loss.gamma_latent"]
    assert list(points[1].values()) == ["0.1", "0.1", "0.2"] and list(points[-1].values()) == ["1.0", "1.0", "1.0"]


def test_static_settings_and_feature_sets_are_axes_too() -> None:
    points = make_grid(["window_past=5, 10", "semantic_encoder=true,false", "features=text_a,audio_b;text_a"], Config())
    configs = [configure_point(Config(), point) for point in points]
    assert [config.model.window_past for config in configs] == [5] * 4 + [10] * 4
    assert [config.model.semantic_encoder for config in configs[:4]] == [True, True, False, False]
    assert [config.data.features for config in configs[:2]] == [("text_a", "audio_b"), ("text_a",)]


def test_a_random_draw_lies_in_its_ranges_and_follows_its_seed() -> None:
    ranges = ["learning_rate=1e-4:1e-2:log", "model.dropout=0.1:0.6", "window_past=1:3", "uncertainty=direct,inverse"]
    points = draw_points(400, ranges, Config(), 0)
    assert points == draw_points(400, ranges, Config(), 0) != draw_points(400, ranges, Config(), 1)
    configs = [configure_point(Config(), point) for point in points]
    rates = np.log10([config.train.learning_rate for config in configs])
    assert rates.min() >= -4 and rates.max() <= -2 and abs(rates.mean() + 3) < 0.1
    dropout = np.array([config.model.dropout for config in configs])
    assert dropout.min() >= 0.1 and dropout.max() <= 0.6 and abs(dropout.mean() - 0.35) < 0.03
    windows = np.bincount([config.model.window_past for config in configs])
    assert len(windows) == 4 and windows[0] == 0 and windows[1:].min() > 100
    assert {config.model.uncertainty for config in configs} == {"direct", "inverse"}


def test_names_may_be_short_where_they_are_unambiguous() -> None:
    assert find_setting("lambda", Config()) == "loss.lambda_alignment"
    assert find_setting("hidden_size", Config()) == find_setting("model.hidden_size", Config()) == "model.hidden_size"


@pytest.mark.parametrize(
    ("axis", "sentence"),
    [
        ("lambda", "--grid lambda: write it as NAME=VALUES"),
        ("lambda=", "--grid lambda=: write it as NAME=VALUES"),
        ("lamda=1,2", "there is no one setting lamda: `macsgr train --help` lists"),
        ("lambda=0.1:0.9", "loss.lambda_alignment=0.1:0.9: write FIRST:LAST:STEP in numbers"),
        ("lambda=a:b:c", "write FIRST:LAST:STEP in numbers"),
        ("lambda=0:nan:1", "write FIRST:LAST:STEP in numbers"),
        ("lambda=0.9:0.1:0.1", "needs LAST not below FIRST"),
        ("lambda=0.1:0.9:0", "a STEP above 0"),
        ("lambda=0:1:0.000001", "1000001 points are too many"),
    ],
)
def test_a_bad_axis_is_named(axis: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make_grid([axis], Config())


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"loss\.lambda_alignment is given twice"):
        make_grid(["lambda=1,2", "loss.lambda_alignment=3"], Config())


@pytest.mark.parametrize(
    ("axis", "sentence"),
    [
        ("learning_rate=1e-2:1e-4:log", "HIGH must not be below LOW"),
        ("learning_rate=0:1e-4:log", "LOW must be above 0"),
        ("learning_rate=1e-4:1e-2:1:log", "write LOW:HIGH or LOW:HIGH:log"),
    ],
)
def test_a_bad_range_is_named(axis: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        draw_points(1, [axis], Config(), 0)
