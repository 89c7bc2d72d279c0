"""Conversations of one's own: transcripts with one recording each, or one clip per utterance."""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.data.repairs import Repairs
from macsgr_jax.data.transcripts import FORMATS, RTTM, read_rows
from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.data.transcripts.times import parse_seconds
from macsgr_jax.errors import InputError, quote
from macsgr_jax.files import is_file, is_folder, list_folder

# Audio and video that libsndfile or ffmpeg read; of several files of one name the first of these is taken.
RECORDINGS = (
    *(".wav", ".flac", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64", ".wv", ".ape", ".tta", ".mp3", ".ogg"),
    *(".oga", ".opus", ".spx", ".m4a", ".m4b", ".aac", ".ac3", ".eac3", ".mp2", ".mpga", ".wma", ".amr", ".gsm", ".ra"),
    *(".mka", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mpe", ".ts", ".mts", ".m2ts", ".vob"),
    *(".wmv", ".asf", ".flv", ".f4v", ".ogv", ".3gp", ".3g2", ".dv", ".mxf", ".rm", ".rmvb"),
)
MAX_DIGITS = 18  # Of an id that is a number.
UNKNOWN = "unknown"  # The speaker of utterances that name none.
# What Whisper writes side by side of one recording, in the order in which one of them is chosen.
WHISPER = (".json", ".vtt", ".srt", ".tsv", ".txt")
# In a folder, files of these suffixes may be something else.
MAYBE = (".json", ".txt", ".tab")


def read_conversations(
    path: Path,
    recording: Path | None = None,
    *,
    strict: bool = False,
    on_notice: Callable[[str], None] = lambda text: None,
    repairs: Repairs | None = None,
    allow_outside: bool = False,
    inside: Path | None = None,
) -> list[Dialogue]:
    """Reads the conversations of a file, or of every file of a folder.

    Args:
        path: a transcript in one of `transcripts.FORMATS`, or a folder of transcripts; a table with a column
            `dialogue` holds several conversations.
        recording: the recording of the whole conversation; by default an audio or video file of the same name beside
            the transcript, if there is one.
        strict: whether to refuse what would otherwise be repaired or marked unavailable.
        on_notice: called with a sentence for what was repaired, and what was read in one of several ways.
        repairs: gets the faults, which the caller then tells for several calls together; by default they are told here.
        allow_outside: whether clips may lie outside the folder of their transcript. By default they may not: whoever
            made a transcript would decide which files are read.
        inside: the folder in which clips may lie instead, one above that of the transcript.

    Returns:
        The conversations, sorted by the names of their files, those of one file in its order.

    Raises:
        InputError: a file cannot be understood; or, where it is strict, utterances have faults, all of which are told.
    """
    notices: list[str] = []
    found = Repairs() if repairs is None else repairs
    if is_folder(path):
        if recording is not None:
            raise InputError(
                f"--recording {recording} is for one conversation, and {path} is a folder: name a file of it"
            )
        folder = _Folder(path, allow_outside, inside)
        conversations = [
            one
            for file in folder.list_transcripts(notices)
            for one in _try_reading(folder, file, found, notices, strict)
        ]
        if not conversations:
            raise InputError(f"{path} holds no conversation: it should have files that end in {' or '.join(FORMATS)}")
    else:
        check_recording(recording)
        conversations = _read_file(_Folder(path.parent, allow_outside, inside), path, recording, found, notices)
    for notice in notices:
        on_notice(notice)
    if repairs is None:
        found.settle(strict, on_notice)
    return conversations


def check_recording(recording: Path | None) -> None:
    """Checks that the recording exists, if one was named.

    Raises:
        InputError: it does not exist.
    """
    if recording is not None and not is_file(recording):
        raise InputError(f"the recording {recording} does not exist: check the path")


class Transcript:
    """Reads the utterances of a conversation that goes on, one by one.

    Args:
        recording: the recording of the whole conversation, if there is one.
        folder: the folder to which paths of clips are relative.
        earlier: the ids of utterances that were read before, in another call.
        allow_outside: whether clips may lie outside of the folder.
    """

    def __init__(
        self, recording: Path | None, folder: Path, earlier: Sequence[str] = (), allow_outside: bool = False
    ) -> None:
        self._recording = recording
        self._folder = _ClipFolder(folder, allow_outside)
        self._where = dict.fromkeys(earlier, "an utterance of an earlier call")  # By id.

    def read(self, row: Row, repairs: Repairs) -> Utterance:
        """Reads the next utterance.

        Args:
            row: its row in the transcript.
            repairs: gets what was repaired.

        Returns:
            The utterance.

        Raises:
            InputError: its id is that of an earlier utterance.
        """
        id_ = row.values["id"] or f"{len(self._where):03d}"
        if id_ in self._where:
            raise InputError(f"{row.where}: the id '{quote(id_)}' is that of {self._where[id_]} too: give each its own")
        utterance = _make_utterance(row, id_, repairs)
        if utterance.start is not None and utterance.end is None:
            repairs.add("open", utterance.where, "it has a start or an end, and not both: give both, or none")
            utterance = utterance._replace(start=None)
        (utterance,) = _find_clips([utterance], [row.values["clip"]], self._recording, self._folder, repairs)
        self._where[id_] = row.where
        return utterance


def make_conversation(name: str, rows: Sequence[Row], recording: Path | None, repairs: Repairs) -> Dialogue:
    """Makes a conversation of its rows, whose clips may lie anywhere.

    Args:
        name: the name of the conversation.
        rows: at least one row, of `transcripts.row.make_row`.
        recording: the recording of the whole conversation, if there is one.
        repairs: gets what was repaired.
        allow_outside: whether clips may lie outside the folder.

    Returns:
        The conversation.

    Raises:
        InputError: a row cannot be used.
    """
    clips = _ClipFolder(Path(), allow_outside=True)
    return Dialogue(name=name, utterances=_read_utterances(rows, recording, clips, repairs))


def to_corpus(conversations: Sequence[Dialogue], label_names: Sequence[str], name: str = "") -> Corpus:
    """Makes a corpus without features of conversations whose ids and speakers are each their own.

    Args:
        conversations: at least one conversation.
        label_names: the emotions of those utterances that have a label.
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


class _Folder:
    """The files of a folder, listed once: by their names without suffix, in any case."""

    def __init__(self, path: Path, allow_outside: bool = False, inside: Path | None = None) -> None:
        self.path = path
        self.clips = _ClipFolder(path, allow_outside, inside)
        self._files: dict[str, list[Path]] = {}
        for file in list_folder(path) if is_folder(path) else ():
            self._files.setdefault(file.stem.casefold(), []).append(file)

    def list_transcripts(self, notices: list[str]) -> list[Path]:
        """Returns one transcript per name.

        Raises:
            InputError: there are several tables of one name.
        """
        chosen = []
        for files in self._files.values():
            found = [file for file in files if file.suffix.lower() in FORMATS and is_file(file)]
            if len(found) > 1:  # The speakers of another file.
                found = [file for file in found if file.suffix.lower() != RTTM]
            if len(found) > 1:
                if not all(file.suffix.lower() in WHISPER for file in found):
                    both = " and ".join(file.name for file in found)
                    raise InputError(f"{self.path} has {both}: give each conversation a name of its own")
                found.sort(key=lambda file: WHISPER.index(file.suffix.lower()))
                others = ", ".join(file.name for file in found[1:])
                notices.append(f"{found[0]} is read, and not {others} of the same name.")
            chosen += found[:1]
        return sorted(chosen)

    def find_recording(self, name: str) -> Path | None:
        """Returns the recording of a name; that of talk.en and talk.wav is talk's too."""
        for stem in (name, name.rpartition(".")[0]):
            files = [file for file in self._files.get(stem.casefold(), ()) if file.suffix.lower() in RECORDINGS]
            files = [file for file in files if is_file(file)]
            if files:
                return min(files, key=lambda file: RECORDINGS.index(file.suffix.lower()))
        return None

    def find_segments(self, name: str) -> Path | None:
        """Returns the RTTM file of a name."""
        return next((file for file in self._files.get(name.casefold(), ()) if file.suffix.lower() == RTTM), None)

    def find_text(self, segments: Path) -> Path | None:
        """Returns the transcript that an RTTM file belongs to."""
        files = [file for file in self._files.get(segments.stem.casefold(), ()) if file.suffix.lower() in FORMATS]
        return next((file for file in files if file.suffix.lower() != RTTM), None)


def _try_reading(folder: _Folder, file: Path, repairs: Repairs, notices: list[str], strict: bool) -> list[Dialogue]:
    """Reads a file of a folder; one that may be something else, and cannot be understood, is left out."""
    try:
        return _read_file(folder, file, None, repairs, notices)
    except InputError as error:
        if strict or file.suffix.lower() not in MAYBE:
            raise
        notices.append(f"{file} is left out, as it is no transcript: {error}")
        return []


def _read_file(
    folder: _Folder, path: Path, recording: Path | None, repairs: Repairs, notices: list[str]
) -> list[Dialogue]:
    if path.suffix.lower() == RTTM:
        path = folder.find_text(path) or path
    rows = read_rows(path, notices, folder.find_segments(path.stem))
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.values["dialogue"], []).append(row)
    if len(groups) > 1 and recording is not None:
        raise InputError(
            f"--recording {recording} is for one conversation, and {path} holds {len(groups)}: leave it out"
        )
    conversations = []
    for dialogue, own in groups.items():
        name = f"{path.stem}_{dialogue}" if len(groups) > 1 else path.stem
        found = recording
        if found is None and not any(row.values["clip"] for row in own):
            found = folder.find_recording(dialogue if len(groups) > 1 else path.stem)
        conversations.append(Dialogue(name=name, utterances=_read_utterances(own, found, folder.clips, repairs)))
    return conversations


class _ClipFolder:
    """The folder to which paths of clips are relative, and outside of which they lead only where that is allowed."""

    def __init__(self, path: Path, allow_outside: bool, inside: Path | None = None) -> None:
        self._path, self._allow_outside = path, allow_outside
        self._resolved = os.path.realpath(inside or path)

    def find(self, name: str, where: str) -> Path:
        """Returns the path of a clip.

        Args:
            name: the path in the transcript.
            where: file, row and utterance, for the message.

        Raises:
            InputError: it leads outside.
        """
        path = self._path / name
        if "\0" in name:
            raise InputError(f"{where}: its clip {quote(name)} is no path: correct it")
        inside = os.path.realpath(path).startswith(os.path.join(self._resolved, ""))
        if not inside and not self._allow_outside:
            raise InputError(
                f"{where}: its clip {quote(name)} lies outside the folder of the transcript: copy it there, or allow it"
                " with --allow-outside"
            )
        return path


def _read_utterances(
    rows: Sequence[Row], recording: Path | None, folder: _ClipFolder, repairs: Repairs
) -> list[Utterance]:
    """Returns the utterances of a conversation in order."""
    ids = _choose_ids(rows, repairs)
    utterances = [_make_utterance(row, id_, repairs) for row, id_ in zip(rows, ids, strict=True)]
    names = {utterance.id: row.values["clip"] for utterance, row in zip(utterances, rows, strict=True)}
    given = [row.values["id"] for row in rows]
    numbers = [int(own) if own.isdecimal() and len(own) <= MAX_DIGITS else -1 for own in given]
    counted = numbers[0] >= 0 and all(after > before for before, after in itertools.pairwise(numbers))
    utterances = _fill_ends(_sort(utterances, counted, repairs), repairs)
    _count_overlaps(utterances, repairs)
    return _find_clips(utterances, [names[utterance.id] for utterance in utterances], recording, folder, repairs)


def _choose_ids(rows: Sequence[Row], repairs: Repairs) -> list[str]:
    """Returns an id per row: its own, or its number."""
    ids: list[str] = []
    where: dict[str, str] = {}
    for number, row in enumerate(rows):
        id_ = row.values["id"] or f"{number:03d}"
        if id_ in where:
            repairs.add(
                "repeated id", row.where, f"the id '{quote(id_)}' is that of {where[id_]} too: give each its own"
            )
        while id_ in where:
            id_ = f"{id_}_{number:03d}"
        where[id_] = row.where
        ids.append(id_)
    return ids


def _make_utterance(row: Row, id_: str, repairs: Repairs) -> Utterance:
    """Makes an utterance without its clip; times that cannot be used are left out."""
    values = row.values
    where = f"{row.where}, utterance {quote(id_)}"
    if not values["speaker"]:
        repairs.add(
            "no speaker", where, "the speaker is empty: name one, such as A; all that counts is who is the same"
        )
    start, end = (_read_time(values[name], name, where, repairs) for name in ("start", "end"))
    if start is None and end is not None:
        repairs.add("no start", where, "it has an end and no start: give both, or none")
        end = None
    if start is not None and end is not None and end <= start:
        detail = f"it ends at {end:g} s and starts at {start:g} s: an utterance ends after its start"
        repairs.add("empty" if end == start else "backwards", where, detail)
        start = start if end == start else None
        end = start
    return Utterance(
        id=id_,
        speaker=values["speaker"] or UNKNOWN,
        text=values["text"],
        label=values["label"],
        start=start,
        end=end,
        where=where,
    )


def _read_time(text: str, name: str, where: str, repairs: Repairs) -> float | None:
    try:
        seconds = parse_seconds(text)
    except ValueError:
        seconds = -1.0
    if seconds is not None and seconds < 0:
        detail = f"its {name} is {quote(repr(text))}; it should be seconds from the beginning, such as 12.5"
        repairs.add("no time", where, detail)
        return None
    return seconds


def _sort(utterances: list[Utterance], counted: bool, repairs: Repairs) -> list[Utterance]:
    """Sorts utterances by start, unless ids that count up say their order; one without a start stays where it is."""
    latest, before = -1.0, ""
    keys: list[float] = []
    for utterance in utterances:
        if utterance.start is not None:
            if utterance.start < latest:
                detail = (
                    f"it starts at {utterance.start:g} s, before utterance {quote(before)} above it, at {latest:g} s:"
                    " sort the utterances by their start"
                )
                repairs.add("out of order" if counted else "unsorted", utterance.where, detail)
            else:
                latest, before = utterance.start, utterance.id
        keys.append(utterance.start if utterance.start is not None else keys[-1] if keys else 0.0)
    if counted:
        return utterances
    order = sorted(range(len(utterances)), key=lambda position: keys[position])
    return [utterances[position] for position in order]


def _fill_ends(utterances: list[Utterance], repairs: Repairs) -> list[Utterance]:
    """Has an utterance with a start and no end last until the next one that starts later."""
    filled = list(utterances)
    following: float | None = None
    for position in reversed(range(len(filled))):
        utterance = filled[position]
        if utterance.start is None:
            continue
        if utterance.end is None:
            repairs.add("no end", utterance.where, "it has a start or an end, and not both: give both, or none")
            if following is not None and following > utterance.start:
                filled[position] = utterance._replace(end=following)
        following = utterance.start
    return filled


def _count_overlaps(utterances: Sequence[Utterance], repairs: Repairs) -> None:
    """Counts utterances that begin while the same speaker still speaks; different speakers may well overlap."""
    last_of: dict[str, Utterance] = {}
    for utterance in utterances:
        if utterance.start is None or utterance.end is None or utterance.end == utterance.start:
            continue
        same = last_of.get(utterance.speaker)
        if (
            same is not None
            and utterance.speaker != UNKNOWN
            and (same.start or 0.0) <= utterance.start < (same.end or 0.0)
        ):
            detail = (
                f"it overlaps utterance {quote(same.id)}, by the same speaker, which ends at {same.end:g} s: utterances"
                " of one speaker must not overlap; correct the times"
            )
            repairs.add("overlap", utterance.where, detail)
        if same is None or same.end is None or utterance.end > same.end:
            last_of[utterance.speaker] = utterance


def _find_clips(
    utterances: Sequence[Utterance],
    names: Sequence[str],
    recording: Path | None,
    folder: _ClipFolder,
    repairs: Repairs,
) -> list[Utterance]:
    """Gives utterances their clips: files of their own, stretches of a file that several name, or of the recording."""
    # A file that several utterances name, with times, is their recording.
    counts = Counter(names)
    shared = {
        name
        for name, utterance in zip(names, utterances, strict=True)
        if name and counts[name] > 1 and utterance.start is not None
    }
    placed = []
    for utterance, name in zip(utterances, names, strict=True):
        start, end = utterance.start, utterance.end
        clip = None
        if name and name not in shared:
            clip = Clip(folder.find(name, utterance.where))
        elif name or recording is not None:
            path = folder.find(name, utterance.where) if name else recording
            assert path is not None
            if start is None:
                detail = f"it has no start and end, so it cannot be found in {path}: give both"
                repairs.add("untimed", utterance.where, detail)
            elif end is None or end > start:
                clip = Clip(path, start, end)
        if not utterance.text and clip is None:
            detail = "there is neither text nor audio: give one of them, or leave the utterance out"
            repairs.add("no text", utterance.where, detail)
        placed.append(utterance._replace(clip=clip))
    return placed
