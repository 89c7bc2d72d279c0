"""The feature sets that can be extracted: for a corpus, and for a new conversation as they were for the training."""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydantic

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError, quote
from macsgr_jax.features import opensmile, schemas, sentence_embeddings, tfidf

TEXT_LSA = "text_lsa"
TEXT_SENTENCE = "text_sentence"
TEXT_USE = "text_use"
NAMES = (TEXT_LSA, TEXT_SENTENCE, TEXT_USE, *opensmile.SETS)


class Kind(NamedTuple):
    """A kind of extractor.

    Attributes:
        package: the package that it needs.
        extra: the extra that installs the package.
        schema: the schema of its description and arrays.
    """

    package: str
    extra: str
    schema: type[pydantic.BaseModel]


KINDS = {
    opensmile.KIND: Kind("opensmile", "speech", schemas.Speech),
    tfidf.KIND: Kind("scikit-learn", "text", schemas.Words),
    sentence_embeddings.KIND: Kind("sentence-transformers", "sentences", schemas.Sentences),
    sentence_embeddings.USE: Kind(sentence_embeddings.USE_PACKAGE, "text", schemas.Sentences),
}


class Extracted(NamedTuple):
    """Feature sets of some utterances.

    Attributes:
        features: feature set -> f32[U, D], 0 where not measured.
        measured: feature set -> bool[U, D], whether a value was measured.
        notices: one sentence for each reason why something was not measured.
    """

    features: dict[str, np.ndarray]
    measured: dict[str, np.ndarray]
    notices: tuple[str, ...]


def make_extractor(
    name: str, training_texts: Sequence[str], sentence_model: str, columns: int, loudness: float | None = None
) -> Extractor:
    """Makes the extractor of a feature set, and fits it if it is one that is fitted.

    Args:
        name: one of NAMES.
        training_texts: the texts of the training split.
        sentence_model: the name or folder of the sentence model, for text_sentence.
        columns: the number of columns of text_lsa.
        loudness: the level of recordings in dBFS for speech features; None leaves it as it is.

    Returns:
        The extractor.

    Raises:
        InputError: the name is unknown, a package or the model is missing, or there are no words to learn from.
    """
    check_names([name])
    if name == TEXT_LSA:
        return tfidf.fit_tfidf(training_texts, columns)
    if name == TEXT_SENTENCE:
        return sentence_embeddings.describe_sentence_model(sentence_model)
    if name == TEXT_USE:
        return sentence_embeddings.describe_use()
    return opensmile.describe_speech(name, loudness)


def check_names(names: Sequence[str]) -> None:
    """Refuses feature sets that cannot be extracted.

    Args:
        names: the names of feature sets.

    Raises:
        InputError: a name is not one of NAMES.
    """
    for name in names:
        if name not in NAMES:
            raise InputError(f"there is no feature set {name!r} to make: choose among {', '.join(NAMES)}")


def apply_extractors(
    extractors: dict[str, Extractor],
    texts: Sequence[str],
    clips: Sequence[Clip | None],
    jobs: int = 1,
    on_clip: Callable[[], None] = lambda: None,
    conversations: Sequence[int] = (),
    cache: Path | None = None,
) -> Extracted:
    """Extracts feature sets of utterances.

    Args:
        extractors: feature set -> how it is made.
        texts: U texts; empty where there is none.
        clips: U clips; None where there is no audio.
        jobs: the number of clips to process at once.
        on_clip: called after each clip.
        conversations: U numbers of conversations; by default the utterances are all of one.
        cache: the folder of features of clips that were extracted before; by default in the user's cache folder.

    Returns:
        The feature sets.

    Raises:
        InputError: a feature set cannot be made here as it was for the training.
    """
    features, measured = {}, {}
    notices: list[str] = []
    for name, extractor in extractors.items():
        check_extractor(name, extractor)
        kind = extractor.description["kind"]
        if kind == opensmile.KIND:
            values, known, reasons = opensmile.extract_speech(
                extractor, clips, jobs, on_clip, cache, conversations=conversations
            )
            notices += [reason for reason in reasons if reason not in notices]  # Of another set of the same clips.
        else:
            apply = tfidf.apply_tfidf if kind == tfidf.KIND else sentence_embeddings.embed_texts
            values, known = apply(extractor, texts)
            if not known.all():
                notices.append(f"{name}: {np.sum(~known)} of {len(texts)} utterances: no word that it knows")
        features[name], measured[name] = values, np.repeat(known[:, None], values.shape[1], axis=1)
    return Extracted(features, measured, tuple(notices))


