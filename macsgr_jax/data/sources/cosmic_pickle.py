"""COSMIC's layout of feature pickles: speakers, labels, four layers of RoBERTa, sentences, three lists of dialogues.

Reference:
    Ghosal et al., COSMIC: Commonsense Knowledge for Emotion Identification in Conversations, 2020.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.data.sources.pickled_dialogue import PickledDialogue

LAYERS = ("text_layer1", "text_layer2", "text_layer3", "text_layer4")
LISTS = ("train", "test", "validation")  # In the order of the file.


def is_cosmic(parts: Sequence[Any]) -> bool:
    """Returns whether a tuple is of COSMIC's layout: 7 dictionaries, 8 with sentiments, then three lists."""
    dictionaries, lists = list(parts[: -len(LISTS)]), list(parts[-len(LISTS) :])
    return (
        len(dictionaries) - len(LAYERS) in (3, 4)
        and all(isinstance(part, Mapping) for part in dictionaries)
        and not any(isinstance(part, Mapping) for part in lists)
    )


def list_cosmic_dialogues(parts: Sequence[Any]) -> Iterator[PickledDialogue]:
    """Yields the dialogues of a tuple of COSMIC's layout, those of the training split first."""
    speakers, labels, *rest, sentences = parts[: -len(LISTS)]
    layers = dict(zip(LAYERS, rest[-len(LAYERS) :], strict=True))  # Sentiments stand before them.
    named = dict(zip(LISTS, parts[-len(LISTS) :], strict=True))
    for split in SPLITS:
        for name in named[split]:
            features = {key: values[name] for key, values in layers.items()}
            yield PickledDialogue(name, split, speakers[name], labels[name], features, sentences[name])
