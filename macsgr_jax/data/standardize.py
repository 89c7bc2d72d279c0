"""Standardisation of feature sets, fitted on what was measured in the training split of a corpus and nothing else.

A column whose largest distance from the median is more than `HEAVY_TAIL` robust standard deviations is first replaced
by sign(x) log(1 + |x| / s), with s the median of |x|. The robust standard deviation is 1.4826 times the median distance
from the median. Where that or s is zero, as in a column that is mostly one value, there is no scale to take logarithms
by, and the column keeps its values: its outliers are left to the clipping.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from macsgr_jax.data.corpus import MODALITIES, Corpus
from macsgr_jax.errors import InputError

HEAVY_TAIL = 20.0
MAD_TO_STD = 1.4826
PARTS = ("mean", "scale", "log_scale")


@dataclasses.dataclass(frozen=True, eq=False)
class Standardizer:
    """Turns raw feature sets into the input of each modality; D stands for the columns of a feature set.

    Attributes:
        feature_sets: modality -> its feature sets, in the order in which they are joined.
        mean: feature set -> f32[D], the mean, taken after the logarithm where there is one.
        scale: feature set -> f32[D], the divisor: 1 where the training split is constant, infinite where it has no
            measured value, so that the column becomes 0.
        log_scale: feature set -> f32[D], s of the logarithm; 0 where no logarithm is taken.
        clip: standardised values stay within +-clip; 0 does not clip.
    """

    feature_sets: dict[str, tuple[str, ...]]
    mean: dict[str, np.ndarray]
    scale: dict[str, np.ndarray]
    log_scale: dict[str, np.ndarray]
    clip: float

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns arrays without Python objects, for `np.savez`; `from_arrays` reads them back."""
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
        """Restores a standardizer from its arrays.

        Args:
            arrays: the arrays that `to_arrays` returned, or the .npz file that they were stored in.

        Returns:
            The standardizer.

        Raises:
            InputError: an array is missing, or they do not fit each other.
        """
        try:
            modalities, names = (_read_names(arrays[key]) for key in ("modality", "feature_set"))
            clip = arrays["clip"]
            mean, scale, log_scale = ({name: np.asarray(arrays[f"{part}_{name}"]) for name in names} for part in PARTS)
        except KeyError as error:
            sentence = f"the stored standardisation is incomplete ({error.args[0]}); write the checkpoint again."
            raise InputError(sentence) from error
        if not names or len(names) != len(modalities) or len(set(names)) < len(names):
            raise InputError("the stored standardisation does not name each feature set once, with its modality.")
        for modality, name in zip(modalities, names, strict=True):
            if modality not in MODALITIES or name.split("_", 1)[0] != modality:
                raise InputError(f"the stored standardisation has the feature set {name!r} as {modality!r}.")
            _check_parts(name, mean[name], scale[name], log_scale[name])
        if clip.shape != () or clip.dtype.kind != "f" or not 0 <= clip < np.inf:
            raise InputError("the stored standardisation has a clip that is no finite number from 0 on.")
        feature_sets: dict[str, tuple[str, ...]] = {}
        for modality, name in zip(modalities, names, strict=True):
            feature_sets[modality] = (*feature_sets.get(modality, ()), name)
        return cls(feature_sets, mean, scale, log_scale, float(clip))


def _read_names(array: np.ndarray) -> list[str]:
    if array.ndim != 1 or array.dtype.kind != "U":
        raise InputError("the stored standardisation does not name its feature sets.")
    return [str(name) for name in array.tolist()]


def _check_parts(name: str, mean: np.ndarray, scale: np.ndarray, log_scale: np.ndarray) -> None:
    """Checks dtype, shape and range of what is stored of a feature set.

    Raises:
        InputError: they do not fit.
    """
    for part, array in zip(PARTS, (mean, scale, log_scale), strict=True):
        if array.dtype != np.float32 or array.ndim != 1 or not len(array) or len(array) != len(mean):
            found = f"{array.dtype}{list(array.shape)}"
            raise InputError(f"the stored {part} of {name} is {found}; it should be float32[D], the same D for all.")
    in_range = np.isfinite(mean) & (scale > 0) & np.isfinite(log_scale) & (log_scale >= 0)
    if not in_range.all():
        column = int(np.flatnonzero(~in_range)[0])
        raise InputError(f"the stored standardisation of column {column} of {name} is no number, or out of range.")


def fit_standardizer(corpus: Corpus, chosen: Mapping[str, tuple[str, ...]], clip: float) -> Standardizer:
    """Fits a standardizer to the measured values of the training utterances.

    Args:
        corpus: the corpus whose training split is used.
        chosen: modality -> feature sets, as `choose_features` returns it.
        clip: the number of standard deviations at which values are clipped; 0 does not clip.

    Returns:
        The fitted standardizer.

    Raises:
        InputError: `clip` is negative or not finite.
    """
    if not 0 <= clip < np.inf:
        raise InputError(f"clip is {clip}; it has to be 0, which does not clip, or a positive number.")
    rows = corpus.utterances_of("train")
    fitted: dict[str, np.ndarray] = {}
    for name in (name for names in chosen.values() for name in names):
        if not corpus.measured[name][rows].any():
            raise InputError(
                f"{corpus.name}: the feature set {name} has no value in the training split, so nothing can be learned"
                " from it; leave it out"
            )
        values, measured = corpus.features[name][rows].astype(np.float64), corpus.measured[name][rows]
        columns = [_fit_column(values[measured[:, column], column]) for column in range(values.shape[1])]
        fitted[name] = np.array(columns, np.float32)
    mean, scale, log_scale = ({name: array[:, part] for name, array in fitted.items()} for part in range(len(PARTS)))
    return Standardizer(dict(chosen), mean, scale, log_scale, float(clip))


