"""A corpus that is an .npz file already, to which features are added."""

from pathlib import Path

from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.sources.build import ImportedCorpus
from macsgr_jax.files import read_npz


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
    return ImportedCorpus(corpus, extra_arrays=read_npz(path))
