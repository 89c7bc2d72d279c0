"""Exports a trained network as one file that jax alone runs: raw features in, probabilities out, any batch shape.

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

from macsgr_jax.data.standardize import Standardizer, standardize_arrays
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_folder_atomically, write_json
from macsgr_jax.models import Network
from macsgr_jax.types import Batch

FORMAT = "macsgr_jax.export/1"
PLATFORMS = ("cpu", "cuda", "tpu")
MODEL_FILE, DESCRIPTION_FILE = "model.jax_export", "model.json"


class Argument(NamedTuple):
    """An input or output of an exported function: dtype, shape in the letters of `macsgr_jax.types`, and meaning.

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
    """Makes a function from raw features to probabilities, at the means of the latent Gaussians.

    Args:
        params: the weights.
        network: the network.
        standardizer: the scaling fitted on the training split.
        temperature: the number by which logits are divided; above 1 the probabilities are less certain.

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
        inputs, available = standardize_arrays(standardizer, features, measured, jnp, np.float32)
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


def export_function(function: Exportable, standardizer: Standardizer) -> Exported:
    """Lowers a function for `PLATFORMS`, with the numbers of rows B and of slots N left open.

    Args:
        function: a function of `make_exportable`; its weights become part of the program.
        standardizer: the scaling of the function.

    Returns:
        The exported program: `serialize` makes bytes of it, `jax.export.deserialize` reads them, and `call` runs it.
    """
    rows, slots = symbolic_shape("B, N", constraints=["B >= 1", "N >= 1"])
    widths = {name: len(standardizer.mean[name]) for names in standardizer.feature_sets.values() for name in names}

    def specify(argument: Argument) -> Any:
        def array(*columns: int) -> ShapeDtypeStruct:
            return ShapeDtypeStruct((rows, slots, *columns), argument.dtype)

        return {name: array(width) for name, width in widths.items()} if "D" in argument.shape else array()

    return export(jax.jit(function), platforms=PLATFORMS)(*map(specify, INPUTS))


def describe_export(exported: Exported, standardizer: Standardizer, label_names: Sequence[str]) -> dict[str, Any]:
    """Describes how to call an exported function, as plain values for `write_export`.

    Args:
        exported: the program of `export_function`.
        standardizer: the scaling of the function.
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
    """Writes the files of an export: all of them, or none.

    Args:
        folder: the folder to make, with its parents.
        exported: the program of `export_function`.
        description: the description of `describe_export`, and more; the sha256 of the file is added.
        overwrite: whether to replace an earlier export.

    Raises:
        InputError: the folder holds something, or cannot be written.
    """
    refuse_occupied(folder, overwrite)
    content = bytes(exported.serialize())
    with write_folder_atomically(folder) as temporary:
        (temporary / MODEL_FILE).write_bytes(content)
        write_json(temporary / DESCRIPTION_FILE, description | {"sha256": hashlib.sha256(content).hexdigest()})


def refuse_occupied(
    folder: Path,
    overwrite: bool,
    files: Sequence[str] = (MODEL_FILE, DESCRIPTION_FILE),
    what: str = "an export",
) -> None:
    """Checks that a folder is free, or holds only an earlier result that is to be replaced.

    Args:
        folder: the folder to write.
        overwrite: whether to replace an earlier result.
        files: the names of all files of such a result.
        what: what such a result is called.

    Raises:
        InputError: the folder is a file, or holds something else, or a result that is not to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give the path of a folder")
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = found - set(files)
    if others:
        raise InputError(f"{folder} is not empty, it holds {min(others)}: choose another folder")
    if found and not overwrite:
        raise InputError(f"{folder} holds {what}: choose another folder, or replace it with --overwrite")