def check_extractor(name: str, extractor: Extractor) -> None:
    """Checks that a feature set can be extracted here as it was for the training.

    Args:
        name: the name of the feature set, for the message.
        extractor: how it was made.

    Raises:
        InputError: the kind is unknown, a part of the extractor is missing or out of range, or a package is missing or
            has another version.
    """
    description = extractor.description
    named = description.get("kind")
    kind = KINDS.get(named) if isinstance(named, str) else None
    if kind is None:
        raise InputError(
            f"the feature set {name} was made by {quote(repr(named))}, which this version of macsgr_jax does"
            " not know: update it"
        )
    fields = kind.schema.model_fields
    missing = {part for part in fields if fields[part].is_required()} - description.keys() - extractor.arrays.keys()
    if missing:
        raise InputError(f"how the feature set {name} was made lacks {min(missing)}: import the corpus and train again")
    try:
        here = importlib.metadata.version(kind.package)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"the feature set {name} needs the package {kind.package}: pip install 'macsgr-jax[{kind.extra}]'"
        ) from None
    # What scikit-learn fitted is applied by a formula, and a sentence model is compared when it is used.
    trained = description.get(kind.package)
    if description["kind"] == opensmile.KIND and trained != here:
        raise InputError(
            f"the feature set {name} was made with {kind.package} {trained}, and here is {here}: the network would see"
            f" other numbers than it was trained on; pip install {kind.package}=={trained}"
        )
    _check_parts(name, kind, extractor)


def _check_parts(name: str, kind: Kind, extractor: Extractor) -> None:
    """Checks types, ranges and shapes: some of them reach native code, which does not check them.

    Raises:
        InputError: a part is missing, or does not fit.
    """
    clash = extractor.description.keys() & extractor.arrays.keys()
    try:
        if clash:
            raise InputError(f"how the feature set {name} was made has {min(clash)} twice: import the corpus again")
        kind.schema.model_validate(extractor.description | extractor.arrays)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        problem = ": ".join([".".join(quote(part, 60) for part in first["loc"]), quote(first["msg"])])
        raise InputError(
            f"how the feature set {name} was made does not fit ({problem}): import the corpus and train again"
        ) from None


def add_features(
    corpus: Corpus,
    clips: Sequence[Clip | None],
    names: Sequence[str],
    sentence_model: str = "",
    jobs: int = 1,
    on_clip: Callable[[], None] = lambda: None,
    columns: int = 300,
    loudness: float | None = None,
) -> Corpus:
    """Adds feature sets to a corpus; what is fitted is fitted on its training split.

    Args:
        corpus: the corpus, with texts if a text feature set is named.
        clips: where the audio of each utterance is; empty for a corpus without audio.
        names: the feature sets to add, of NAMES.
        sentence_model: the name or folder of the sentence model, for text_sentence.
        jobs: the number of clips to process at once.
        on_clip: called after each clip.
        columns: the number of columns of text_lsa.
        loudness: the level of recordings in dBFS for speech features, as in `loudness.compute_gains`; None leaves it
            as it is.

    Returns:
        The corpus with its extractors, and notices about what could not be measured.

    Raises:
        InputError: a feature set cannot be made, or is in the corpus already.
    """
    for name in names:
        if name in corpus.features:
            raise InputError(f"{corpus.name} has the feature set {name} already: name others")
        if name.startswith("text_") and corpus.texts is None:
            raise InputError(f"{corpus.name} has no texts: {name} needs them")
        if name.startswith("audio_") and not clips:
            raise InputError(f"{corpus.name} comes without audio: {name} needs it")
    texts = corpus.texts or ("",) * corpus.num_utterances
    training = [texts[row] for row in corpus.utterances_of("train")]
    extractors = {name: make_extractor(name, training, sentence_model, columns, loudness) for name in names}
    made = apply_extractors(extractors, texts, clips, jobs, on_clip, corpus.dialogue_of_utterance.tolist())
    return dataclasses.replace(
        corpus,
        features=corpus.features | made.features,
        measured=corpus.measured | made.measured,
        extractors=corpus.extractors | extractors,
        notices=(*corpus.notices, *made.notices),
    )
