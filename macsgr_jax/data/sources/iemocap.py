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
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances
from macsgr_jax.data.sources.build import ImportedCorpus, build_corpus, decode_text, read_bytes
from macsgr_jax.data.sources.feature_pickle import IEMOCAP_LABELS, IEMOCAP_VALIDATION
from macsgr_jax.errors import InputError

SESSIONS = (1, 2, 3, 4, 5)
TEST_SESSION = 5
DIALOGUES = 151  # Of the whole release.
SPEAKERS = ("M", "F")  # As in the feature files in common use: who it is follows from the session.
AGAIN = "copy the release again"
CODES = ("hap", "sad", "neu", "ang", "exc", "fru", "sur", "fea", "dis", "oth", "xxx")

# Labels -> the release's code -> the emotion; utterances with other codes are not in the corpus.
EMOTIONS = {
    "6": {"hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "excited", "fru": "frustrated"},
    "4": {"hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "happy"},
}

ANNOTATED = re.compile(r"\[(\d+(?:\.\d*)?) *- *\d+(?:\.\d*)?\]\s+(\S+)\s+(\S+)(?:\s+\[.*\])?")
SPOKEN = re.compile(r"(\S+)\s+\[\d+(?:\.\d*)? *- *\d+(?:\.\d*)?\]\s*:(.*)")
NOISE = re.compile(r"_[A-Z]XX\d*$")  # The ids of breaths and laughter, which nobody annotates.


class _LeftOut(NamedTuple):
    """What is not in the corpus, for the notices.

    Attributes:
        codes: code of an emotion -> number of utterances.
        lines: kind of line -> number of lines.
        untranscribed: utterances without a line in the transcription.
        dialogues: dialogues without an utterance of the chosen emotions.
    """

    codes: Counter[str]
    lines: Counter[str]
    untranscribed: list[str]
    dialogues: list[str]


def read_iemocap(folder: Path, emotions: Literal["6", "4"] = "6") -> ImportedCorpus:
    """Reads the sentences of IEMOCAP and finds their audio files, without opening any; features are to be added.

    Session 5 is the test split. Of the others the 12 dialogues that COSMIC takes out are the validation split. The
    release has 7,380 utterances of the six emotions; the feature files in common use have 53 more, among the happy
    ones, which the release does not label so, and keep another order where utterances overlap.

    Args:
        folder: the folder IEMOCAP_full_release, with the folders Session1 to Session5.
        emotions: 6 for happy, sad, neutral, angry, excited and frustrated; 4 for the first four, where excited
            utterances count as happy.

    Returns:
        The corpus without feature sets, each dialogue in the order in which its utterances begin, and one clip per
        utterance: its whole audio file, or None.

    Raises:
        InputError: a session or file is missing, or a line cannot be understood.

    Reference:
        Ghosal et al., COSMIC: COmmonSense knowledge for eMotion Identification in Conversations, 2020.
    """
    label_of = EMOTIONS[emotions]
    if not (folder / "Session1").is_dir() and (folder / "IEMOCAP_full_release").is_dir():
        folder = folder / "IEMOCAP_full_release"
    left_out = _LeftOut(Counter(), Counter(), [], [])
    digest = hashlib.sha256()
    dialogues: list[Dialogue] = []
    for path in _list_annotations(folder):
        annotations, transcription = (read_bytes(file, AGAIN) for file in (path, _find_transcription(path)))
        digest.update(annotations + transcription)
        utterances = _read_dialogue(path, decode_text(annotations), decode_text(transcription), left_out)
        left_out.codes.update(utterance.label for utterance in utterances if utterance.label not in label_of)
        kept = [utterance for utterance in utterances if utterance.label in label_of]
        if not kept:
            left_out.dialogues.append(path.stem)
            continue
        audio = path.parents[2] / "sentences" / "wav" / path.stem
        labelled = [
            utterance._replace(label=label_of[utterance.label], clip=_find_clip(audio / f"{utterance.id}.wav"))
            for utterance in kept
        ]
        dialogues.append(Dialogue(path.stem, labelled, _find_split(path.stem)))
    if not dialogues:
        raise InputError(f"{folder} has no utterance with one of the {emotions} emotions: {AGAIN}")
    corpus = build_corpus(
        "iemocap",
        dialogues,
        IEMOCAP_LABELS[int(emotions)],
        digest.hexdigest(),
        speaker_names=SPEAKERS,
        notices=_write_notices(dialogues, left_out),
    )
    return ImportedCorpus(corpus, clips=tuple(utterance.clip for utterance in list_utterances(dialogues)))


def _list_annotations(folder: Path) -> list[Path]:
    """Returns one file of annotations per dialogue."""
    missing = [f"Session{session}" for session in SESSIONS if not (folder / f"Session{session}").is_dir()]
    if missing:
        advice = "give the folder IEMOCAP_full_release with all five sessions"
        raise InputError(f"{folder} has no {', '.join(missing)}: {advice}")
    paths = []
    for session in SESSIONS:
        annotations = folder / f"Session{session}" / "dialog" / "EmoEvaluation"
        found = sorted(annotations.glob(f"Ses{session:02d}*.txt"))
        if not found:
            raise InputError(f"{annotations} has no annotations, Ses{session:02d}*.txt: {AGAIN}")
        paths += found
    return paths


def _find_transcription(annotations: Path) -> Path:
    return annotations.parents[1] / "transcriptions" / annotations.name


def _find_split(dialogue: str) -> str:
    if dialogue.startswith(f"Ses{TEST_SESSION:02d}"):
        return "test"
    return "validation" if dialogue in IEMOCAP_VALIDATION else "train"


def _find_clip(path: Path) -> Clip | None:
    return Clip(path) if path.is_file() else None


def _read_dialogue(path: Path, annotations: str, transcription: str, left_out: _LeftOut) -> list[Utterance]:
    """Returns the utterances of a dialogue in the order in which they begin, their labels the codes of the release."""
    texts = _read_texts(_find_transcription(path), transcription, left_out.lines)
    positions = {id_: position for position, id_ in enumerate(texts)}
    utterances: dict[str, Utterance] = {}
    for number, line in enumerate(annotations.split("\n"), start=1):
        if not line.startswith("["):
            continue  # The head, what each annotator wrote, or nothing.
        where = f"{path}: line {number}"
        match = ANNOTATED.fullmatch(line.strip())
        if match is None:
            raise InputError(f"{where} is not [start - end], id, emotion, [values]: {AGAIN}")
        start, id_, code = match.groups()
        if NOISE.search(id_):
            left_out.lines["sounds between the utterances"] += 1
            continue
        if re.fullmatch(rf"{re.escape(path.stem)}_[FM]\d{{3}}", id_) is None:
            raise InputError(f"{where} has the utterance {id_!r}, not of this dialogue: {AGAIN}")
        if code not in CODES:
            raise InputError(f"{where} has the emotion {code!r}, none of {', '.join(CODES)}")
        if id_ in utterances:
            raise InputError(f"{where} has the utterance {id_} for the second time: {AGAIN}")
        if id_ not in texts:
            left_out.untranscribed.append(id_)
        utterances[id_] = Utterance(id=id_, speaker=id_[-4], text=texts.get(id_, ""), label=code, start=float(start))

    def order(utterance: Utterance) -> tuple[float, int, str]:
        """Sorts utterances that begin together as the transcription does."""
        assert utterance.start is not None
        return utterance.start, positions.get(utterance.id, len(positions)), utterance.id

    return sorted(utterances.values(), key=order)


def _read_texts(path: Path, transcription: str, lines: Counter[str]) -> dict[str, str]:
    """Returns utterance -> text, and counts the lines of other kinds."""
    texts: dict[str, str] = {}
    for number, line in enumerate(transcription.split("\n"), start=1):
        match = SPOKEN.fullmatch(line.strip())
        if match is None:
            lines["lines of a transcription without an id and times"] += bool(line.strip())
        elif NOISE.search(match[1]):
            lines["sounds between the utterances"] += 1
        elif texts.setdefault(match[1], match[2].strip()) != match[2].strip():
            raise InputError(f"{path}: line {number} has another text of {match[1]}: {AGAIN}")
    return texts


def _write_notices(dialogues: list[Dialogue], left_out: _LeftOut) -> list[str]:
    """Returns the notices, one sentence each."""
    notices = []
    missing = [name for name in IEMOCAP_VALIDATION if name not in {dialogue.name for dialogue in dialogues}]
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
    utterances = list_utterances(dialogues)
    silent = [utterance.id for utterance in utterances if utterance.clip is None]
    if silent:
        count, first = len(silent), silent[0]
        notices.append(f"{count} of {len(utterances)} utterances have no audio file (first: utterance {first}).")
    return notices
