"""Sentences as features: the embeddings of any sentence-transformers model, by name or from a folder."""

import functools
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError

KIND = "sentence-transformers"
# What a model says of this tells it from others, wherever it lies and whatever its folder is called.
PROBE = "The rain has stopped, and nobody has noticed."
PROBE_COLUMNS = 8
TOLERANCE = 1e-2


def describe_sentences(model: str) -> Extractor:
    """How a model's embeddings are made here.

    Args:
        model: a name of the hub, or a folder.

    Raises:
        InputError: sentence-transformers is not installed, or the model cannot be loaded.
    """
    model = str(Path(model).resolve()) if Path(model).is_dir() else model  # Found from other folders too.
    probe = load_model(model).encode([PROBE], normalize_embeddings=True, show_progress_bar=False)[0]
    return Extractor(
        {
            "kind": KIND,
            "model": model,
            "sentence-transformers": importlib.metadata.version("sentence-transformers"),
            "columns": len(probe),
            "probe": [round(float(value), 5) for value in probe[:PROBE_COLUMNS]],
        }
    )


def apply_sentences(extractor: Extractor, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings of sentences.

    Args:
        extractor: as `describe_sentences` gives it.
        texts: U sentences; empty where nothing was understood.

    Returns:
        f32[U, D], and bool[U]: whether there is anything in the sentence.

    Raises:
        InputError: the model is not there, or is another one.
    """
    name = extractor.description["model"]
    model = load_model(name)
    embedded = model.encode([PROBE, *texts], normalize_embeddings=True, show_progress_bar=False)
    probe = embedded[0][:PROBE_COLUMNS]
    wanted = extractor.description["probe"]
    if embedded.shape[1] != extractor.description["columns"] or np.max(np.abs(probe - wanted)) > TOLERANCE:
        raise InputError(f"the sentence model {name} is not the one of the training: its embeddings differ")
    known = np.array([bool(text.strip()) for text in texts], bool)
    return np.where(known[:, None], embedded[1:].astype(np.float32), np.float32(0)), known


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
