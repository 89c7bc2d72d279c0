"""Conversations of one's own: a transcript with one recording, or one clip per utterance."""

import math
from collections.abc import Sequence
from pathlib import Path

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.data.transcripts import FORMATS, read_rows
from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.errors import InputError

RECORDINGS = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".mp4", ".mkv", ".webm")


def read_conversations(path: Path, recording: Path | None = None) -> list[Dialogue]:
    """Reads the conversation of a file, or of every file of a folder.

    Args:
        path: a transcript in one of `transcripts.FORMATS`, or a folder of transcripts.
        recording: the recording of the whole conversation; by default an audio or video file of the same name beside
            the transcript, if there is one.

    Returns:
        The conversations, sorted by name.

    Raises:
        InputError: a file cannot be understood.
    """
    if not path.is_dir():
        return [_read_conversation(path, recording)]
    if recording is not None:
        raise InputError(f"--recording {recording} is for one conversation, and {path} is a folder: name a file of it")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in FORMATS)
    if not files:
        raise InputError(f"{path} holds no conversation: it should have files that end in {' or '.join(FORMATS)}")
    for file in files:
        same = [other.name for other in files if other.stem == file.stem]
        if len(same) > 1:
            raise InputError(f"{path} has {' and '.join(same)}: give each conversation a name of its own")
    return [_read_conversation(file, None) for file in files]


def check_recording(recording: Path | None) -> None:
    """Checks that the recording exists, if one was named.

    Raises:
        InputError: it does not exist.
    """
    if recording is not None and not recording.is_file():
        raise InputError(f"the recording {recording} does not exist: check the path")


class Transcript:
    """Reads the utterances of one conversation in order, and checks that each may follow those before it.

    Args:
        recording: the recording of the whole conversation, if there is one.
        folder: the folder to which paths of clips are relative.
    """

    def __init__(self, recording: Path | None, folder: Path) -> None:
        self._recording = recording
        self._folder = folder
        self._where: dict[str, str] = {}  # By id.
        self._latest: Utterance | None = None  # Of those with times.
        self._latest_of: dict[str, Utterance] = {}  # By speaker.

    def read(self, row: Row) -> Utterance:
        """Reads the next utterance.

        Args:
            row: its row in the transcript.

        Returns:
            The utterance.

        Raises:
            InputError: a value is missing, cannot be understood, or contradicts an earlier utterance.
        """
        text = row.values
        id_ = text["id"] or f"{len(self._where):03d}"
        where = f"{row.where}, utterance {id_}"
        if id_ in self._where:
            raise InputError(f"{row.where}: the id {id_!r} is that of {self._where[id_]} too: give each its own")
        if not text["speaker"]:
            raise InputError(f"{where}: the speaker is empty: name one, such as A; all that counts is who is the same")
        start, end = _read_times(text, where)
        clip = self._find_clip(text["clip"], start, end, where)
        if not text["text"] and clip is None:
            raise InputError(f"{where}: there is neither text nor audio: give one of them, or leave the utterance out")
        utterance = Utterance(
            id=id_,
            speaker=text["speaker"],
            text=text["text"],
            label=text["label"],
            start=start,
            end=end,
            clip=clip,
            where=where,
        )
        self._check_order(utterance)
        self._where[id_] = row.where
        return utterance

    def _find_clip(self, name: str, start: float | None, end: float | None, where: str) -> Clip | None:
        if name:
            return Clip(self._folder / name)
        if self._recording is None:
            return None
        if start is None:
            raise InputError(f"{where}: it has no start and end, so it cannot be found in {self._recording}: give both")
        return Clip(self._recording, start, end)

    def _check_order(self, utterance: Utterance) -> None:
        """Checks the times: different speakers may overlap, but the rows are in the order of their starts."""
        if utterance.start is None or utterance.end is None:
            return
        before, same = self._latest, self._latest_of.get(utterance.speaker)
        if before is not None and before.start is not None and utterance.start < before.start:
            raise InputError(
                f"{utterance.where}: it starts at {utterance.start:g} s, before utterance {before.id} above it, at"
                f" {before.start:g} s: sort the utterances by their start"
            )
        if same is not None and same.end is not None and utterance.start < same.end:
            raise InputError(
                f"{utterance.where}: it overlaps utterance {same.id}, by the same speaker, which ends at"
                f" {same.end:g} s: utterances of one speaker must not overlap; correct the times"
            )
        self._latest = self._latest_of[utterance.speaker] = utterance


def to_corpus(conversations: Sequence[Dialogue], label_names: Sequence[str], name: str = "") -> Corpus:
    """Makes a corpus without features of conversations whose ids and speakers are each their own.

    Args:
        conversations: at least one conversation.
        label_names: the emotions; utterances without a label get the first one.
        name: the name of the corpus; by default that of the first conversation.

    Returns:
        The corpus; the same speaker name in two conversations counts as two speakers.
    """
    dialogues = [
        conversation._replace(
            utterances=[
                utterance._replace(
                    id=f"{conversation.name}_{utterance.id}", speaker=f"{conversation.name}/{utterance.speaker}"
                )
                for utterance in conversation.utterances
            ]
        )
        for conversation in conversations
    ]
    return Corpus.from_dialogues(name or conversations[0].name, dialogues, label_names)


def _read_conversation(path: Path, recording: Path | None) -> Dialogue:
    rows = read_rows(path)
    check_recording(recording)
    if recording is None and not any(row.values["clip"] for row in rows):
        candidates = (path.with_suffix(suffix) for suffix in RECORDINGS)
        recording = next((file for file in candidates if file.is_file()), None)
    transcript = Transcript(recording, path.parent)
    return Dialogue(name=path.stem, utterances=[transcript.read(row) for row in rows])


def _read_times(text: dict[str, str], where: str) -> tuple[float | None, float | None]:
    start, end = (_read_seconds(text[name], name, where) for name in ("start", "end"))
    if (start is None) != (end is None):
        raise InputError(f"{where}: it has a start or an end, and not both: give both, or none")
    if start is not None and end is not None and end <= start:
        raise InputError(f"{where}: it ends at {end:g} s and starts at {start:g} s: an utterance ends after its start")
    return start, end


def _read_seconds(text: str, name: str, where: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (0 <= seconds < math.inf):
        raise InputError(f"{where}: its {name} is {text!r}; it should be seconds from the beginning, such as 12.5")
    return seconds
