"""A conversation of one's own: a table of utterances, CSV or JSON Lines, with one recording or a clip each."""

import csv
import difflib
import io
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.data.clips import Clip
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.errors import InputError

COLUMNS = ("id", "speaker", "text", "start", "end", "clip", "label")
SUFFIXES = (".csv", ".jsonl")
RECORDINGS = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".mp4", ".mkv", ".webm")


class Turn(NamedTuple):
    """One utterance.

    Attributes:
        id: its name in the conversation.
        speaker: who speaks.
        text: what was said; empty where it is not known.
        start: seconds, or None.
        end: seconds, or None.
        clip: where its sound is, or None.
        label: its emotion, where it is known; otherwise empty.
    """

    id: str
    speaker: str
    text: str
    start: float | None
    end: float | None
    clip: Clip | None
    label: str


class Conversation(NamedTuple):
    """Utterances in the order of speaking.

    Attributes:
        name: of its file.
        path: the file.
        turns: at least one.
    """

    name: str
    path: Path
    turns: tuple[Turn, ...]


def read_conversations(path: Path, recording: Path | None = None) -> list[Conversation]:
    """The conversation of a file, or of every file of a folder.

    Args:
        path: CSV or JSON Lines with columns of COLUMNS, or a folder of such files.
        recording: of the whole conversation; by default a sound file of the same name beside it, if there is one.

    Returns:
        The conversations, by name.

    Raises:
        InputError: a file cannot be understood.
    """
    if not path.is_dir():
        return [_read(path, recording)]
    if recording is not None:
        raise InputError(f"--recording {recording} is for one conversation, and {path} is a folder: name a file of it")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{path} holds no conversation: it should have files that end in {' or '.join(SUFFIXES)}")
    return [_read(file, None) for file in files]


