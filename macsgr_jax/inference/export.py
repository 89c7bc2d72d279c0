"""A trained network as one file that jax alone runs: raw features in, probabilities out, any number of rows and slots.

FOLDER/model.jax_export   what `jax.export` serialises: StableHLO for several platforms, the weights inside
FOLDER/model.json         labels, inputs, outputs, and where the weights come from
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, ShapeDtypeStruct
from jax.export import Exported, export, symbolic_shape

from macsgr_jax.data.standardize import Standardizer
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_folder_atomically, write_json
from macsgr_jax.models import Network
from macsgr_jax.types import Batch

FORMAT = "macsgr_jax.inference.export/1"
PLATFORMS = ("cpu", "cuda", "tpu")
MODEL_FILE, DESCRIPTION_FILE = "model.jax_export", "model.json"


class Argument(NamedTuple):
    """What an exported function takes or gives: dtype, shape in the letters of `macsgr_jax.types`, and meaning.

    D stands for the columns of a feature set: such an argument is a dictionary of arrays, feature set -> array.
    """

    name: str
    dtype: str
    shape: str
    meaning: str


INPUTS = (
    Argument("features", "float32", "BND", "feature set -> values as they were extracted, not standardised"),
    Argument("measured", "bool", "BND", "feature set -> whether a value counts; one that is not finite never does"),
    Argument("speakers", "int32", "BN", "who speaks, any numbers"),
    Argument("dialogue", "int32", "BN", "which dialogue, from 0; the utterances of one are neighbours, in order"),
    Argument("mask", "bool", "BN", "whether an utterance is there; where not, the other inputs may be anything"),
)
OUTPUTS = (
    Argument("probabilities", "float32", "BNC", "of each label; 0 where the mask is false"),
    Argument("weights", "float32", "MBN", "of each modality in the fusion, 1 in all; 0 where it was not measured"),
)

Exportable = Callable[[dict[str, Array], dict[str, Array], Array, Array, Array], tuple[Array, Array]]


def make_exportable(
    params: dict[str, Any], network: Network, standardizer: Standardizer, temperature: float = 1.0
) -> Exportable:
    """A function from raw features to probabilities, at the means of the latent Gaussians.

    Args:
        params: weights.
        network: the network.
        standardizer: fitted on the training split.
        temperature: the logits are divided by it; above 1 the probabilities are less certain.

    Returns:
        A function of features (feature set -> f32[B, N, D]), measured (feature set -> bool[B, N, D]), speakers
        i32[B, N], dialogue i32[B, N] and mask bool[B, N], described in `INPUTS`; it returns probabilities f32[B, N, C]
        and fusion weights f32[M, B, N], modalities in alphabetical order, described in `OUTPUTS`.

    Raises:
        InputError: the temperature is not a positive number.
    """
    if not 0 < temperature < np.inf:
        raise InputError(f"the temperature is {temperature}; it has to be a positive number")
    params = jax.tree.map(jnp.asarray, params)  # NumPy's cannot be indexed by what is traced.

    def predict(
        features: dict[str, Array], measured: dict[str, Array], speakers: Array, dialogue: Array, mask: Array
    ) -> tuple[Array, Array]:
        measured = {name: counts & jnp.isfinite(features[name]) & mask[..., None] for name, counts in measured.items()}
        inputs, available = standardize_rows(standardizer, features, measured)
        batch = Batch(
            features=inputs,
            available=available,
            speakers=jnp.where(mask, speakers, 0),
            labels=jnp.zeros_like(speakers),
            dialogue=jnp.where(mask, dialogue, -1),
            mask=mask,
        )
        output = network.apply({"params": params}, batch)
        probabilities = jax.nn.softmax(output.logits / temperature)
        return jnp.where(mask[..., None], probabilities, 0.0), output.weights

    return predict


def standardize_rows(
    standardizer: Standardizer, features: dict[str, Array], measured: dict[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """What `macsgr_jax.data.standardize.standardize` does in float64, traceable and in float32.

    Args:
        standardizer: fitted before.
        features: feature set -> f32[..., D].
        measured: feature set -> bool[..., D]; what is not measured may be anything.

    Returns:
        features: modality -> f32[..., D_m], 0 where not measured.
        available: modality -> bool[...], whether any value of the modality was measured.
    """
    joined, available = {}, {}
    for modality, names in standardizer.feature_sets.items():
        sets = [_standardize_set(standardizer, name, features[name], measured[name]) for name in names]
        joined[modality] = jnp.concatenate(sets, axis=-1)
        available[modality] = jnp.any(jnp.concatenate([measured[name] for name in names], axis=-1), axis=-1)
    return joined, available


def _standardize_set(standardizer: Standardizer, name: str, values: Array, measured: Array) -> Array:
    mean, scale, log_scale = (getattr(standardizer, part)[name] for part in ("mean", "scale", "log_scale"))
    logged = log_scale > 0
    values = jnp.where(measured, values, 0.0)
    log_mean, log_scale = np.where(logged, mean, np.float32(0)), np.where(logged, log_scale, np.float32(1))
    values = jnp.where(logged, _subtract_from_logarithm(values, log_mean, log_scale), values - mean) / scale
    bound = standardizer.clip or np.finfo(np.float32).max
    return jnp.where(measured, jnp.clip(values, -bound, bound), 0.0)


def _subtract_from_logarithm(values: Array, mean: np.ndarray, log_scale: np.ndarray) -> Array:
    """sign(x) log(1 + |x| / s) - mean, where the two are nearly equal as exact as elsewhere.

    With c such that log(1 + c / s) is |mean|, log(1 + |x| / s) - |mean| is log(1 + (|x| - c) / (s + c)).
    """
    exact = np.abs(mean.astype(np.float64))
    center = (log_scale * np.expm1(exact)).astype(np.float32)
    rounding = (np.log1p(center / log_scale.astype(np.float64)) - exact).astype(np.float32)
    ratio = (jnp.abs(values) - center) / (log_scale + center)
    near = np.sign(mean) * (jnp.log1p(ratio) + rounding)
    far = jnp.sign(values) * jnp.log1p(jnp.abs(values) / log_scale) - mean
    return jnp.where((jnp.sign(values) * np.sign(mean) > 0) & (ratio > -0.5), near, far)


def export_function(function: Exportable, standardizer: Standardizer) -> Exported:
    """Lower a function for `PLATFORMS`, with the numbers of rows B and of slots N left open.

    Args:
        function: of `make_exportable`; its weights become part of the program.
        standardizer: that of the function.

    Returns:
        What `serialize` makes bytes of; `jax.export.deserialize` is the way back, and `call` runs it.
    """
    rows, slots = symbolic_shape("B, N", constraints=["B >= 1", "N >= 1"])
    widths = {name: len(standardizer.mean[name]) for names in standardizer.feature_sets.values() for name in names}

    def specify(argument: Argument) -> Any:
        def array(*columns: int) -> ShapeDtypeStruct:
            return ShapeDtypeStruct((rows, slots, *columns), argument.dtype)

        return {name: array(width) for name, width in widths.items()} if "D" in argument.shape else array()

    return export(jax.jit(function), platforms=PLATFORMS)(*map(specify, INPUTS))


def describe_export(exported: Exported, standardizer: Standardizer, label_names: Sequence[str]) -> dict[str, Any]:
    """What one has to know to call an exported function, as plain values for `write_export`.

    Args:
        exported: of `export_function`.
        standardizer: that of the function.
        label_names: the C emotions.

    Returns:
        Format, platforms, labels, modalities, feature sets in the order in which those of a modality are joined, inputs
        in the order of the call, outputs.
    """
    inputs, outputs = (
        [argument._asdict() | {"shape": list(argument.shape)} for argument in arguments]
        for arguments in (INPUTS, OUTPUTS)
    )
    return {
        "format": FORMAT,
        "file": MODEL_FILE,
        "platforms": list(exported.platforms),
        "calling_convention": exported.calling_convention_version,
        "labels": list(label_names),
        "modalities": sorted(standardizer.feature_sets),
        "feature_sets": [
            {"name": name, "modality": modality, "columns": len(standardizer.mean[name])}
            for modality, names in sorted(standardizer.feature_sets.items())
            for name in names
        ],
        "inputs": inputs,
        "outputs": outputs,
    }


def write_export(folder: Path, exported: Exported, description: dict[str, Any], overwrite: bool = False) -> None:
    """Write the files of an export: all of them, or none.

    Args:
        folder: made, with those above it.
        exported: of `export_function`.
        description: of `describe_export`, with anything else; the file's sha256 is added.
        overwrite: replace an earlier export.

    Raises:
        InputError: the folder holds something, or cannot be written.
    """
    refuse_occupied(folder, overwrite)
    content = bytes(exported.serialize())
    with write_folder_atomically(folder) as temporary:
        (temporary / MODEL_FILE).write_bytes(content)
        write_json(temporary / DESCRIPTION_FILE, description | {"sha256": hashlib.sha256(content).hexdigest()})


def refuse_occupied(folder: Path, overwrite: bool) -> None:
    """Raise InputError where an export would replace anything but an earlier export that is to be replaced."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give the path of a folder")
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = found - {MODEL_FILE, DESCRIPTION_FILE}
    if others:
        raise InputError(f"{folder} is not empty, it holds {min(others)}: choose another folder")
    if found and not overwrite:
        raise InputError(f"{folder} holds an export: choose another folder, or replace it with --overwrite")
