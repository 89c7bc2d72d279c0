"""A corpus that is an .npz file already, to which features are added."""

from pathlib import Path

import numpy as np

from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.sources.build import ImportedCorpus


def read_corpus_npz(path: Path) -> ImportedCorpus:
    """Reads a corpus file with all its arrays.

    Args:
        path: an .npz file in the form of docs/corpus.md.

    Returns:
        The corpus, and all arrays of the file, so that those that `load_corpus` does not read are kept.

    Raises:
        InputError: the file cannot be used.
    """
    corpus = load_corpus(path)
    with np.load(path, allow_pickle=False) as arrays:
        return ImportedCorpus(corpus, extra_arrays=dict(arrays))
