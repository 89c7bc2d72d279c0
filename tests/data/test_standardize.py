"""Standardisation: by hand, without a leak, and safe where there is nothing to divide by."""

from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.data.corpus import Corpus, choose_features
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.data.standardize import Standardizer, fit_standardizer, standardize
from macsgr_jax.errors import InputError


def make_corpus(features: dict[str, np.ndarray], train: int, measured: dict[str, np.ndarray] | None = None) -> Corpus:
    """One training dialogue of `train` utterances and one test dialogue of the rest."""
    size = len(next(iter(features.values())))
    masks = {name: np.ones(values.shape, bool) for name, values in features.items()} | (measured or {})
    utterances = [Utterance(id=f"u{row}", speaker="Ann", label="calm") for row in range(size)]
    return Corpus.from_dialogues(
        "tiny",
        [Dialogue("first", utterances[:train], "train"), Dialogue("second", utterances[train:], "test")],
        ("calm",),
        features={name: np.where(masks[name], values, 0).astype(np.float32) for name, values in features.items()},
        measured=masks,
    )


def fit(corpus: Corpus, clip: float = 0.0) -> Standardizer:
    return fit_standardizer(corpus, choose_features(corpus, ()), clip)


def test_values_by_hand() -> None:
    corpus = make_corpus({"text_a": np.array([[1.0, 5], [3, 5], [5, 5], [11, 6]])}, train=3)
    fitted = fit(corpus)
    deviation = np.sqrt(8 / 3)
    np.testing.assert_allclose(fitted.mean["text_a"], [3, 5], rtol=1e-6)
    np.testing.assert_allclose(fitted.scale["text_a"], [deviation, 1], rtol=1e-6)
    assert fitted.log_scale["text_a"].tolist() == [0, 0]
    features, available = standardize(fitted, corpus)
    expected = [[-2 / deviation, 0], [0, 0], [2 / deviation, 0], [8 / deviation, 1]]
    np.testing.assert_allclose(features["text"], expected, rtol=1e-6)
    assert features["text"].dtype == np.float32 and available["text"].dtype == bool


def test_clip_cuts_both_sides_and_zero_does_not() -> None:
    corpus = make_corpus({"text_a": np.array([[-1.0], [1], [7], [-7]])}, train=2)
    assert standardize(fit(corpus, 5.0), corpus)[0]["text"].ravel().tolist() == [-1, 1, 5, -5]
    assert standardize(fit(corpus, 0.0), corpus)[0]["text"].ravel().tolist() == [-1, 1, 7, -7]
    for clip in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="clip is"):
            fit(corpus, clip)


def test_unmeasured_values_neither_count_nor_appear() -> None:
    mask = np.array([[True], [True], [False], [False], [True]])
    corpus = make_corpus({"text_a": np.array([[1.0], [3], [100], [50], [5]])}, 3, {"text_a": mask})
    fitted = fit(corpus)
    assert (fitted.mean["text_a"][0], fitted.scale["text_a"][0]) == (2, 1)
    features, available = standardize(fitted, corpus)
    assert features["text"].ravel().tolist() == [-1, 1, 0, 0, 3]
    assert available["text"].tolist() == [True, True, False, False, True]


def test_sets_of_a_modality_are_joined_in_order() -> None:
    features = {"text_a": np.array([[0.0], [2], [1]]), "text_b": np.array([[5.0, 0], [1, 4], [3, 4]])}
    mask = {"text_a": np.array([[True], [True], [False]]), "text_b": np.array([[True] * 2, [True] * 2, [False] * 2])}
    corpus = make_corpus(features | {"audio_c": np.ones((3, 1))}, 2, mask)
    fitted = fit_standardizer(corpus, choose_features(corpus, ("text_b", "text_a")), 0.0)
    joined, available = standardize(fitted, corpus)
    assert list(joined) == ["text"]
    assert joined["text"].tolist() == [[1, -1, -1], [-1, 1, 1], [0, 0, 0]]
    assert available["text"].tolist() == [True, True, False]
    mask["text_b"][2, 1] = True
    partly = make_corpus(features, 2, mask)
    assert standardize(fit(partly), partly)[1]["text"].tolist() == [True, True, True]


def test_nothing_is_learned_from_the_test_split() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3))
    wild = values.copy()
    wild[30:] = 1e6 * np.random.default_rng(1).standard_cauchy((10, 3))
    mask = np.ones((40, 3), bool)
    mask[35:] = False
    one = fit(make_corpus({"text_a": values}, 30)).to_arrays()
    other = fit(make_corpus({"text_a": wild}, 30, {"text_a": mask})).to_arrays()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_column_never_measured_in_training_becomes_zero() -> None:
    mask = np.ones((5, 2), bool)
    mask[:3, 0] = False
    corpus = make_corpus({"text_a": np.array([[9.0, 1], [9, 2], [9, 3], [70, 4], [-80, 5]])}, 3, {"text_a": mask})
    features, available = standardize(fit(corpus), corpus)
    assert features["text"][:, 0].tolist() == [0, 0, 0, 0, 0]
    assert features["text"][4, 1] > 0 and available["text"].all()


