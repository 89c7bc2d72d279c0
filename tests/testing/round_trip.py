"""A corpus without features, given one, saved and loaded."""

import dataclasses
from pathlib import Path

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from tests.data.test_corpus_file import assert_same


def assert_survives(corpus: Corpus, folder: Path) -> None:
    if not corpus.features:
        values = np.arange(2.0 * corpus.num_utterances, dtype=np.float32).reshape(-1, 2)
        corpus = dataclasses.replace(
            corpus, features={"text_a": values}, measured={"text_a": np.ones(values.shape, bool)}
        )
    save_corpus(corpus, folder / "saved.npz")
    assert_same(load_corpus(folder / "saved.npz"), corpus)
