"""A published model: trained networks as a folder that says everything about itself and can run no code.

FOLDER/model.json           settings, emotions, feature sets, seeds and temperatures, scores, and the checksums of:
FOLDER/weights.safetensors  the weights of each seed, the scaling of the features, fitted arrays of their extractors
FOLDER/vocabulary.json      the terms of fitted text features, where there are any
FOLDER/README.md            the card, for people
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import jax
import numpy as np
import pydantic
from flax.traverse_util import flatten_dict, unflatten_dict

from macsgr_jax.config import Config, ModelConfig, NonNegativeFloat, PositiveFloat
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.data.standardize import PARTS, Standardizer
from macsgr_jax.errors import InputError
from macsgr_jax.extras import require
from macsgr_jax.files import read_file, write_folder_atomically, write_json, write_text
from macsgr_jax.inference.export import refuse_occupied
from macsgr_jax.inference.predictor import Turns, Window, make_batch
from macsgr_jax.limits import MAX_ARRAY_BYTES, MAX_JSON_BYTES
from macsgr_jax.models import build_network
from macsgr_jax.overrides import from_json
from macsgr_jax.types import Params

FORMAT: Literal["macsgr_jax.model/1"] = "macsgr_jax.model/1"
DESCRIPTION_FILE, WEIGHTS_FILE = "model.json", "weights.safetensors"
VOCABULARY_FILE, CARD_FILE = "vocabulary.json", "README.md"
FILES = (DESCRIPTION_FILE, WEIGHTS_FILE, VOCABULARY_FILE, CARD_FILE)
ADVICE = "publish or download it again"

Name = Annotated[str, pydantic.Field(min_length=1, max_length=200)]
Sha256 = Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]
Precision = Literal["float16", "float32"]


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class PublishedSeed:
    """One network of the ensemble.

    Attributes:
        seed: the seed of its training.
        epoch: the epoch of its weights.
        temperature: the number by which its logits are divided.
    """

    seed: pydantic.NonNegativeInt
    epoch: pydantic.PositiveInt
    temperature: PositiveFloat


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class PublishedFeatures:
    """A feature set that the networks read.

    Attributes:
        modality: its modality.
        name: its name, such as text_use.
        columns: its number D of columns.
        extractor: how it is made of texts or recordings, as `data.extractor.Extractor` describes it; null where that is
            not known, so that the networks can only be used on corpora that have it.
    """

    modality: Name
    name: Name
    columns: pydantic.PositiveInt
    extractor: dict[str, Any] | None


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class PublishedCorpus:
    """The corpus of the training.

    Attributes:
        name: its name.
        sha256: the hash of its file.
        utterances: split -> number of utterances.
    """

    name: Name
    sha256: Sha256
    utterances: dict[str, pydantic.NonNegativeInt]


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class Description:
    """The contents of model.json.

    Attributes:
        format: FORMAT.
        version: the version of macsgr_jax that wrote the folder.
        name: the name of the model.
        command: the command of the training, without the folders of its files.
        corpus: the corpus of the training.
        labels: the C emotions.
        network: which network of the run it is: full, or a modality.
        seeds: the networks, whose probabilities are averaged.
        precision: the type in which the weights are stored.
        features: the feature sets, in the order in which those of a modality are joined.
        clip: standardised features stay within this many standard deviations; 0 does not clip.
        config: every setting, as `overrides.to_json` writes it.
        scores: split, such as "test" or "test, without context" -> score -> value, of the ensemble as it is stored.
        files: the other files that are read -> their sha256.
    """

    format: Literal["macsgr_jax.model/1"]
    version: Name
    name: Name
    command: list[str]
    corpus: PublishedCorpus
    labels: Annotated[list[Name], pydantic.Field(min_length=1)]
    network: Name
    seeds: Annotated[list[PublishedSeed], pydantic.Field(min_length=1)]
    precision: Precision
    features: Annotated[list[PublishedFeatures], pydantic.Field(min_length=1)]
    clip: NonNegativeFloat
    config: dict[str, Any]
    scores: dict[str, dict[str, pydantic.FiniteFloat]]
    files: dict[str, Sha256]

    def __post_init__(self) -> None:
        """Raise ValueError where values do not fit each other."""
        for what, names in (
            ("an emotion", self.labels),
            ("a seed", [one.seed for one in self.seeds]),
            ("a feature set", [one.name for one in self.features]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"it names {what} twice")
        if WEIGHTS_FILE not in self.files or not self.files.keys() <= {WEIGHTS_FILE, VOCABULARY_FILE}:
            raise ValueError(f"it should name {WEIGHTS_FILE} and perhaps {VOCABULARY_FILE}, and no other file")


class PublishedModel(NamedTuple):
    """A published model in memory.

    Attributes:
        description: the contents of model.json.
        config: its configuration.
        standardizer: the scaling of the features.
        extractors: feature set -> how it is made, where that is known.
        params: the weights of each network, f32, in the order of the seeds.
    """

    description: Description
    config: Config
    standardizer: Standardizer
    extractors: dict[str, Extractor]
    params: tuple[Params, ...]


def is_published(folder: Path) -> bool:
    """Returns whether a folder is a published model, and not that of a run or of an export."""
    return (folder / DESCRIPTION_FILE).is_file() and (folder / WEIGHTS_FILE).is_file()


def round_weights(params: Params, precision: Precision) -> Params:
    """Returns weights as they are after they were stored in a precision, f32.

    Raises:
        InputError: a weight is too large for it.
    """
    with np.errstate(over="ignore"):
        rounded = jax.tree.map(lambda leaf: np.asarray(leaf).astype(precision).astype(np.float32), params)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(rounded)):
        raise InputError(f"a weight is not finite in {precision}: publish in float32")
    return rounded


def write_published(folder: Path, model: PublishedModel, card: str, overwrite: bool = False) -> Description:
    """Writes the files of a published model: all of them, or none.

    Args:
        folder: the folder to make, with its parents.
        model: the model; the checksums of its description are made here.
        card: the text of README.md.
        overwrite: whether to replace an earlier published model.

    Returns:
        The description as it is written.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    safetensors = require("safetensors.numpy", "cli")
    refuse_published(folder, overwrite)
    description = model.description
    arrays: dict[str, np.ndarray] = {}
    for one, params in zip(description.seeds, model.params, strict=True):
        for name, values in flatten_dict(params, sep="/").items():
            arrays[f"seed_{one.seed}/{name}"] = np.asarray(values).astype(description.precision)
    for name in (features.name for features in description.features):
        for part in PARTS:
            arrays[f"standardizer/{part}/{name}"] = np.asarray(getattr(model.standardizer, part)[name], np.float32)
    vocabulary: dict[str, dict[str, list[str]]] = {}
    for name, extractor in model.extractors.items():
        for part, values in extractor.arrays.items():
            if values.dtype.kind == "U":
                vocabulary.setdefault(name, {})[part] = values.tolist()
            else:
                arrays[f"extractor/{name}/{part}"] = values
    contents = {WEIGHTS_FILE: safetensors.save({name: np.ascontiguousarray(part) for name, part in arrays.items()})}
    if vocabulary:
        contents[VOCABULARY_FILE] = json.dumps(vocabulary, ensure_ascii=False).encode()
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    description = dataclasses.replace(description, files=checksums)
    with write_folder_atomically(folder) as temporary:
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
        write_json(temporary / DESCRIPTION_FILE, dataclasses.asdict(description))
        write_text(temporary / CARD_FILE, card)
    return description


