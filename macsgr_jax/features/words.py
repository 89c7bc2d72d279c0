"""Words as features: TF-IDF of words and pairs of words, reduced by latent semantic analysis. No model to download."""

import dataclasses
import warnings

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.errors import InputError

NAME = "text_lsa"


def add_word_features(corpus: Corpus, columns: int = 300, seed: int = 0) -> Corpus:
    """The corpus with one more feature set, text_lsa, fitted on the sentences of the training split alone.

    Args:
        corpus: with texts.
        columns: D of the feature set; fewer where the training split has fewer words.
        seed: of the randomised decomposition.

    Returns:
        The corpus; an utterance without a known word is not measured.

    Raises:
        InputError: the corpus has no texts, has the feature set already, or its training split has no word.

    Reference:
        Deerwester et al., Indexing by Latent Semantic Analysis, 1990.
    """
    if corpus.texts is None:
        raise InputError(f"{corpus.name} has no texts: word features need them")
    if NAME in corpus.features:
        raise InputError(f"{corpus.name} has the feature set {NAME} already")
    train = corpus.utterances_of("train")
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    try:
        vectorizer.fit([corpus.texts[row] for row in train])
    except ValueError:
        raise InputError(f"{corpus.name}: there is no word in the texts of its training split") from None
    counts = vectorizer.transform(corpus.texts)
    decomposition = TruncatedSVD(min(columns, counts.shape[1], len(train)), random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        decomposition.fit(counts[train])
    values = decomposition.transform(counts).astype(np.float32)
    known = np.asarray(counts.getnnz(axis=1) > 0)
    return dataclasses.replace(
        corpus,
        features=corpus.features | {NAME: np.where(known[:, None], values, 0.0)},
        measured=corpus.measured | {NAME: np.repeat(known[:, None], values.shape[1], axis=1)},
    )