def test_heavy_tail_takes_logarithms_by_hand() -> None:
    column = np.array([-3.0, -2, -1, 0, 1, 2, 3, 4, 5000])
    corpus = make_corpus({"audio_a": np.append(column, 70.0)[:, None]}, train=9)
    fitted = fit(corpus)
    assert fitted.log_scale["audio_a"][0] == 2  # the median of 3 2 1 0 1 2 3 4 5000
    logarithms = np.sign(column) * np.log1p(np.abs(column) / 2)
    np.testing.assert_allclose(fitted.mean["audio_a"], [logarithms.mean()], rtol=1e-6)
    np.testing.assert_allclose(fitted.scale["audio_a"], [logarithms.std()], rtol=1e-6)
    expected = (np.append(logarithms, np.log1p(35)) - logarithms.mean()) / logarithms.std()
    np.testing.assert_allclose(standardize(fitted, corpus)[0]["audio"].ravel(), expected, rtol=1e-5)


@pytest.mark.parametrize(("largest", "taken"), [(20 * 1.4826 * 2 * 0.99, False), (20 * 1.4826 * 2 * 1.01, True)])
def test_heavy_tail_threshold(largest: float, taken: bool) -> None:
    # Median 0 and median distance 2 with or without the last value.
    column = np.array([-3.0, -2, -2, -1, 0, 1, 2, 2, largest])
    assert np.median(column) == 0 and np.median(np.abs(column)) == 2
    assert (fit(make_corpus({"audio_a": column[:, None]}, 9)).log_scale["audio_a"][0] > 0) == taken


@pytest.mark.parametrize(
    "column",
    [
        [0, 0, 0, 0, 0, 0, 1e6],  # median distance and s are zero
        [7, 7, 7, 7, 7, 7, 1e6],  # median distance is zero
        [0.1] * 7,  # constant, not exact in binary
        [1e-45, -1e-45, 2e-45, 0, 1e-45, 0, 3e-38],  # subnormal
        [1e-30, 2e-30, 3e-30, 4e-30, 5e-30, 6e-30, 7e-30],  # float32 overflows on what the test split has
        [3e38, -3e38, 1, 2, 3, 4, 5],  # the ends of float32
        [0] * 7,
    ],
)
@pytest.mark.parametrize("clip", [0.0, 5.0])
def test_degenerate_columns_stay_finite(column: list[float], clip: float) -> None:
    values = np.array([*column, 3e38, -3e38, 1e-45])[:, None]
    corpus = make_corpus({"audio_a": values}, train=7)
    fitted = fit(corpus, clip)
    assert (fitted.scale["audio_a"] > 0).all() and np.isfinite(fitted.mean["audio_a"]).all()
    assert np.isfinite(standardize(fitted, corpus)[0]["audio"]).all()


@pytest.mark.parametrize("usual", [0.0, 7.0])
def test_column_that_is_mostly_one_value_takes_no_logarithm(usual: float) -> None:
    corpus = make_corpus({"audio_a": np.array([usual] * 6 + [1e6, 2.0])[:, None]}, train=7)
    fitted = fit(corpus, 2.0)
    assert fitted.log_scale["audio_a"].tolist() == [0]
    np.testing.assert_allclose(fitted.mean["audio_a"], [(6 * usual + 1e6) / 7], rtol=1e-6)
    assert standardize(fitted, corpus)[0]["audio"][6, 0] == 2.0


def test_constant_column_is_zero_in_training() -> None:
    corpus = make_corpus({"audio_a": np.full((8, 1), 0.1)}, train=7)
    fitted = fit(corpus)
    assert fitted.scale["audio_a"].tolist() == [1]
    assert np.abs(standardize(fitted, corpus)[0]["audio"]).max() < 1e-7


def test_arrays_bring_the_standardizer_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_cauchy((9, 6))
    corpus = make_corpus({"text_a": values[:, :2], "audio_c": values[:, 2:5], "text_b": values[:, 5:]}, 7)
    fitted = fit(corpus, 4.0)
    np.savez(tmp_path / "standardizer.npz", **fitted.to_arrays())
    with np.load(tmp_path / "standardizer.npz", allow_pickle=False) as stored:
        again = Standardizer.from_arrays(stored)
    assert again.feature_sets == {"audio": ("audio_c",), "text": ("text_a", "text_b")}
    assert again.clip == 4.0
    expected, actual = standardize(fitted, corpus)[0], standardize(again, corpus)[0]
    assert list(expected) == list(actual)
    for modality in expected:
        np.testing.assert_array_equal(expected[modality], actual[modality])


def test_incomplete_arrays_are_refused() -> None:
    arrays = fit(make_corpus({"text_a": np.ones((3, 2))}, 2)).to_arrays()
    for name in arrays:
        with pytest.raises(InputError, match=f"incomplete .*{name}"):
            Standardizer.from_arrays({key: array for key, array in arrays.items() if key != name})


def test_another_corpus_needs_the_same_sets_and_widths() -> None:
    fitted = fit(make_corpus({"text_a": np.ones((3, 2)), "audio_c": np.ones((3, 4))}, 2))
    with pytest.raises(InputError, match=r"tiny lacks the feature set audio_c with 4 columns.*it has text_a"):
        standardize(fitted, make_corpus({"text_a": np.ones((3, 2))}, 2))
    other = make_corpus({"text_a": np.ones((3, 5)), "audio_c": np.ones((3, 4))}, 2)
    with pytest.raises(InputError, match="tiny has 5 columns in text_a where the standardisation was fitted on 2"):
        standardize(fitted, other)
