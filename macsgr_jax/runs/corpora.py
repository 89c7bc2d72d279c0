"""The corpus that a command line names, and what is known to be the best that can be reached on it."""

from typing import Any

from macsgr_jax.data import synthetic
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.synthetic_posterior import best_scores

SYNTHETIC = "synthetic"
REFERENCES = {
    "best possible": "both",
    "best possible without context": "no_context",
    "best possible, text only": "text",
    "best possible, audio only": "audio",
}


def read_corpus(name: str) -> Corpus:
    """The corpus of that name: the generated one, or a file.

    Raises:
        InputError: the file cannot be used.
    """
    return synthetic.generate() if name == SYNTHETIC else load_corpus(name)


def describe_best(name: str, corpus: Corpus) -> dict[str, Any]:
    """Test scores to put beside the network's: the best possible ones, where they are known."""
    if name != SYNTHETIC:
        return {}
    best = best_scores(corpus)
    return {title: {"waa": best[view].accuracy, "waf1": best[view].weighted_f1} for title, view in REFERENCES.items()}
