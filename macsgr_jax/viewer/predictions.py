"""Reads predictions of conversations as JSON Lines, checks them, and arranges them for the page."""

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pydantic
from pydantic_core import PydanticCustomError

from macsgr_jax.errors import InputError, quote
from macsgr_jax.files import read_file
from macsgr_jax.limits import MAX_TABLE_BYTES

Relation = Literal["same speaker, past", "same speaker, future", "other speaker, past", "other speaker, future"]
ROUNDING = 1e-5  # How far a fraction may lie beyond 1 through rounding in float32.
ROUNDED_SUM = 0.02  # How far a sum of probabilities may lie from 1 when each was rounded to few digits.


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
    """

    utterance: Name
    weight: Fraction


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
    """One line of the file; other keys are ignored.

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


LINE = pydantic.TypeAdapter(PredictionRecord)


def read_predictions(path: Path) -> dict[str, list[PredictionRecord]]:
    """Reads and checks predictions.

    Args:
        path: a JSON Lines file, each line with the keys of `PredictionRecord`.

    Returns:
        The name of each conversation -> its utterances; both in the order of the file.

    Raises:
        InputError: the file or a line cannot be read, or lines contradict each other.
    """
    return parse_predictions(read_file(path, MAX_TABLE_BYTES, "give a JSON Lines file of predictions"), path)


def parse_predictions(content: bytes, path: Path) -> dict[str, list[PredictionRecord]]:
    """Parses and checks predictions.

    Args:
        content: JSON Lines, each line with the keys of `PredictionRecord`.
        path: the file that they are from or for, for messages.

    Returns:
        The name of each conversation -> its utterances; both in the order of the lines.

    Raises:
        InputError: a line cannot be understood, or lines contradict each other.
    """
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    conversations: dict[str, list[PredictionRecord]] = {}
    numbers: dict[tuple[str, str], int] = {}
    emotions: list[str] = []
    previous = ""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        record = _parse(line, where)
        emotions = emotions or list(record.probabilities)
        _check(record, emotions, where)
        if record.conversation in conversations and record.conversation != previous:
            raise InputError(
                f"{where}: conversation '{quote(record.conversation)}' goes on after another: keep its lines together"
            )
        if (record.conversation, record.utterance) in numbers:
            first = numbers[record.conversation, record.utterance]
            raise InputError(
                f"{where}: utterance '{quote(record.utterance)}' is that of line {first}: give each an id of its own"
            )
        numbers[record.conversation, record.utterance] = number
        conversations.setdefault(record.conversation, []).append(record)
        previous = record.conversation
    if not conversations:
        raise InputError(f"{path} holds no prediction: make it again")
    _check_links(conversations, numbers, path)
    return conversations


def arrange(conversations: dict[str, list[PredictionRecord]]) -> dict[str, Any]:
    """Arranges predictions for the page: names are listed once and referred to by index.

    Args:
        conversations: the conversations of `read_predictions`.

    Returns:
        The argument of `render_page`.
    """
    first = next(iter(conversations.values()))[0]
    emotions, relations = list(first.probabilities), list(get_args(Relation))
    arranged = []
    for name, turns in conversations.items():
        speakers = list(dict.fromkeys(turn.speaker for turn in turns))
        positions = {turn.utterance: position for position, turn in enumerate(turns)}
        utterances = [
            {
                "speaker": speakers.index(turn.speaker),
                "text": turn.text,
                "start": turn.start,
                "end": turn.end,
                "emotion": emotions.index(turn.emotion),
                "label": None if turn.label is None else emotions.index(turn.label),
                "probabilities": [turn.probabilities[emotion] for emotion in emotions],
                "modalities": [[name, turn.weights.get(name, 0.0), there] for name, there in turn.available.items()],
                "uncertainty": turn.uncertainty,
                "edges": [
                    [positions[edge.utterance], relations.index(edge.relation), edge.weight] for edge in turn.edges
                ],
                "influences": [[positions[link.utterance], link.weight] for link in turn.influences],
            }
            for turn in turns
        ]
        arranged.append({"name": name, "speakers": speakers, "utterances": utterances})
    return {"emotions": emotions, "relations": relations, "conversations": arranged}


def _parse(line: bytes, where: str) -> PredictionRecord:
    try:
        return LINE.validate_json(line, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise InputError(f"{where} is not JSON ({first['ctx']['error']}): make the file again") from None
        key = ".".join(quote(part) for part in first["loc"]) or "the line"
        problem = "is missing" if first["type"] == "missing" else f"does not fit: {first['msg'].lower()}"
        raise InputError(f"{where}: {key} {problem}") from None


def _check(record: PredictionRecord, emotions: list[str], where: str) -> None:
    """Checks that the values of a line fit each other and the emotions of the first line."""
    if set(record.probabilities) != set(emotions):
        raise InputError(f"{where}: probabilities are not of {quote(', '.join(emotions), 1000)}, as in the first line")
    total = math.fsum(record.probabilities.values())
    if abs(total - 1) > ROUNDED_SUM:
        raise InputError(f"{where}: probabilities sum to {total:.3f} instead of 1")
    for key, emotion in (("emotion", record.emotion), ("label", record.label)):
        if emotion is not None and emotion not in emotions:
            names = quote(", ".join(emotions), 1000)
            raise InputError(f"{where}: {key} is '{quote(emotion)}', which has no probability: name one of {names}")
    unknown = sorted(set(record.weights) - set(record.available))
    weightless = sorted(name for name, there in record.available.items() if there and name not in record.weights)
    if unknown:
        raise InputError(f"{where}: weights has '{quote(unknown[0])}', which is not in available: put it into both")
    if weightless:
        raise InputError(f"{where}: '{quote(weightless[0])}' is available, but not in weights: put it into both")
    if record.start is not None and record.end is not None and record.end < record.start:
        raise InputError(f"{where}: end is {record.end:g}, before start, {record.start:g}")


def _check_links(
    conversations: dict[str, list[PredictionRecord]], numbers: dict[tuple[str, str], int], path: Path
) -> None:
    for name, turns in conversations.items():
        for turn in turns:
            for key, links in (("influences", turn.influences), ("edges", turn.edges)):
                named = Counter(link.utterance for link in links)
                wrong = [link for link, times in named.items() if (name, link) not in numbers or times > 1]
                if wrong:
                    problem = "twice" if (name, wrong[0]) in numbers else "which the conversation does not have"
                    where = f"{path}, line {numbers[name, turn.utterance]}"
                    raise InputError(
                        f"{where}: {key} name utterance '{quote(wrong[0])}', {problem}: make the file again"
                    )
