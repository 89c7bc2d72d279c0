"""Transcripts as one JSON document: of Whisper, WhisperX, whisper.cpp or transformers, or objects of one's own."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from macsgr_jax.data.transcripts.json_lines import parse_json_lines, read_object
from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.errors import InputError, quote

# Keys under which programs list utterances, in the order in which they are looked for.
LISTS = ("segments", "utterances", "chunks", "transcription", "turns", "dialogue", "conversation", "messages", "data")


def parse_json(path: Path, text: str, notices: list[str]) -> list[Row]:
    """Parses a JSON document.

    Args:
        path: the file, for messages.
        text: its content: a list of objects, an object with such a list under a key of LISTS, an object of columns as
            pandas writes it, an object of dialogues, or JSON Lines.
        notices: not needed.

    Returns:
        The rows, perhaps none.

    Raises:
        InputError: it is not JSON, or lists no utterances.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            return parse_json_lines(path, text, notices)
        if not text.strip():
            return []
        raise InputError(f"{path} is not JSON ({quote(error)}): write a list of objects, one per utterance") from None
    return [
        read_object(_flatten(values), f"{path}: row {number}")
        for number, values in enumerate(_find_utterances(path, content), 1)
    ]


def _find_utterances(path: Path, content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        for key in LISTS:
            if isinstance(content.get(key), list):
                return list(content[key])
        columns = [value for value in content.values() if isinstance(value, dict)]
        if columns and len(columns) == len(content):  # The default of pandas: column -> row -> value.
            keys = dict.fromkeys(key for column in columns for key in column)
            return [{name: column.get(key) for name, column in content.items()} for key in keys]
        if content and all(isinstance(value, list) for value in content.values()):
            objects = [one for value in content.values() for one in value]
            if objects and all(isinstance(one, dict) for one in objects):
                return [one | {"dialogue": name} for name, value in content.items() for one in value]
            if len({len(value) for value in content.values()}) == 1:  # Column -> values.
                return [dict(zip(content, row, strict=True)) for row in zip(*content.values(), strict=True)]
    raise InputError(f"{path} lists no utterances: give a list of objects, or one under the key {LISTS[0]!r}")


def _flatten(values: Any) -> Any:
    """Brings the times of transformers and whisper.cpp, and the speaker of WhisperX's words, to the utterance."""
    if not isinstance(values, dict):
        return values
    timestamp, offsets = values.get("timestamp"), values.get("offsets")
    if isinstance(timestamp, list) and len(timestamp) == 2:
        values = values | {"start": timestamp[0], "end": timestamp[1]}
    elif isinstance(offsets, dict) and {"from", "to"} <= offsets.keys():
        values = values | {"start_ms": offsets["from"], "end_ms": offsets["to"]}
    words = values.get("words")
    if not values.get("speaker") and isinstance(words, list):
        named = [word.get("speaker") for word in words if isinstance(word, dict)]
        speakers = Counter(speaker for speaker in named if speaker and isinstance(speaker, str))
        if speakers:
            values = values | {"speaker": speakers.most_common(1)[0][0]}
    return values
