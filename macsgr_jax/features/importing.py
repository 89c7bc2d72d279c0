"""Imports a source into one corpus file: reads it, extracts features, and writes it in the form of docs/corpus.md."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.data.labels import inspect_labels, leave_out_labels, merge_labels, unify_case
from macsgr_jax.data.sources import READERS
from macsgr_jax.data.sources.build import ImportedCorpus
from macsgr_jax.errors import InputError
from macsgr_jax.features import sentence_embeddings
from macsgr_jax.features.audio_io import check_inside, fit_clips
from macsgr_jax.features.channels import AUTO, assign_channels
from macsgr_jax.features.loudness import TARGET
from macsgr_jax.features.registry import TEXT_LSA, TEXT_SENTENCE, add_features, check_names
from macsgr_jax.files import write_atomically

SENTENCE_MODEL = sentence_embeddings.DEFAULT_MODEL


def import_corpus(
    kind: str,
    source: Path,
    out: Path,
    *,
    features: Sequence[str] = (),
    sentence_model: str = SENTENCE_MODEL,
    labels: Sequence[str] = (),
    thresholds: Sequence[float] = (),
    sequences: Mapping[str, Path] | None = None,
    folds: Path | None = None,
    target: str = "",
    merges: Mapping[str, Sequence[str]] | None = None,
    ignored_labels: Sequence[str] = (),
    channels: str | Mapping[str, int] = AUTO,
    loudness: float | None = TARGET,
    strict: bool = False,
    allow_outside: bool = False,
    jobs: int = 0,
    on_clip: Callable[[int], None] = lambda clips: None,
) -> Corpus:
    """Reads a source, extracts features, and writes a corpus file.

    Args:
        kind: the kind of source, a key of `data.sources.READERS`.
        source: the folder or file to read.
        out: the .npz file to write, replaced if it is there.
        features: the feature sets to extract, of `registry.NAMES`; by default text_lsa if the source has no features.
        sentence_model: the sentence-transformers model of text_sentence, a name or a folder.
        labels: for `pickle`, the emotions in the order of their numbers; known for the usual files of IEMOCAP and MELD.
        thresholds: for `pickle`, the ascending numbers that divide labels on a scale into classes.
        sequences: for `cmu`, feature set -> .csd file.
        folds: for `cmu`, a file with the videos of each split.
        target: for `cmu`, sentiment or emotion.
        merges: emotion -> labels that become it, in any case.
        ignored_labels: labels whose utterances are left out, in any case.
        channels: how recordings of several channels are read, as in `channels.assign_channels`.
        loudness: the level in dBFS that recordings get before speech features are extracted, as in
            `loudness.compute_gains`; predictions do the same. None leaves them as they are.
        strict: whether to refuse what would otherwise be repaired or marked unavailable.
        allow_outside: for `conversations`, whether clips may lie outside the folder.
        jobs: the number of clips to process at once; 0 takes one per CPU core.
        on_clip: called after each clip with the number of all clips.

    Returns:
        The corpus as the file has it, with the notices of the import.

    Raises:
        InputError: an option does not fit the kind, the source cannot be understood, a feature set cannot be made, or
            the file could not be trained on or cannot be written.
    """
    if out.suffix != ".npz":
        raise InputError(f"{out} should end in .npz")
    check_names(features)
    imported = read_source(
        kind,
        source,
        labels=tuple(labels),
        thresholds=tuple(thresholds),
        sequences=dict(sequences or {}),
        folds=folds,
        target=target,
        strict=strict,
        allow_outside=allow_outside,
    )
    imported = _tidy_labels(imported, merges or {}, ignored_labels)
    corpus, clips = imported.corpus, imported.clips
    names = list(features) or ([] if corpus.features else [TEXT_LSA])
    if any(name.startswith("audio_") for name in names):
        find_clips = READERS[kind].find_clips
        if find_clips is not None:
            corpus, clips = find_clips(corpus, source)
        if clips:
            if strict:
                check_inside(clips, imported.where or corpus.utterance_ids)
            fitted = fit_clips(clips)
            speakers = [corpus.speaker_names[code] for code in corpus.speakers]
            assigned = assign_channels(fitted.clips, speakers, channels)
            clips = tuple(assigned.clips)
            corpus = dataclasses.replace(corpus, notices=(*corpus.notices, *fitted.notices, *assigned.notices))
    corpus = add_features(
        corpus,
        clips,
        names,
        sentence_model if TEXT_SENTENCE in names else "",
        jobs or os.cpu_count() or 1,
        lambda: on_clip(len(clips)),
        loudness=loudness,
    )
    saved = _write_checked(corpus, out, imported.extra_arrays)
    return dataclasses.replace(saved, notices=corpus.notices)


def _tidy_labels(
    imported: ImportedCorpus, merges: Mapping[str, Sequence[str]], ignored_labels: Sequence[str]
) -> ImportedCorpus:
    """Merges and leaves out labels, and adds notices about those that remain."""
    corpus = merge_labels(unify_case(imported.corpus), merges)
    count = corpus.num_utterances
    corpus, rows = leave_out_labels(corpus, ignored_labels)
    corpus = dataclasses.replace(corpus, notices=(*corpus.notices, *inspect_labels(corpus)))
    if len(rows) == count:
        return imported._replace(corpus=corpus)
    return ImportedCorpus(
        corpus,
        clips=tuple(imported.clips[row] for row in rows) if imported.clips else (),
        where=tuple(imported.where[row] for row in rows) if imported.where else (),
        extra_arrays={
            name: array[rows] if array.ndim and len(array) == count else array
            for name, array in imported.extra_arrays.items()
        },
    )


def read_source(kind: str, source: Path, **options: Any) -> ImportedCorpus:
    """Reads a source without extracting anything.

    Args:
        kind: the kind of source, a key of `data.sources.READERS`.
        source: the folder or file to read.
        **options: the options of the readers; one that is empty or None counts as not given.

    Returns:
        What the source holds.

    Raises:
        InputError: the kind is unknown, an option does not fit it, or the source cannot be understood.
    """
    if kind not in READERS:
        raise InputError(f"there is no kind of source {kind!r}: choose among {', '.join(READERS)}")
    given = {name: value for name, value in options.items() if value}
    for name in given:
        if name not in READERS[kind].options:
            kinds = " and ".join(other for other, reader in READERS.items() if name in reader.options)
            raise InputError(f"{name} is for {kinds}, not for {kind}: leave it out")
    for name, advice in READERS[kind].required.items():
        if name not in given:
            raise InputError(f"{kind}: {advice}")
    return READERS[kind].read(source, **given)


def _write_checked(corpus: Corpus, out: Path, extra_arrays: Mapping[str, np.ndarray]) -> Corpus:
    """Writes the corpus and reads it again; nothing is left if it could not be trained on."""
    with write_atomically(out) as temporary:
        save_corpus(corpus, temporary, **extra_arrays)
        try:
            return load_corpus(temporary)
        except InputError as error:
            raise InputError(str(error).replace(str(temporary), str(out))) from None