def refuse_published(folder: Path, overwrite: bool) -> None:
    """Raises InputError where a model would replace anything but an earlier one that is to be replaced."""
    refuse_occupied(folder, overwrite, FILES, "a published model")


def read_published(folder: Path) -> PublishedModel:
    """Reads a published model, and checks all of it.

    Args:
        folder: its folder.

    Returns:
        The model.

    Raises:
        InputError: a file is missing or damaged, a checksum differs, values do not fit each other or this version, or
            safetensors is not installed.
    """
    safetensors = require("safetensors.numpy", "cli")
    description = read_description(folder)
    content = _read_checked(folder / WEIGHTS_FILE, description.files[WEIGHTS_FILE], MAX_ARRAY_BYTES)
    vocabulary: dict[str, dict[str, list[str]]] = {}
    if VOCABULARY_FILE in description.files:
        path = folder / VOCABULARY_FILE
        vocabulary = _parse(path, _read_checked(path, description.files[VOCABULARY_FILE], MAX_JSON_BYTES), Vocabulary)
    try:
        arrays = safetensors.load(content)
    except Exception as error:  # Of the library's own type, or of NumPy for a type that it does not have.
        raise InputError(f"{folder / WEIGHTS_FILE} is damaged ({error}): {ADVICE}") from None
    try:
        config = from_json(description.config)
    except InputError as error:
        raise InputError(
            f"{folder} was published by version {description.version} of macsgr_jax ({error}): update macsgr_jax, or"
            " publish it again"
        ) from None
    standardizer = _read_standardizer(folder, description, arrays)
    extractors = {
        one.name: Extractor(one.extractor, _read_extractor(one.name, arrays, vocabulary))
        for one in description.features
        if one.extractor is not None
    }
    shapes = weight_shapes(config.model, len(description.labels), standardizer)
    params = tuple(_read_params(folder, one.seed, arrays, shapes) for one in description.seeds)
    return PublishedModel(description, config, standardizer, extractors, params)


