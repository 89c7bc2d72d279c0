"""How a feature set was made: kept in corpus files and checkpoints, so that a new recording gets the same features."""

import dataclasses
import json
from typing import Any

import numpy as np

from macsgr_jax.errors import InputError

PREFIX = "extractor_"


@dataclasses.dataclass(frozen=True, eq=False)
class Extractor:
    """Describes how a feature set was made.

    Attributes:
        description: plain values: `kind`, such as opensmile, the versions of its libraries, and its settings.
        arrays: name -> fitted array; empty where nothing was fitted.
        given: the pretrained model that the user names, or its folder; it is not stored, so that what a file names is
            only ever compared with it.
    """

    description: dict[str, Any]
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    given: str = ""


def to_arrays(extractors: dict[str, Extractor]) -> dict[str, np.ndarray]:
    """Returns the extractors as arrays of an .npz file, whose names begin with `extractor_`."""
    arrays = {}
    for name, extractor in extractors.items():
        arrays[f"{PREFIX}{name}"] = np.array(json.dumps(extractor.description, sort_keys=True))
        for part, values in extractor.arrays.items():
            arrays[f"{PREFIX}{name}/{part}"] = values
    return arrays


def from_arrays(arrays: dict[str, np.ndarray]) -> dict[str, Extractor]:
    """Finds the extractors among the arrays of an .npz file.

    Args:
        arrays: the arrays of the file.

    Returns:
        Feature set -> extractor.

    Raises:
        InputError: a description is not JSON.
    """
    extractors: dict[str, Extractor] = {}
    for key in sorted(arrays):
        name, _, part = key.removeprefix(PREFIX).partition("/")
        if not key.startswith(PREFIX):
            continue
        if part:
            if name in extractors:
                extractors[name].arrays[part] = arrays[key]
            continue
        try:
            description = json.loads(str(arrays[key])) if arrays[key].size == 1 else None
        except (ValueError, RecursionError):
            description = None
        if not isinstance(description, dict):
            raise InputError(f"the array {key} is not a JSON object: it should say how {name} was made")
        extractors[name] = Extractor(description)
    return extractors
