"""Which column of a table holds what: the names that the field's files give to the columns of a transcript."""

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

COLUMNS = ("id", "speaker", "text", "start", "end", "clip", "label", "dialogue")
DURATION = "duration"

# Column -> its names in lower case without spaces and signs; the first that a table has is taken.
SYNONYMS = {
    "id": ("id", "utteranceid", "uttid", "uid", "segmentid", "turnid"),
    "speaker": (
        *("speaker", "speakername", "speakerid", "speakerlabel", "spk", "who", "participant", "participantid"),
        *("character", "person", "talker", "actor", "role", "tier", "name"),
    ),
    "text": (
        *("text", "utterance", "sentence", "transcript", "transcription", "content", "message", "caption", "subtitle"),
        *("annotation", "default"),
    ),
    "start": ("start", "starttime", "starts", "begin", "begintime", "onset", "tmin", "from", "timestart", "startsec"),
    "end": ("end", "endtime", "ends", "stop", "stoptime", "offset", "finish", "tmax", "to", "timeend", "endsec"),
    "clip": ("clip", "audio", "audiofile", "audiopath", "audiofilename", "wav", "wavfile", "file", "filename", "path"),
    "label": ("label", "emotion", "emotions", "emotionlabel", "labels", "gold", "category"),
    "dialogue": (
        *("dialogue", "dialogueid", "dialog", "dialogid", "conversation", "conversationid", "convid", "conv"),
        *("session", "sessionid", "call", "callid", "scene", "sceneid"),
    ),
    DURATION: ("duration", "dur", "length"),
}
# Columns that are compared with the known names, and their letters: the comparison takes long.
MAX_COMPARED, MAX_MISSPELLED = 200, 40
TIMES = ("start", "end", DURATION)
# A scene has a number of its own in each episode, and an episode in each season.
SCENES, AROUND_SCENES = ("scene", "sceneid"), ("season", "episode")
MILLISECONDS = re.compile(r"(?:in)?(?:ms|msec|msecs|milliseconds?)")
SECONDS = re.compile(r"(?:in)?(?:s|sec|secs|seconds?)")


class FoundColumns(NamedTuple):
    """The columns of a table.

    Attributes:
        positions: column of COLUMNS -> position in the table.
        duration: the position of the duration, or None.
        dialogue: the positions of what together names the dialogue of a row.
        milliseconds: those of TIMES that are in milliseconds.
        repeated: a name that is there twice, so that it is not clear which to take; otherwise empty.
        near: a column that is not read -> the missing column that it may be a misspelling of.
    """

    positions: dict[str, int]
    duration: int | None
    dialogue: tuple[int, ...]
    milliseconds: frozenset[str]
    repeated: str
    near: dict[str, str]


def find_columns(names: Sequence[str]) -> FoundColumns:
    """Finds the columns of a transcript by their names, in any case and with spaces or signs in them.

    Args:
        names: the header of a table, or the keys of an object.

    Returns:
        The columns that are known.
    """
    plain = [_simplify(name) for name in names]
    positions: dict[str, int] = {}
    milliseconds: set[str] = set()
    repeated = ""
    for column, synonyms in SYNONYMS.items():
        for synonym in synonyms:
            found = [position for position, name in enumerate(plain) if _is_named(name, synonym, column)]
            if found:
                positions[column] = found[0]
                same = [position for position in found if names[position].strip() == names[found[0]].strip()]
                repeated = repeated or (names[found[0]].strip() if len(same) > 1 else "")
                if column in TIMES and MILLISECONDS.fullmatch(plain[found[0]].removeprefix(synonym)):
                    milliseconds.add(column)
                break
    if "text" not in positions and "clip" not in positions and "dialogue" in positions:
        positions["text"] = positions.pop("dialogue")  # The column of a script that holds what is said.
    dialogue = _find_dialogue(plain, positions)
    duration = positions.pop(DURATION, None)
    used = {*positions.values(), *dialogue, duration}
    missing = {
        synonym: column
        for column, synonyms in SYNONYMS.items()
        if column not in positions
        for synonym in synonyms
        if len(synonym) > 3
    }
    near = {}
    for position, name in enumerate(plain[:MAX_COMPARED]):
        short = position not in used and len(name) <= MAX_MISSPELLED
        match = difflib.get_close_matches(name, missing, n=1, cutoff=0.8) if short else []
        if match:
            near[names[position].strip()] = missing[match[0]]
    return FoundColumns(positions, duration, dialogue, frozenset(milliseconds), repeated, near)


def _find_dialogue(plain: Sequence[str], positions: dict[str, int]) -> tuple[int, ...]:
    if "dialogue" not in positions:
        return ()
    own = positions["dialogue"]
    around = [plain.index(name) for name in AROUND_SCENES if name in plain] if plain[own] in SCENES else []
    return (*around, own)


def _simplify(name: str) -> str:
    """Returns a name in lower case without spaces and signs; ELAN adds the form of times behind a dash."""
    return re.sub(r"[\W_]", "", name.split(" - ")[0].lower())


def _is_named(name: str, synonym: str, column: str) -> bool:
    if name == synonym:
        return True
    unit = name.removeprefix(synonym)
    in_unit = MILLISECONDS.fullmatch(unit) or SECONDS.fullmatch(unit)
    return column in TIMES and name.startswith(synonym) and in_unit is not None
