"""Small corpora for tests, as objects and as files, and settings under which a network compiles in seconds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import save_corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.overrides import override
from macsgr_jax.presets import PRESETS

LENGTHS = (4, 3, 6, 2, 5, 3, 4, 2)
SPLIT_OF_EACH = ("train", "train", "train", "validation", "train", "test", "validation", "test")
COLUMNS = {"audio": 3, "text": 4, "video": 2}

TINY = (
    "model.hidden_size=8",
    "model.fused_size=8",
    "model.distribution_heads=2",
    "model.fusion_heads=2",
    "model.semantic_heads=2",
    "model.window_past=2",
    "model.window_future=1",
    "model.max_hops=3",
    "model.num_prototypes=6",
)


def tiny_config(*assignments: str) -> Config:
    """The default preset in tiny sizes, with further settings."""
    return override(PRESETS["default"], [*TINY, *assignments])


@contextmanager
def compile_quickly() -> Iterator[None]:
    """Compile in half the time, for what is run only a few times."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def make_corpus(
    lengths: Sequence[int] = LENGTHS,
    splits: Sequence[str] = SPLIT_OF_EACH,
    modalities: Sequence[str] = ("audio", "text"),
    num_classes: int = 3,
    seed: int = 0,
) -> Corpus:
    """Dialogues of random features, labels and two speakers; the feature sets are audio_small, text_small, ..."""
    random = np.random.default_rng(seed)
    utterances = sum(lengths)
    features = {
        f"{modality}_small": random.normal(size=(utterances, COLUMNS[modality])).astype(np.float32)
        for modality in modalities
    }
    label_names, speaker_names = ("calm", "glad", "sad", "tense", "torn", "wild")[:num_classes], ("Ann", "Bob")
    labels = iter(random.integers(0, num_classes, utterances))
    speakers = iter(random.integers(0, 2, utterances))
    dialogues = [
        Dialogue(
            f"talk{dialogue}",
            [
                Utterance(
                    id=f"talk{dialogue}_{n}", speaker=speaker_names[next(speakers)], label=label_names[next(labels)]
                )
                for n in range(length)
            ],
            split,
        )
        for dialogue, (length, split) in enumerate(zip(lengths, splits, strict=True))
    ]
    return Corpus.from_dialogues(
        "small", dialogues, label_names, speaker_names=speaker_names, features=features, sha256="0" * 64
    )


def write_corpus(folder: Path, corpus: Corpus | None = None, **changes: Any) -> Path:
    """Save a corpus, by default that of `make_corpus`, as `folder`/small.npz, with some of its arrays replaced."""
    path = folder / "small.npz"
    save_corpus(make_corpus() if corpus is None else corpus, path)
    if changes:
        with np.load(path) as arrays:
            changed = dict(arrays) | changes
        np.savez(path, **changed)
    return path
