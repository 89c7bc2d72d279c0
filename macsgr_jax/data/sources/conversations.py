"""Labelled conversations of one's own: transcripts in the folders train, test and perhaps validation."""

from pathlib import Path

from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.data.dialogue import list_utterances
from macsgr_jax.data.sources.build import ImportedCorpus
from macsgr_jax.data.transcript import read_conversations, to_corpus
from macsgr_jax.errors import InputError


def read_labelled_conversations(folder: Path) -> ImportedCorpus:
    """Reads one folder of transcripts per split.

    Args:
        folder: the folder with the folders train, test and perhaps validation, each with transcripts in one of
            `transcripts.FORMATS`; every utterance has a label.

    Returns:
        The corpus without feature sets, named after the folder, its emotions sorted, and the clips of its utterances.

    Raises:
        InputError: a folder is missing, an utterance has no label, or a transcript cannot be understood.
    """
    found = {split: read_conversations(folder / split) for split in SPLITS if (folder / split).is_dir()}
    for split in ("train", "test"):
        if split not in found:
            raise InputError(f"{folder} has no folder {split}: put the conversations into train, test and validation")
    conversations = [conversation._replace(split=split) for split in found for conversation in found[split]]
    names = [conversation.name for conversation in conversations]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{folder}: there are two conversations {name}: give each its own name")
    utterances = list_utterances(conversations)
    for utterance in utterances:
        if not utterance.label:
            raise InputError(f"{utterance.where}: it has no label: to learn from it, it needs one")
    corpus = to_corpus(conversations, sorted({utterance.label for utterance in utterances}), name=folder.resolve().name)
    return ImportedCorpus(
        corpus,
        clips=tuple(utterance.clip for utterance in utterances),
        where=tuple(utterance.where for utterance in utterances),
    )
