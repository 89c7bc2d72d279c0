"""A conversation of one's own: a table of utterances, CSV or JSON Lines, with one recording or a clip each."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.transcript_table import SUFFIXES, Row, read_rows
from macsgr_jax.errors import InputError

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
        place: file, row and id, for messages.
    """

    id: str
    speaker: str
    text: str
    start: float | None
    end: float | None
    clip: Clip | None
    label: str
    place: str


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
        path: CSV or JSON Lines with columns of `conversation_table`, or a folder of such files.
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
    for file in files:
        same = [other.name for other in files if other.stem == file.stem]
        if len(same) > 1:
            raise InputError(f"{path} has {' and '.join(same)}: give each conversation a name of its own")
    return [_read(file, None) for file in files]


def check_recording(recording: Path | None) -> None:
    """See that a recording that was named is there.

    Raises:
        InputError: it is not.
    """
    if recording is not None and not recording.is_file():
        raise InputError(f"the recording {recording} does not exist: check the path")


class Transcript:
    """Reads the utterances of one conversation in their order, and sees that each may follow those before it.

    Args:
        recording: of the whole conversation, if there is one.
        folder: to which paths of clips are relative.
    """

    def __init__(self, recording: Path | None, folder: Path) -> None:
        self._recording = recording
        self._folder = folder
        self._places: dict[str, str] = {}  # By id.
        self._latest: Turn | None = None  # Of those with times.
        self._latest_of: dict[str, Turn] = {}  # By speaker.

    def read(self, row: Row) -> Turn:
        """The next utterance.

        Raises:
            InputError: a value is missing or cannot be understood, or contradicts an utterance before.
        """
        text = row.values
        id_ = text["id"] or f"{len(self._places):03d}"
        place = f"{row.place}, utterance {id_}"
        if id_ in self._places:
            raise InputError(f"{row.place}: the id {id_!r} is that of {self._places[id_]} too: give each its own")
        if not text["speaker"]:
            raise InputError(f"{place}: the speaker is empty: name one, such as A; all that counts is who is the same")
        start, end = _read_times(text, place)
        clip = self._find_clip(text["clip"], start, end, place)
        if not text["text"] and clip is None:
            raise InputError(f"{place}: there is neither text nor sound: give one of them, or leave the utterance out")
        turn = Turn(id_, text["speaker"], text["text"], start, end, clip, text["label"], place)
        self._check_order(turn)
        self._places[id_] = row.place
        return turn

    def _find_clip(self, name: str, start: float | None, end: float | None, place: str) -> Clip | None:
        if name:
            return Clip(self._folder / name)
        if self._recording is None:
            return None
        if start is None:
            raise InputError(f"{place}: it has no start and end, so it cannot be found in {self._recording}: give both")
        return Clip(self._recording, start, end)

    def _check_order(self, turn: Turn) -> None:
        """People may talk at the same time, but the rows are in the order of their starts."""
        if turn.start is None or turn.end is None:
            return
        before, same = self._latest, self._latest_of.get(turn.speaker)
        if before is not None and before.start is not None and turn.start < before.start:
            raise InputError(
                f"{turn.place}: it starts at {turn.start:g} s, before utterance {before.id} above it, at"
                f" {before.start:g} s: sort the utterances by their start"
            )
        if same is not None and same.end is not None and turn.start < same.end:
            raise InputError(
                f"{turn.place}: it overlaps utterance {same.id}, by the same speaker, which ends at {same.end:g} s:"
                " nobody says two things at once; correct the times"
            )
        self._latest = self._latest_of[turn.speaker] = turn


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
    rows = read_rows(path)
    check_recording(recording)
    if recording is None and not any(row.values["clip"] for row in rows):
        beside = (path.with_suffix(suffix) for suffix in RECORDINGS)
        recording = next((file for file in beside if file.is_file()), None)
    transcript = Transcript(recording, path.parent)
    return Conversation(path.stem, path, tuple(transcript.read(row) for row in rows))


def _read_times(text: dict[str, str], place: str) -> tuple[float | None, float | None]:
    start, end = (_read_seconds(text[name], name, place) for name in ("start", "end"))
    if (start is None) != (end is None):
        raise InputError(f"{place}: it has a start or an end, and not both: give both, or none")
    if start is not None and end is not None and end <= start:
        raise InputError(f"{place}: it ends at {end:g} s and starts at {start:g} s: an utterance ends after its start")
    return start, end


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
