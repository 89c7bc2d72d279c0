"""Reads predictions of conversations as JSON Lines or JSON, checks them, and arranges them for the page."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pydantic

from macsgr_jax.errors import InputError, quote
from macsgr_jax.files import read_file
from macsgr_jax.inference.records import PredictionRecord, Relation
from macsgr_jax.limits import MAX_TABLE_BYTES
from macsgr_jax.weighted_f1 import weighted_f1

ROUNDED_SUM = 0.02  # How far a sum of probabilities may lie from 1 when each was rounded to few digits.
DOCUMENT = ".json"

LINE = pydantic.TypeAdapter(PredictionRecord)


def read_predictions(path: Path) -> dict[str, list[PredictionRecord]]:
    """Reads and checks predictions.

    Args:
        path: a JSON Lines file, each line with the keys of `PredictionRecord`; or, where it ends in .json, the document
            of `macsgr predict --out`.

    Returns:
        The name of each conversation -> its utterances; both in the order of the file.

    Raises:
        InputError: the file or a line cannot be read, or lines contradict each other.
    """
    conversations: dict[str, list[PredictionRecord]] = {}
    numbers: dict[tuple[str, str], int] = {}
    emotions: list[str] = []
    previous = ""
    for number, line in enumerate(_read_lines(path), start=1):
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
        scores = _score(utterances, len(emotions))
        arranged.append({"name": name, "speakers": speakers, "utterances": utterances, "scores": scores})
    return {"emotions": emotions, "relations": relations, "conversations": arranged}


def _score(utterances: Sequence[Mapping[str, Any]], num_classes: int) -> dict[str, Any] | None:
    """Returns accuracy, WAF1 and confusion (rows: label, columns: prediction) of the labelled utterances, if any."""
    confusion = np.zeros((num_classes, num_classes), np.int64)
    for one in utterances:
        if one["label"] is not None:
            confusion[one["label"], one["emotion"]] += 1
    if not confusion.any():
        return None
    accuracy = float(np.trace(confusion) / confusion.sum())
    return {"waa": accuracy, "waf1": float(weighted_f1(confusion)), "confusion": confusion.tolist()}


def _read_lines(path: Path) -> list[bytes]:
    """Returns the lines of a file, those of a document as if it had been written as JSON Lines."""
    content = read_file(path, MAX_TABLE_BYTES, "give a JSON Lines file of predictions").removeprefix(b"\xef\xbb\xbf")
    if path.suffix.lower() != DOCUMENT:
        return content.split(b"\n")
    try:
        utterances = json.loads(content)["utterances"]
        return [json.dumps(one).encode() for one in utterances]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path} is no document of predictions: make it again with `macsgr predict --out`") from None


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