def read_description(folder: Path) -> Description:
    """Reads model.json of a published model.

    Raises:
        InputError: it is missing or damaged, or is of another format.
    """
    path = folder / DESCRIPTION_FILE
    content = read_file(path, MAX_JSON_BYTES, "give a folder of `macsgr publish`")
    return _parse(path, content, pydantic.TypeAdapter(Description))


def weight_shapes(config: ModelConfig, num_classes: int, standardizer: Standardizer) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the weights that a network has in this version.

    Args:
        config: the settings of the network.
        num_classes: C, the number of emotions.
        standardizer: the scaling, which knows the modalities and their columns.

    Returns:
        Name of a weight, its parts separated by "/" -> shape.
    """
    widths = {
        modality: sum(len(standardizer.mean[name]) for name in names)
        for modality, names in standardizer.feature_sets.items()
    }
    one = Turns(
        {modality: np.zeros((1, width), np.float32) for modality, width in widths.items()},
        {modality: np.ones(1, bool) for modality in widths},
        np.zeros(1, np.int32),
    )
    batch = make_batch(one, Window(0, 1, 0, 1), 1)
    shapes = jax.eval_shape(build_network(config, num_classes).init, jax.random.key(0), batch)["params"]
    return {name: tuple(leaf.shape) for name, leaf in flatten_dict(shapes, sep="/").items()}


Parsed = TypeVar("Parsed")
Vocabulary = pydantic.TypeAdapter(dict[str, dict[str, list[str]]])


def _parse(path: Path, content: bytes, adapter: "pydantic.TypeAdapter[Parsed]") -> Parsed:
    try:
        return adapter.validate_json(content, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{path} is damaged ({f'{where}: ' if where else ''}{message[:1].lower()}{message[1:200]}): {ADVICE}"
        ) from None


def _read_checked(path: Path, sha256: str, max_bytes: float) -> bytes:
    content = read_file(path, max_bytes, ADVICE)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{path} is damaged (its checksum differs): {ADVICE}")
    return content


def _read_standardizer(folder: Path, description: Description, arrays: Mapping[str, np.ndarray]) -> Standardizer:
    feature_sets: dict[str, tuple[str, ...]] = {}
    parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in PARTS}
    for one in description.features:
        feature_sets[one.modality] = (*feature_sets.get(one.modality, ()), one.name)
        for part in PARTS:
            values = _take(folder, arrays, f"standardizer/{part}/{one.name}", (one.columns,))
            # The scale of a column that was never measured is infinite.
            if np.isnan(values).any() or (part != "scale" and np.isinf(values).any()):
                raise _damaged(folder, f"standardizer/{part}/{one.name} is not finite")
            if (part == "scale" and (values <= 0).any()) or (part == "log_scale" and (values < 0).any()):
                raise _damaged(folder, f"standardizer/{part}/{one.name} is negative")
            parts[part][one.name] = values
    return Standardizer(
        dict(sorted(feature_sets.items())), parts["mean"], parts["scale"], parts["log_scale"], description.clip
    )


def _read_extractor(
    name: str, arrays: Mapping[str, np.ndarray], vocabulary: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, np.ndarray]:
    prefix = f"extractor/{name}/"
    fitted = {key.removeprefix(prefix): values for key, values in arrays.items() if key.startswith(prefix)}
    return fitted | {part: np.array(terms, np.str_) for part, terms in vocabulary.get(name, {}).items()}


def _read_params(
    folder: Path, seed: int, arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> Params:
    prefix = f"seed_{seed}/"
    strange = {key.removeprefix(prefix) for key in arrays if key.startswith(prefix)} - shapes.keys()
    if strange:
        raise _damaged(folder, f"the network of this version has no weights {prefix}{min(strange)}")
    params = {}
    for name, shape in shapes.items():
        params[name] = _take(folder, arrays, f"{prefix}{name}", shape)
        if not np.isfinite(params[name]).all():
            raise _damaged(folder, f"{prefix}{name} is not finite")
    return unflatten_dict(params, sep="/")


def _take(folder: Path, arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns an array as f32 of a shape."""
    if name not in arrays:
        raise _damaged(folder, f"{name} is missing")
    values = arrays[name]
    if values.shape != shape or values.dtype.kind != "f":
        raise _damaged(folder, f"{name} is {values.dtype}{list(values.shape)}, and should be float{list(shape)}")
    return np.asarray(values, np.float32)


def _damaged(folder: Path, reason: str) -> InputError:
    return InputError(f"{folder / WEIGHTS_FILE} does not fit {DESCRIPTION_FILE} ({reason}): {ADVICE}")
