"""Standardisation of the feature sets of a corpus, fitted on what was measured in its training split and nothing else.

A column whose largest distance from the median is more than `HEAVY_TAIL` robust standard deviations is first replaced
by sign(x) log(1 + |x| / s), with s the median of |x|. The robust standard deviation is 1.4826 times the median distance
from the median. Where that or s is zero, as in a column that is mostly one value, there is no scale to take logarithms
by, and the column keeps its values: its outliers are left to the clipping.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.errors import InputError

HEAVY_TAIL = 20.0
MAD_TO_STD = 1.4826
PARTS = ("mean", "scale", "log_scale")


@dataclasses.dataclass(frozen=True, eq=False)
class Standardizer:
    """What turns raw feature sets into the input of a modality. D columns of a feature set.

    Attributes:
        feature_sets: modality -> its feature sets, in the order in which they are joined.
        mean: feature set -> f32[D], after the logarithm where there is one.
        scale: feature set -> f32[D], what to divide by: 1 where the training split is constant, infinite where it
            has no measured value, so that the column becomes 0.
        log_scale: feature set -> f32[D], s of the logarithm, 0 where there is none.
        clip: standardised values stay within +-clip; 0 does not clip.
    """

    feature_sets: dict[str, tuple[str, ...]]
    mean: dict[str, np.ndarray]
    scale: dict[str, np.ndarray]
    log_scale: dict[str, np.ndarray]
    clip: float

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays without Python objects, for `np.savez`; `from_arrays` is the way back."""
        pairs = [(modality, name) for modality, names in self.feature_sets.items() for name in names]
        arrays = {
            "clip": np.array(self.clip, np.float64),
            "modality": np.array([modality for modality, _ in pairs]),
            "feature_set": np.array([name for _, name in pairs]),
        }
        for part in PARTS:
            arrays |= {f"{part}_{name}": getattr(self, part)[name] for _, name in pairs}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Standardizer":
        """The standardizer that `to_arrays` was called on.

        Args:
            arrays: what `to_arrays` returned, or the .npz file that it was stored in.

        Returns:
            The standardizer.

        Raises:
            InputError: an array is missing.
        """
        try:
            feature_sets: dict[str, tuple[str, ...]] = {}
            for modality, name in zip(arrays["modality"].tolist(), arrays["feature_set"].tolist(), strict=True):
                feature_sets[modality] = (*feature_sets.get(modality, ()), name)
            sets = [name for names in feature_sets.values() for name in names]
            mean, scale, log_scale = ({name: np.asarray(arrays[f"{part}_{name}"]) for name in sets} for part in PARTS)
            return cls(feature_sets, mean, scale, log_scale, float(arrays["clip"]))
        except KeyError as error:
            sentence = f"the stored standardisation is incomplete ({error.args[0]}); write the checkpoint again."
            raise InputError(sentence) from error


def fit_standardizer(corpus: Corpus, chosen: Mapping[str, tuple[str, ...]], clip: float) -> Standardizer:
    """Fit to the measured values of the training utterances.

    Args:
        corpus: whose training split is used.
        chosen: modality -> feature sets, as `choose_features` gives it.
        clip: standard deviations beyond which values are cut; 0 does not clip.

    Returns:
        The standardizer.

    Raises:
        InputError: `clip` is negative or not finite.
    """
    if not 0 <= clip < np.inf:
        raise InputError(f"clip is {clip}; it has to be 0, which does not clip, or a positive number.")
    rows = corpus.utterances_of("train")
    fitted: dict[str, np.ndarray] = {}
    for name in (name for names in chosen.values() for name in names):
        values, measured = corpus.features[name][rows].astype(np.float64), corpus.measured[name][rows]
        columns = [_fit_column(values[measured[:, column], column]) for column in range(values.shape[1])]
        fitted[name] = np.array(columns, np.float32)
    mean, scale, log_scale = ({name: array[:, part] for name, array in fitted.items()} for part in range(len(PARTS)))
    return Standardizer(dict(chosen), mean, scale, log_scale, float(clip))


def _fit_column(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, scale and log scale of f64[n], the measured training values of a column."""
    if not len(values):
        return 0.0, np.inf, 0.0
    distances = np.abs(values - np.median(values))
    spread = MAD_TO_STD * np.median(distances)
    # Rounded here as it will be stored, so that a subnormal s counts as zero when it is fitted and when it is used.
    log_scale = float(np.float32(np.median(np.abs(values))))
    if spread == 0 or distances.max() <= HEAVY_TAIL * spread:
        log_scale = 0.0
    if log_scale:
        values = _take_logarithm(values, log_scale)
    deviation = values.std()
    # Rounding gives a constant column a standard deviation a little above zero, in proportion to its values.
    constant = deviation <= max(1e-7 * np.abs(values).max(), np.finfo(np.float32).tiny)
    return float(values.mean()), 1.0 if constant else float(deviation), log_scale


def _take_logarithm(values: np.ndarray, log_scale: np.ndarray | float) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values) / log_scale)


def standardize(standardizer: Standardizer, corpus: Corpus) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Standardise the feature sets of a corpus and join those of a modality.

    Args:
        standardizer: fitted, perhaps on another corpus.
        corpus: U utterances.

    Returns:
        features: modality -> f32[U, D_m], 0 where not measured.
        available: modality -> bool[U], whether any value of the modality was measured.

    Raises:
        InputError: the corpus lacks a feature set, or has it in another width.
    """
    features, available = {}, {}
    for modality, names in standardizer.feature_sets.items():
        features[modality] = np.concatenate([_standardize_set(standardizer, corpus, name) for name in names], axis=1)
        available[modality] = np.any([corpus.measured[name].any(axis=1) for name in names], axis=0)
    return features, available


def _standardize_set(standardizer: Standardizer, corpus: Corpus, name: str) -> np.ndarray:
    mean, scale, log_scale = (getattr(standardizer, part)[name].astype(np.float64) for part in PARTS)
    if name not in corpus.features:
        there = ", ".join(corpus.features)
        wanted = f"the feature set {name} with {len(mean)} columns, which the standardisation was fitted on"
        raise InputError(f"{corpus.name} lacks {wanted}; add it to the file (it has {there}).")
    values = corpus.features[name].astype(np.float64)
    if values.shape[1] != len(mean):
        wanted = f"columns in {name} where the standardisation was fitted on {len(mean)}"
        raise InputError(f"{corpus.name} has {values.shape[1]} {wanted}; extract it in the same way.")
    logarithms = _take_logarithm(values, np.where(log_scale > 0, log_scale, 1.0))
    values = (np.where(log_scale > 0, logarithms, values) - mean) / scale
    bound = standardizer.clip or np.finfo(np.float32).max
    return np.where(corpus.measured[name], np.clip(values, -bound, bound), 0.0).astype(np.float32)
