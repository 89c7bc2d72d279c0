"""The prediction of an utterance as plain typed values: a line of JSON Lines, a row of a table, an object in Python."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pydantic
from pydantic_core import PydanticCustomError

Relation = Literal["same speaker, past", "same speaker, future", "other speaker, past", "other speaker, future"]
ROUNDING = 1e-5  # How far a fraction may lie beyond 1 through rounding in float32.


def _check_fraction(value: float) -> float:
    if not 0 <= value <= 1 + ROUNDING:
        raise PydanticCustomError("share", "should lie between 0 and 1")
    return min(value, 1.0)


Fraction = Annotated[float, pydantic.AfterValidator(_check_fraction)]
Name = Annotated[str, pydantic.Field(min_length=1)]


@dataclasses.dataclass(frozen=True)
class Influence:
    """The attention of the semantic encoder to an utterance.

    Attributes:
        utterance: its id.
        weight: its fraction of the attention.
        relation: speaker and time of that utterance relative to the predicted one, where they are known.
    """

    utterance: Name
    weight: Fraction
    relation: Relation | None = None


@dataclasses.dataclass(frozen=True)
class Edge:
    """An edge of the semantic graph that ends in the predicted utterance.

    Attributes:
        utterance: the id of the utterance where it begins.
        relation: speaker and time of that utterance relative to the predicted one.
        weight: M^s of eq. 22.
    """

    utterance: Name
    relation: Relation
    weight: pydantic.FiniteFloat


@dataclasses.dataclass(frozen=True)
class PredictionRecord:
    """The prediction of one utterance.

    Attributes:
        conversation: the name of the conversation.
        utterance: the id of the utterance inside the conversation.
        speaker: the name of the speaker.
        text: the transcript, where it is known.
        start: the start in seconds.
        end: the end in seconds.
        emotion: the predicted emotion.
        probabilities: emotion -> probability.
        weights: modality -> weight in the fusion.
        available: modality -> whether the utterance has it.
        uncertainty: an entropy divided by its maximum: 0 is certain, 1 a guess.
        influences: the utterances that the semantic encoder attends to most.
        edges: the edges of the semantic graph that end in this utterance.
        label: the annotated emotion, where it is known.
    """

    conversation: Name
    utterance: Name
    speaker: Name
    text: str | None
    start: pydantic.FiniteFloat | None
    end: pydantic.FiniteFloat | None
    emotion: Name
    probabilities: Annotated[dict[str, Fraction], pydantic.Field(min_length=1)]
    weights: dict[str, Fraction]
    available: dict[str, bool]
    uncertainty: Fraction
    influences: list[Influence]
    edges: list[Edge]
    label: Name | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PredictionRecord":
        """Returns the record of what `runs.predict.describe_prediction` made, which fits without a check."""
        links = {
            "influences": [Influence(**link) for link in values["influences"]],
            "edges": [Edge(**link) for link in values["edges"]],
        }
        return cls(**{**values, **links})

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, as a line of JSON Lines has them; without a label where there is none."""
        values = dataclasses.asdict(self)
        if self.label is None:
            del values["label"]
        return values


def group_records(records: Sequence[PredictionRecord]) -> dict[str, list[PredictionRecord]]:
    """Returns the name of each conversation -> its utterances; both in the order of the records."""
    conversations: dict[str, list[PredictionRecord]] = {}
    for record in records:
        conversations.setdefault(record.conversation, []).append(record)
    return conversations
