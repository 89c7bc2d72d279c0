"""IEMOCAP's full release: five sessions of an actress and an actor, transcribed, annotated and cut into utterances.

Reference:
    Busso et al., IEMOCAP: Interactive Emotional Dyadic Motion Capture Database, 2008.
"""

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Literal, NamedTuple

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.sources.build import Dialogue, Turn, decode_text, make_corpus, read_bytes
from macsgr_jax.data.sources.feature_pickle import IEMOCAP_VALIDATION, LABEL_NAMES
from macsgr_jax.errors import InputError

SESSIONS = (1, 2, 3, 4, 5)
TEST_SESSION = 5
DIALOGUES = 151  # Of the whole release.
SPEAKERS = ("M", "F")  # As in the files that the field hands around: who it is follows from the session.
AGAIN = "copy the release again"
CODES = ("hap", "sad", "neu", "ang", "exc", "fru", "sur", "fea", "dis", "oth", "xxx")

# Labels -> the release's code -> the emotion; utterances with other codes are not in the corpus.
EMOTIONS = {
    "6": {"hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "excited", "fru": "frustrated"},
    "4": {"hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "happy"},
}

ANNOTATED = re.compile(r"\[(\d+(?:\.\d*)?) *- *\d+(?:\.\d*)?\]\s+(\S+)\s+(\S+)(?:\s+\[.*\])?")
SPOKEN = re.compile(r"(\S+)\s+\[\d+(?:\.\d*)? *- *\d+(?:\.\d*)?\]\s*:(.*)")
SOUND = re.compile(r"_[A-Z]XX\d*$")  # The ids of breaths and laughter, which nobody annotates.


class _Utterance(NamedTuple):
    """What the annotators say of an utterance.

    Attributes:
        start: seconds from the beginning of the recording.
        place: in the transcription; those that begin together are in this order.
        name: its id.
        code: of the emotion, one of CODES.
        text: what is said.
    """

    start: float
    place: int
    name: str
    code: str
    text: str


class _LeftOut(NamedTuple):
    """What is not in the corpus, for the notices.

    Attributes:
        codes: code of an emotion -> how many utterances.
        lines: how many lines of each kind.
        untranscribed: utterances without a line in the transcription.
        dialogues: those without an utterance of the chosen emotions.
    """

    codes: Counter[str]
    lines: Counter[str]
    untranscribed: list[str]
    dialogues: list[str]


def read_iemocap(folder: Path, labels: Literal["6", "4"] = "6") -> tuple[Corpus, tuple[Clip | None, ...]]:
    """The sentences of IEMOCAP, and where their sound is; no sound is opened, and features are to be added.

    Session 5 is the test split. Of the others the 12 dialogues that COSMIC takes out are the validation split. The
    release has 7,380 utterances of the six emotions; the feature files that the field hands around have 53 more, among
    the happy ones, which the release does not call so, and keep another order where turns overlap.

    Args:
        folder: IEMOCAP_full_release, with the folders Session1 to Session5.
        labels: 6 for happy, sad, neutral, angry, excited and frustrated; 4 for the first four, with the excited among
            the happy.

    Returns:
        The corpus without feature sets, each dialogue in the order in which its utterances begin, and a clip an
        utterance: all of its sound file, or None.

    Raises:
        InputError: a session or file is missing, or a line cannot be understood.

    Reference:
        Ghosal et al., COSMIC: COmmonSense knowledge for eMotion Identification in Conversations, 2020.
    """
    emotions = EMOTIONS[labels]
    if not (folder / "Session1").is_dir() and (folder / "IEMOCAP_full_release").is_dir():
        folder = folder / "IEMOCAP_full_release"
    left_out = _LeftOut(Counter(), Counter(), [], [])
    digest = hashlib.sha256()
    dialogues: list[Dialogue] = []
    clips: list[Clip | None] = []
    for path in _list_annotations(folder):
        annotations, transcription = (read_bytes(one, AGAIN) for one in (path, _find_transcription(path)))
        digest.update(annotations + transcription)
        utterances = _read_dialogue(path, decode_text(annotations), decode_text(transcription), left_out)
        left_out.codes.update(one.code for one in utterances if one.code not in emotions)
        kept = [one for one in utterances if one.code in emotions]
        if not kept:
            left_out.dialogues.append(path.stem)
            continue
        turns = [Turn(one.name, one.name[-4], emotions[one.code], one.text) for one in kept]
        dialogues.append(Dialogue(path.stem, _find_split(path.stem), turns))
        sounds = path.parents[2] / "sentences" / "wav" / path.stem
        clips += [_find_clip(sounds / f"{one.name}.wav") for one in kept]
    if not dialogues:
        raise InputError(f"{folder} has no utterance with one of the {labels} emotions: {AGAIN}")
    corpus = make_corpus(
        "iemocap",
        dialogues,
        LABEL_NAMES[int(labels)],
        digest.hexdigest(),
        speaker_names=SPEAKERS,
        notices=_tell(dialogues, clips, left_out),
    )
    return corpus, tuple(clips)


def _list_annotations(folder: Path) -> list[Path]:
    """A file a dialogue."""
    missing = [f"Session{session}" for session in SESSIONS if not (folder / f"Session{session}").is_dir()]
    if missing:
        advice = "give the folder IEMOCAP_full_release with all five sessions"
        raise InputError(f"{folder} has no {', '.join(missing)}: {advice}")
    paths = []
    for session in SESSIONS:
        place = folder / f"Session{session}" / "dialog" / "EmoEvaluation"
        found = sorted(place.glob(f"Ses{session:02d}*.txt"))
        if not found:
            raise InputError(f"{place} has no annotations, Ses{session:02d}*.txt: {AGAIN}")
        paths += found
    return paths


def _find_transcription(annotations: Path) -> Path:
    return annotations.parents[1] / "transcriptions" / annotations.name


def _find_split(dialogue: str) -> int:
    if dialogue.startswith(f"Ses{TEST_SESSION:02d}"):
        return SPLITS.index("test")
    return SPLITS.index("validation" if dialogue in IEMOCAP_VALIDATION else "train")


def _find_clip(path: Path) -> Clip | None:
    return Clip(path) if path.is_file() else None


def _read_dialogue(path: Path, annotations: str, transcription: str, left_out: _LeftOut) -> list[_Utterance]:
    """The utterances of a dialogue as they begin, of every emotion."""
    texts = _read_texts(_find_transcription(path), transcription, left_out.lines)
    places = {name: place for place, name in enumerate(texts)}
    utterances: dict[str, _Utterance] = {}
    for number, line in enumerate(annotations.split("\n"), start=1):
        if not line.startswith("["):
            continue  # The head, what each annotator wrote, or nothing.
        where = f"{path}: line {number}"
        match = ANNOTATED.fullmatch(line.strip())
        if match is None:
            raise InputError(f"{where} is not [start - end], id, emotion, [values]: {AGAIN}")
        start, name, code = match.groups()
        if SOUND.search(name):
            left_out.lines["sounds between the turns"] += 1
            continue
        if re.fullmatch(rf"{re.escape(path.stem)}_[FM]\d{{3}}", name) is None:
            raise InputError(f"{where} has the utterance {name!r}, not of this dialogue: {AGAIN}")
        if code not in CODES:
            raise InputError(f"{where} has the emotion {code!r}, none of {', '.join(CODES)}")
        if name in utterances:
            raise InputError(f"{where} has the utterance {name} for the second time: {AGAIN}")
        if name not in texts:
            left_out.untranscribed.append(name)
        utterances[name] = _Utterance(float(start), places.get(name, len(places)), name, code, texts.get(name, ""))
    return sorted(utterances.values())


def _read_texts(path: Path, transcription: str, lines: Counter[str]) -> dict[str, str]:
    """Utterance -> what is said; lines of other kinds are counted."""
    texts: dict[str, str] = {}
    for number, line in enumerate(transcription.split("\n"), start=1):
        match = SPOKEN.fullmatch(line.strip())
        if match is None:
            lines["lines of a transcription without an id and times"] += bool(line.strip())
        elif SOUND.search(match[1]):
            lines["sounds between the turns"] += 1
        elif texts.setdefault(match[1], match[2].strip()) != match[2].strip():
            raise InputError(f"{path}: line {number} has another text of {match[1]}: {AGAIN}")
    return texts


def _tell(dialogues: list[Dialogue], clips: list[Clip | None], left_out: _LeftOut) -> list[str]:
    """The notices, a sentence each."""
    notices = []
    missing = [name for name in IEMOCAP_VALIDATION if name not in {one.name for one in dialogues}]
    if missing:
        notices.append(f"{len(missing)} of the 12 validation dialogues are not there (first: {missing[0]}).")
    if len(dialogues) + len(left_out.dialogues) != DIALOGUES:
        notices.append(f"{len(dialogues) + len(left_out.dialogues)} of IEMOCAP's {DIALOGUES} dialogues are there.")
    if left_out.dialogues:
        names = ", ".join(left_out.dialogues)
        notices.append(f"Without an utterance of the chosen emotions, so left out: {names}.")
    if left_out.codes:
        counts = ", ".join(f"{left_out.codes[code]} {code}" for code in CODES if left_out.codes[code])
        notices.append(f"{left_out.codes.total()} utterances have other emotions and are left out: {counts}.")
    notices += [f"Left out: {count} {kind}." for kind, count in sorted(left_out.lines.items()) if count]
    if left_out.untranscribed:
        count, first = len(left_out.untranscribed), left_out.untranscribed[0]
        notices.append(f"{count} utterances are not transcribed (first: utterance {first}).")
    silent = [
        turn.name
        for turn, clip in zip((turn for one in dialogues for turn in one.turns), clips, strict=True)
        if clip is None
    ]
    if silent:
        notices.append(f"{len(silent)} of {len(clips)} utterances have no sound file (first: utterance {silent[0]}).")
    return notices
