"""Features of a corpus, made and described; features of a new conversation, made as they were for the training."""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError
from macsgr_jax.features import opensmile as speech
from macsgr_jax.features import sentence_embeddings as sentences
from macsgr_jax.features import tfidf as words

WORDS = "text_lsa"
SENTENCES = "text_sentence"
UNIVERSAL = "text_use"
NAMES = (WORDS, SENTENCES, UNIVERSAL, *speech.SETS)


class Kind(NamedTuple):
    """A way of making features.

    Attributes:
        package: that it needs.
        settings: that the description of an extractor has.
        arrays: that an extractor has.
    """

    package: str
    settings: tuple[str, ...]
    arrays: tuple[str, ...] = ()


KINDS = {
    speech.KIND: Kind("opensmile", ("set", "rate", "opensmile")),
    words.KIND: Kind("scikit-learn", (), ("terms", "rarity", "components")),
    sentences.KIND: Kind("sentence-transformers", ("model", "columns", "probe")),
    sentences.UNIVERSAL: Kind(sentences.UNIVERSAL_PACKAGE, ("model", "columns", "probe")),
}


class Extracted(NamedTuple):
    """Feature sets of some utterances.

    Attributes:
        features: feature set -> f32[U, D], 0 where not measured.
        measured: feature set -> bool[U, D].
        notices: a sentence each about what could not be had.
    """

    features: dict[str, np.ndarray]
    measured: dict[str, np.ndarray]
    notices: tuple[str, ...]


def make_extractor(name: str, training_texts: Sequence[str], sentence_model: str, columns: int) -> Extractor:
    """The extractor of a feature set, fitted where it has to be.

    Args:
        name: one of NAMES.
        training_texts: of the training split.
        sentence_model: name or folder, for text_sentence.
        columns: of text_lsa.

    Raises:
        InputError: the name is unknown, a package or the model is missing, or there are no words to learn from.
    """
    if name == WORDS:
        return words.fit_words(training_texts, columns)
    if name == SENTENCES:
        return sentences.describe_sentences(sentence_model)
    if name == UNIVERSAL:
        return sentences.describe_universal()
    if name in speech.SETS:
        return speech.describe_speech(name)
    raise InputError(f"there is no feature set {name!r} to make: choose among {', '.join(NAMES)}")


def apply_extractors(
    extractors: dict[str, Extractor],
    texts: Sequence[str],
    clips: Sequence[Clip | None],
    jobs: int = 1,
    on_clip: Callable[[], None] = lambda: None,
) -> Extracted:
    """Make feature sets of utterances.

    Args:
        extractors: feature set -> how it is made.
        texts: U sentences; empty where there is none.
        clips: U places of sound; None where there is none.
        jobs: utterances at once.
        on_clip: called after each sound.

    Returns:
        Extracted.

    Raises:
        InputError: a feature set cannot be made here as it was for the training.
    """
    features, measured = {}, {}
    notices: list[str] = []
    for name, extractor in extractors.items():
        check_extractor(name, extractor)
        if extractor.description["kind"] == speech.KIND:
            values, known, said = speech.extract_speech(extractor, clips, jobs, on_clip)
            notices += said
        else:
            apply = words.apply_words if extractor.description["kind"] == words.KIND else sentences.apply_sentences
            values, known = apply(extractor, texts)
            if not known.all():
                notices.append(f"{name}: {np.sum(~known)} of {len(texts)} utterances: no word that it knows")
        features[name], measured[name] = values, np.repeat(known[:, None], values.shape[1], axis=1)
    return Extracted(features, measured, tuple(notices))


def check_extractor(name: str, extractor: Extractor) -> None:
    """See that a feature set can be made here as it was for the training.

    Raises:
        InputError: it cannot: another version, an unknown kind, or a package or a part of the extractor is missing.
    """
    description = extractor.description
    kind = KINDS.get(description.get("kind", ""))
    if kind is None:
        raise InputError(
            f"the feature set {name} was made by {description.get('kind')!r}, which this version of macsgr_jax does"
            " not know: update it"
        )
    missing = [*(set(kind.settings) - description.keys()), *(set(kind.arrays) - extractor.arrays.keys())]
    if missing:
        raise InputError(f"how the feature set {name} was made lacks {min(missing)}: import the corpus and train again")
    try:
        here = importlib.metadata.version(kind.package)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"the feature set {name} needs the package {kind.package}: pip install 'macsgr-jax[features]'"
        ) from None
    # What scikit-learn fitted is applied by a formula, and what a sentence model says is compared when it is used.
    then = description.get(kind.package)
    if description["kind"] == speech.KIND and then != here:
        raise InputError(
            f"the feature set {name} was made with {kind.package} {then}, and here is {here}: the network would see"
            f" other numbers than it was trained on; pip install {kind.package}=={then}"
        )


def add_features(
    corpus: Corpus,
    clips: Sequence[Clip | None],
    names: Sequence[str],
    sentence_model: str = "",
    jobs: int = 1,
    on_clip: Callable[[], None] = lambda: None,
    columns: int = 300,
) -> Corpus:
    """The corpus with feature sets more; what is fitted is fitted on its training split.

    Args:
        corpus: with texts, if a text feature set is named.
        clips: where the sound of each utterance is; empty for a corpus without.
        names: of NAMES.
        sentence_model: name or folder, for text_sentence.
        jobs: utterances at once.
        on_clip: called after each sound.
        columns: of text_lsa.

    Returns:
        The corpus, with its extractors and a notice of what could not be measured.

    Raises:
        InputError: a feature set cannot be made, or is there already.
    """
    for name in names:
        if name in corpus.features:
            raise InputError(f"{corpus.name} has the feature set {name} already: name others")
        if name.startswith("text_") and corpus.texts is None:
            raise InputError(f"{corpus.name} has no texts: {name} needs them")
        if name.startswith("audio_") and not clips:
            raise InputError(f"{corpus.name} comes without sound: {name} needs it")
    texts = corpus.texts or ("",) * corpus.num_utterances
    training = [texts[row] for row in corpus.utterances_of("train")]
    extractors = {name: make_extractor(name, training, sentence_model, columns) for name in names}
    made = apply_extractors(extractors, texts, clips, jobs, on_clip)
    return dataclasses.replace(
        corpus,
        features=corpus.features | made.features,
        measured=corpus.measured | made.measured,
        extractors=corpus.extractors | extractors,
        notices=(*corpus.notices, *made.notices),
    )
