"""A small corpus file of four dialogues, and the same with something changed."""

from pathlib import Path

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import load_corpus

LENGTHS = (3, 2, 4, 2)
NAN = float("nan")


def make_arrays() -> dict[str, np.ndarray]:
    """Four dialogues, 11 utterances u0..u10, splits train train val test."""
    rng = np.random.default_rng(0)
    return {
        "label": np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1], np.int8),
        "label_names": np.array(["sad", "calm", "glad"]),
        "offsets": np.array([0, 3, 5, 9, 11], np.int32),
        "dialogue_id": np.repeat([7, 3, 5, 9], LENGTHS),
        "dialogue_names": np.array(["north", "south", "east", "west"]),
        "split": np.repeat([0, 0, 1, 2], LENGTHS).astype(np.int8),
        "split_names": np.array(["train", "val", "test"]),
        "speaker": np.array([0, 1, 0, 1, 2, 0, 0, 1, 1, 2, 2], np.int16),
        "speaker_names": np.array(["Ann", "Bob", "Cy"]),
        "utt_id": np.array([f"u{row}" for row in range(11)]),
        "text": np.array([f"word {row}" for row in range(11)]),
        "text_a": rng.normal(size=(11, 3)),
        "text_b": rng.normal(size=(11, 2)).astype(np.float16),
        "audio_c": rng.normal(size=(11, 4)).astype(np.float32),
        "audio_c_mask": rng.random((11, 4)) < 0.9,
        "audio_c_names": np.array(["p", "q", "r", "s"]),
    }


def write(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = folder / "small.npz"
    np.savez(path, **arrays)
    return path


def load_changed(folder: Path, **changes: np.ndarray | None) -> Corpus:
    """Load the small corpus with arrays replaced, or left out where None."""
    arrays = make_arrays() | changes
    return load_corpus(write(folder, {name: array for name, array in arrays.items() if array is not None}))


def changed(name: str, index: object, value: object) -> dict[str, np.ndarray]:
    array = make_arrays()[name]
    array[index] = value
    return {name: array}