def _fit_column(values: np.ndarray) -> tuple[float, float, float]:
    """Returns the mean, scale and log scale of a column, whose measured training values are f64[n]."""
    if not len(values):
        return 0.0, np.inf, 0.0
    distances = np.abs(values - np.median(values))
    spread = MAD_TO_STD * np.median(distances)
    # Rounded here as it will be stored, so that a subnormal s counts as zero when it is fitted and when it is used.
    log_scale = float(np.float32(np.median(np.abs(values))))
    if spread == 0 or distances.max() <= HEAVY_TAIL * spread:
        log_scale = 0.0
    if log_scale:
        values = np.sign(values) * np.log1p(np.abs(values) / log_scale)
    deviation = values.std()
    # Rounding gives a constant column a standard deviation a little above zero, in proportion to its values.
    constant = deviation <= max(1e-7 * np.abs(values).max(), np.finfo(np.float32).tiny)
    return float(values.mean()), 1.0 if constant else float(deviation), log_scale


def standardize(standardizer: Standardizer, corpus: Corpus) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Standardises the feature sets of a corpus in float64 and joins those of each modality.

    Args:
        standardizer: a fitted standardisation, perhaps of another corpus.
        corpus: the corpus, with U utterances.

    Returns:
        features: modality -> f32[U, D_m], 0 where not measured.
        available: modality -> bool[U], whether any value of the modality was measured.

    Raises:
        InputError: the corpus lacks a feature set, or has it with another number of columns.
    """
    for names in standardizer.feature_sets.values():
        for name in names:
            _check_columns(standardizer, corpus, name)
    return standardize_arrays(standardizer, corpus.features, corpus.measured, np, np.float64)


def standardize_arrays(
    standardizer: Standardizer, features: Mapping[str, Any], measured: Mapping[str, Any], xp: Any, dtype: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Standardises feature sets and joins those of each modality, with NumPy or traced by JAX.

    Args:
        standardizer: a fitted standardisation.
        features: feature set -> f[..., D], with the columns that the standardisation was fitted on.
        measured: feature set -> bool[..., D]; what is not measured may be anything.
        xp: the array module, numpy or jax.numpy.
        dtype: the NumPy type to compute in: float64 for the data of a training, float32 where it is traced.

    Returns:
        features: modality -> f32[..., D_m], 0 where not measured.
        available: modality -> bool[...], whether any value of the modality was measured.
    """
    joined, available = {}, {}
    for modality, names in standardizer.feature_sets.items():
        sets = [_standardize_set(standardizer, name, features[name], measured[name], xp, dtype) for name in names]
        joined[modality] = xp.concatenate(sets, axis=-1)
        available[modality] = xp.any(xp.concatenate([measured[name] for name in names], axis=-1), axis=-1)
    return joined, available


def _check_columns(standardizer: Standardizer, corpus: Corpus, name: str) -> None:
    columns = len(standardizer.mean[name])
    if name not in corpus.features:
        known = ", ".join(corpus.features)
        wanted = f"the feature set {name} with {columns} columns, which the standardisation was fitted on"
        raise InputError(f"{corpus.name} lacks {wanted}; add it to the file (it has {known}).")
    found = corpus.features[name].shape[1]
    if found != columns:
        wanted = f"columns in {name} where the standardisation was fitted on {columns}"
        raise InputError(f"{corpus.name} has {found} {wanted}; extract it in the same way.")


def _standardize_set(standardizer: Standardizer, name: str, values: Any, measured: Any, xp: Any, dtype: Any) -> Any:
    mean, scale, log_scale = (getattr(standardizer, part)[name].astype(dtype) for part in PARTS)
    logged = log_scale > 0
    values = xp.where(measured, values, 0.0).astype(dtype)
    log_mean, log_scale = np.where(logged, mean, dtype(0)), np.where(logged, log_scale, dtype(1))
    centered = xp.where(logged, _subtract_from_logarithm(values, log_mean, log_scale, xp), values - mean)
    bound = standardizer.clip or np.finfo(np.float32).max
    return xp.where(measured, xp.clip(centered / scale, -bound, bound), 0.0).astype(np.float32)


def _subtract_from_logarithm(values: Any, mean: np.ndarray, log_scale: np.ndarray, xp: Any) -> Any:
    """Computes sign(x) log(1 + |x| / s) - mean, where the two are nearly equal as exactly as elsewhere.

    With c such that log(1 + c / s) is |mean|, log(1 + |x| / s) - |mean| is log(1 + (|x| - c) / (s + c)).
    """
    exact = np.abs(mean.astype(np.float64))
    center = (log_scale * np.expm1(exact)).astype(mean.dtype)
    rounding = (np.log1p(center / log_scale.astype(np.float64)) - exact).astype(mean.dtype)
    ratio = (xp.abs(values) - center) / (log_scale + center)
    near = (xp.sign(values) * np.sign(mean) > 0) & (ratio > -0.5)
    exactly = np.sign(mean) * (xp.log1p(xp.where(near, ratio, 0.0)) + rounding)
    return xp.where(near, exactly, xp.sign(values) * xp.log1p(xp.abs(values) / log_scale) - mean)
