"""Labelled conversations of one's own: transcripts in the folders train, test and perhaps validation."""

import dataclasses
from collections import Counter
from pathlib import Path

from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.data.dialogue import list_utterances
from macsgr_jax.data.repairs import Repairs
from macsgr_jax.data.sources.build import ImportedCorpus
from macsgr_jax.data.transcript import read_conversations, to_corpus
from macsgr_jax.errors import InputError
from macsgr_jax.files import is_folder


def read_labelled_conversations(folder: Path, strict: bool = False, allow_outside: bool = False) -> ImportedCorpus:
    """Reads one folder of transcripts per split.

    Args:
        folder: the folder with the folders train, test and perhaps validation, each with transcripts in one of
            `transcripts.FORMATS`; an utterance without a label is context.
        strict: whether to refuse what would otherwise be repaired or marked unavailable.
        allow_outside: whether clips may lie outside the folder.

    Returns:
        The corpus without feature sets, named after the folder, its emotions sorted, and the clips of its utterances.

    Raises:
        InputError: a folder is missing, no training utterance has a label, or a transcript cannot be understood.
    """
    notices: list[str] = []
    repairs = Repairs()
    found = {
        split: read_conversations(
            folder / split,
            strict=strict,
            on_notice=notices.append,
            repairs=repairs,
            allow_outside=allow_outside,
            inside=folder,
        )
        for split in SPLITS
        if is_folder(folder / split)
    }
    for split in ("train", "test"):
        if split not in found:
            raise InputError(f"{folder} has no folder {split}: put the conversations into train, test and validation")
    repairs.settle(strict, notices.append)
    conversations = [conversation._replace(split=split) for split in found for conversation in found[split]]
    names = Counter(conversation.name for conversation in conversations)
    for name, count in names.items():
        if count > 1:
            raise InputError(f"{folder}: there are two conversations {name}: give each its own name")
    utterances = list_utterances(conversations)
    if not any(utterance.label for utterance in list_utterances(found["train"])):
        raise InputError(f"{folder / 'train'}: no utterance has a label: add a column `label`, and label some of them")
    labels = sorted({utterance.label for utterance in utterances} - {""})
    corpus = to_corpus(conversations, labels, name=folder.resolve().name)
    return ImportedCorpus(
        dataclasses.replace(corpus, notices=tuple(notices)),
        clips=tuple(utterance.clip for utterance in utterances),
        where=tuple(utterance.where for utterance in utterances),
    )
