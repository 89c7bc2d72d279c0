"""Text features by latent semantic analysis: TF-IDF of words and pairs of words, reduced. No model to download."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError
from macsgr_jax.extras import require
from macsgr_jax.limits import MAX_WORD

KIND = "words"  # As corpora and checkpoints of earlier versions have it.
# Scripts without spaces between words: Thai, Lao, Myanmar, Khmer, Chinese and Japanese.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
TOKENS = {
    # As extractors were fitted that do not say so: a sentence of such a script is one word.
    "words": r"(?u)\b\w\w+\b",
    # Each letter of such a script is a word, and each pair of neighbours a pair of words.
    "words and unspaced characters": rf"(?u)[{UNSPACED}]|(?:(?![{UNSPACED}])\w){{2,}}",
}
SETTINGS: dict[str, Any] = {"ngrams": [1, 2], "sublinear_tf": True, "tokens": "words and unspaced characters"}
# In the usual corpora, this covers every term that occurs twice; with 300 columns it takes 24 MB.
MAX_TERMS = 20_000
LONG_WORD = re.compile(rf"\w{{{MAX_WORD + 1},}}")


def fit_tfidf(texts: Sequence[str], columns: int = 300, seed: int = 0) -> Extractor:
    """Fits the vocabulary, the inverse document frequencies and the decomposition.

    Args:
        texts: the texts of the training split.
        columns: the number D of columns; fewer where there are fewer words or texts.
        seed: the seed of the randomised decomposition.

    Returns:
        The extractor, with `terms` (strings [V]), `rarity` f32[V] and `components` f32[D, V].

    Raises:
        InputError: there is no word in the texts, or scikit-learn is not installed.

    Reference:
        Deerwester et al., Indexing by Latent Semantic Analysis, 1990.
    """
    vectorizer = _make_vectorizer(SETTINGS["tokens"])
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:
        raise InputError("there is no word in the texts of the training split: word features need some") from None
    # The arithmetic of one column, as where all texts are the same word, is refused by scikit-learn.
    if min(counts.shape) < 2:
        raise InputError(
            "the texts of the training split are a single text or a single word: word features need several"
        )
    decomposition = (
        require("sklearn.decomposition", "text")
        .TruncatedSVD(min(columns, *counts.shape), random_state=seed)
        .fit(counts)
    )
    return Extractor(
        {"kind": KIND, "scikit-learn": require("sklearn", "text").__version__, **SETTINGS},
        {
            "terms": vectorizer.get_feature_names_out().astype(np.str_),
            "rarity": vectorizer.idf_.astype(np.float32),
            "components": decomposition.components_.astype(np.float32),
        },
    )


def apply_tfidf(extractor: Extractor, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Computes the features of texts.

    Args:
        extractor: as `fit_tfidf` returns it.
        texts: U texts; empty where there is none.

    Returns:
        f32[U, D], and bool[U], whether the text has a known word.

    Raises:
        InputError: the texts were divided into words in a way that is not known here.
    """
    tokens = str(extractor.description.get("tokens", "words"))
    if tokens not in TOKENS:
        raise InputError(
            f"word features were made of {tokens!r}, which this version of macsgr_jax does not know: update it"
        )
    # What scikit-learn's vectorizer does takes a few lines, and a second of processor time to import.
    pattern = re.compile(TOKENS[tokens])
    column_of = {term: column for column, term in enumerate(extractor.arrays["terms"].tolist())}
    rarity, components = extractor.arrays["rarity"], extractor.arrays["components"]
    values = np.zeros((len(texts), len(components)), np.float32)
    known = np.zeros(len(texts), bool)
    for row, text in enumerate(texts):
        words = pattern.findall(_prepare_text(text))
        terms = [*words, *(f"{first} {second}" for first, second in itertools.pairwise(words))]
        counts = Counter(column_of[term] for term in terms if term in column_of)
        if counts:
            columns = np.fromiter(counts.keys(), np.int64)
            weights = (1 + np.log(np.fromiter(counts.values(), np.float32))) * rarity[columns]
            values[row] = components[:, columns] @ (weights / np.linalg.norm(weights))
            known[row] = True
    return values, known


def _prepare_text(text: str) -> str:
    """Returns a text in lower case, without words that are too long to be of a language: they would fill a terabyte."""
    return LONG_WORD.sub(" ", text.lower())


def _make_vectorizer(tokens: str) -> Any:
    return require("sklearn.feature_extraction.text", "text").TfidfVectorizer(
        preprocessor=_prepare_text,
        token_pattern=TOKENS[tokens],
        ngram_range=tuple(SETTINGS["ngrams"]),
        sublinear_tf=SETTINGS["sublinear_tf"],
        max_features=MAX_TERMS,
        dtype=np.float32,
    )
