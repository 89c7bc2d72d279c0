"""A dialogue as a feature pickle holds it, before its labels are named."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class PickledDialogue(NamedTuple):
    """One dialogue of T utterances.

    Attributes:
        name: its name or number.
        split: train, validation or test.
        speakers: T names, codes or one-hot vectors.
        labels: T numbers, one-hot vectors or names.
        features: feature set -> T vectors, or None where the file has none.
        texts: T sentences.
    """

    name: Any
    split: str
    speakers: Any
    labels: Any
    features: Mapping[str, Any]
    texts: Any
