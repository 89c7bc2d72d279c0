"""MELD as it is distributed: three CSV files of sentences, speakers and emotions, and one video per utterance.

Reference:
    Poria et al., MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations, 2019.
"""

import dataclasses
import hashlib
import os
from pathlib import Path

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances
from macsgr_jax.data.mp4_duration import read_duration
from macsgr_jax.data.sources.build import ImportedCorpus, build_corpus, parse_rows, read_bytes
from macsgr_jax.data.transcripts.times import parse_seconds
from macsgr_jax.errors import InputError

FILES = ("train_sent_emo.csv", "dev_sent_emo.csv", "test_sent_emo.csv")  # In the order of SPLITS.
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
EMOTIONS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
VIDEOS = ("train_splits", "dev_splits_complete", "output_repeated_splits_test")  # Folders in the order of SPLITS.
DAMAGED = ("train_dia125_utt3", "validation_dia110_utt7")  # Videos that are broken, or absent, in every copy.

MAX_SECONDS = 60.0  # No utterance is longer; two of the test split have minutes by their times, and such a video.
TOLERANCE = 1.0  # Seconds by which a video may be longer than the times say.

# The files hold the quotation marks of another encoding.
QUOTES = str.maketrans({"\x91": "'", "\x92": "'", "\x93": '"', "\x94": '"', "\x96": "-", "\x97": "-", "\x85": "..."})


def read_meld(folder: Path) -> ImportedCorpus:
    """Reads the sentences of MELD; features are to be added.

    Args:
        folder: the folder of the three files of FILES.

    Returns:
        The corpus without feature sets, its dialogues in the order of their numbers.

    Raises:
        InputError: a file or column is missing, or a row cannot be understood.
    """
    dialogues, digest = _read_dialogues(folder)
    return ImportedCorpus(build_corpus("meld", dialogues, EMOTIONS, digest))


def _read_dialogues(folder: Path) -> tuple[list[Dialogue], str]:
    """Returns the dialogues, and the hash of the files."""
    dialogues: list[Dialogue] = []
    digest = hashlib.sha256()
    for split, name in zip(SPLITS, FILES, strict=True):
        content = read_bytes(folder / name, f"give the folder of MELD's {', '.join(FILES)}")
        digest.update(content)
        rows_of: dict[int, list[dict[str, str]]] = {}
        for row in _parse(folder / name, content):
            rows_of.setdefault(int(row["Dialogue_ID"]), []).append(row)
        for number in sorted(rows_of):
            rows = sorted(rows_of[number], key=lambda row: int(row["Utterance_ID"]))
            dialogue = f"{split}_dia{number}"
            dialogues.append(Dialogue(dialogue, [_make_utterance(dialogue, row) for row in rows], split))
    return dialogues, digest.hexdigest()


def _make_utterance(dialogue: str, row: dict[str, str]) -> Utterance:
    return Utterance(
        id=f"{dialogue}_utt{row['Utterance_ID']}",
        speaker=row["Speaker"],
        text=row["Utterance"].translate(QUOTES),
        label=row["Emotion"].lower(),
        start=_read_time(row.get("StartTime", "")),
        end=_read_time(row.get("EndTime", "")),
    )


def _read_time(text: str) -> float | None:
    try:
        return parse_seconds(text)
    except ValueError:
        return None


def _parse(path: Path, content: bytes) -> list[dict[str, str]]:
    rows = parse_rows(path, content, COLUMNS, "MELD")
    seen: set[tuple[str, str]] = set()
    for line, row in enumerate(rows, start=2):
        numbers = (row["Dialogue_ID"], row["Utterance_ID"])
        if not all(number.isdecimal() for number in numbers):
            raise InputError(f"{path}: row {line} has no Dialogue_ID or Utterance_ID: copy the file again")
        if row["Emotion"].lower() not in EMOTIONS:
            raise InputError(f"{path}: row {line} has the emotion {row['Emotion']!r}, none of {', '.join(EMOTIONS)}")
        if numbers in seen:
            raise InputError(f"{path}: row {line} is dialogue {numbers[0]}, utterance {numbers[1]} for the second time")
        seen.add(numbers)
    return rows


def find_meld_clips(corpus: Corpus, folder: Path) -> tuple[Corpus, tuple[Clip | None, ...]]:
    """Finds the videos of MELD's utterances, and compares their lengths with the times of the files.

    Args:
        corpus: the corpus of `read_meld`.
        folder: the folder in which, at any depth, the folders of VIDEOS are.

    Returns:
        The corpus with notices about videos that are absent or too long, and one clip per utterance: its whole video,
        its beginning where the video is longer than the utterance, or None.

    Raises:
        InputError: none of the folders is there, or the utterances are not MELD's.
    """
    folders = _find_video_folders(folder)
    if not any(folders.values()):
        raise InputError(f"{folder} has none of the folders {', '.join(VIDEOS)}: unpack MELD's videos there")
    spans = _measure_spans(folder)
    clips: list[Clip | None] = []
    absent, damaged, cut, endless = [], [], [], []
    for name in corpus.utterance_ids:
        split, _, rest = name.partition("_")
        if split not in folders:
            raise InputError(f"{corpus.name}: the utterance {name} is not MELD's: import its CSV files first")
        candidates = [inside / f"{rest}.mp4" for inside in folders[split]]
        found = [video for video in candidates if video.is_file()]
        if name in DAMAGED:
            damaged.append(name)
        elif not found:
            absent.append(name)
        clip = Clip(found[0]) if found and name not in DAMAGED else None
        seconds = read_duration(clip.path) if clip else None
        if clip and seconds is not None:
            span = spans.get(name, 0.0)
            if 0 < span <= MAX_SECONDS and seconds > span + TOLERANCE:
                cut.append(name)
                clip = clip._replace(end=span)
            elif seconds > MAX_SECONDS:
                endless.append(name)
                clip = None
        clips.append(clip)
    notices = list(corpus.notices)
    if damaged:
        notices.append(f"The videos of {' and '.join(damaged)} are damaged in MELD's release and not used.")
    if cut:
        notices.append(f"{len(cut)} videos go on after their utterance, by its times, and are cut (first: {cut[0]}).")
    if endless:
        notices.append(
            f"{len(endless)} videos are longer than {MAX_SECONDS:g} s, the times of their utterances do not say where"
            f" they are spoken, and the audio is not used (first: {endless[0]})."
        )
    if absent:
        notices.append(f"{len(absent)} of {len(clips)} utterances have no video (first: utterance {absent[0]}).")
    return dataclasses.replace(corpus, notices=tuple(notices)), tuple(clips)


def _measure_spans(folder: Path) -> dict[str, float]:
    """Returns utterance -> its seconds by the times of the files; empty where the files are elsewhere."""
    if not all((folder / name).is_file() for name in FILES):
        return {}
    utterances = list_utterances(_read_dialogues(folder)[0])
    return {one.id: one.end - one.start for one in utterances if one.start is not None and one.end is not None}


def _find_video_folders(folder: Path) -> dict[str, list[Path]]:
    """Returns split -> folders of its videos, without those that macOS adds to archives."""
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for path, subfolders, _ in os.walk(folder):
        name = Path(path).name
        if name in VIDEOS:
            found[SPLITS[VIDEOS.index(name)]].append(Path(path))
        subfolders[:] = sorted(subfolder for subfolder in subfolders if subfolder != "__MACOSX")
    return found