def read_turn(values: dict[str, Any], row: int, place: str, recording: Path | None, folder: Path) -> Turn:
    """One utterance of plain values.

    Args:
        values: by column; text or numbers, empty or None where there is nothing.
        row: its position in the conversation, from 0; names it where there is no id.
        place: file and row, for messages.
        recording: of the whole conversation.
        folder: to which paths of clips are relative.

    Raises:
        InputError: a value is missing or cannot be understood.
    """
    for name in values:
        if name not in COLUMNS:
            near = difflib.get_close_matches(str(name), COLUMNS, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise InputError(f"{place}: the column {name!r} is not known{hint}; there are {', '.join(COLUMNS)}")
    text = {name: "" if values.get(name) is None else str(values[name]).strip() for name in COLUMNS}
    place = f"{place}, utterance {text['id'] or row}"
    if not text["speaker"]:
        raise InputError(f"{place}: the speaker is empty: name one, such as A; all that counts is who is the same")
    start, end = (_read_seconds(text[name], name, place) for name in ("start", "end"))
    if (start is None) != (end is None):
        raise InputError(f"{place}: it has a start or an end, and not both: give both, or none")
    if start is not None and end is not None and end <= start:
        raise InputError(f"{place}: it ends at {end:g} s and starts at {start:g} s: an utterance ends after its start")
    clip = None
    if text["clip"]:
        clip = Clip(folder / text["clip"])
    elif recording is not None:
        if start is None:
            raise InputError(f"{place}: it has no start and end, so it cannot be found in {recording}: give both")
        clip = Clip(recording, start, end)
    if not text["text"] and clip is None:
        raise InputError(f"{place}: there is neither text nor sound: give one of them, or leave the utterance out")
    return Turn(text["id"] or f"{row:03d}", text["speaker"], text["text"], start, end, clip, text["label"])


def check_order(before: Turn, turn: Turn, place: str) -> None:
    """See that an utterance may follow another one.

    Raises:
        InputError: it starts earlier, or its speaker has not finished yet.
    """
    if before.start is None or turn.start is None or before.end is None:
        return
    if turn.start < before.start:
        raise InputError(
            f"{place}, utterance {turn.id}: it starts at {turn.start:g} s, before the one above it at {before.start:g}"
            " s: sort the utterances by their start"
        )
    if turn.speaker == before.speaker and turn.start < before.end:
        raise InputError(
            f"{place}, utterance {turn.id}: it overlaps the one above it, by the same speaker, which ends at"
            f" {before.end:g} s: nobody says two things at once; correct the times"
        )


def to_corpus(conversations: list[Conversation], label_names: tuple[str, ...]) -> Corpus:
    """Conversations as a corpus without features, in the test split.

    Args:
        conversations: at least one.
        label_names: the emotions of the network; labels that are not known are 0.
    """
    turns = [turn for conversation in conversations for turn in conversation.turns]
    lengths = [len(conversation.turns) for conversation in conversations]
    owner = np.repeat([conversation.name for conversation in conversations], lengths)
    speakers = [f"{name}/{turn.speaker}" for name, turn in zip(owner, turns, strict=True)]
    speaker_names, speaker = np.unique(speakers, return_inverse=True)
    return Corpus(
        name=conversations[0].name,
        features={},
        measured={},
        labels=np.array([label_names.index(turn.label) if turn.label else 0 for turn in turns], np.int32),
        label_names=label_names,
        speakers=speaker.astype(np.int32),
        speaker_names=tuple(speaker_names.tolist()),
        offsets=np.cumsum([0, *lengths]),
        dialogue_names=tuple(conversation.name for conversation in conversations),
        split=np.full(len(conversations), SPLITS.index("test"), np.int8),
        utterance_ids=tuple(f"{name}_{turn.id}" for name, turn in zip(owner, turns, strict=True)),
        texts=tuple(turn.text for turn in turns),
        notices=(),
        sha256="",
    )


def _read(path: Path, recording: Path | None) -> Conversation:
    rows = _read_rows(path)
    if not rows:
        raise InputError(f"{path} is an empty conversation: give a row an utterance")
    if recording is not None and not recording.is_file():
        raise InputError(f"the recording {recording} does not exist: check the path")
    if recording is None and not any(values.get("clip") for _, values in rows):
        beside = (path.with_suffix(suffix) for suffix in RECORDINGS)
        recording = next((file for file in beside if file.is_file()), None)
    turns: list[Turn] = []
    seen: dict[str, str] = {}
    for row, (line, values) in enumerate(rows):
        place = f"{path}: row {line}"
        turn = read_turn(values, row, place, recording, path.parent)
        if turn.id in seen:
            raise InputError(f"{place}: the id {turn.id!r} is that of {seen[turn.id]} too: give each its own")
        seen[turn.id] = f"row {line}"
        if turns:
            check_order(turns[-1], turn, place)
        turns.append(turn)
    return Conversation(path.stem, path, tuple(turns))


def _read_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Line and values of each row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    if path.suffix.lower() == ".jsonl":
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        return [(number, parse_json_turn(line, f"{path}: row {number}")) for number, line in lines]
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path} should end in {' or '.join(SUFFIXES)}")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "speaker" not in (reader.fieldnames or ()):
        there = ", ".join(reader.fieldnames or ()) or "none"
        raise InputError(f"{path}: the column speaker is missing (it has {there}); there may be {', '.join(COLUMNS)}")
    rows = []
    for values in reader:
        if None in values or None in values.values():
            wanted = f"the {len(reader.fieldnames or ())} columns of its head"
            raise InputError(f"{path}: row {reader.line_num} does not have {wanted}: quote texts that hold a comma")
        rows.append((reader.line_num, dict(values)))
    return rows


def parse_json_turn(line: str, place: str) -> dict[str, Any]:
    """One line of JSON Lines.

    Raises:
        InputError: it is not a JSON object.
    """
    try:
        values = json.loads(line)
    except ValueError as error:
        raise InputError(f"{place} is not JSON ({error}): write one object a line") from None
    if not isinstance(values, dict):
        raise InputError(f"{place} is no JSON object: write one a line, such as {{'speaker': 'A', 'text': 'Yes.'}}")
    return values


def _read_seconds(text: str, name: str, place: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (0 <= seconds < math.inf):
        raise InputError(f"{place}: its {name} is {text!r}; it should be seconds from the beginning, such as 12.5")
    return seconds
