"""MELD as its owners distribute it: three CSV files of sentences, speakers and emotions, and a film an utterance.

Reference:
    Poria et al., MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations, 2019.
"""

import dataclasses
import hashlib
import os
from pathlib import Path

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.sources.build import Dialogue, Turn, make_corpus, parse_rows, read_bytes
from macsgr_jax.errors import InputError

FILES = ("train_sent_emo.csv", "dev_sent_emo.csv", "test_sent_emo.csv")  # In the order of SPLITS.
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
EMOTIONS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
FILMS = ("train_splits", "dev_splits_complete", "output_repeated_splits_test")  # Folders in the order of SPLITS.
DAMAGED = ("train_dia125_utt3", "validation_dia110_utt7")  # Films that are broken, or absent, in every copy.

# The files hold the quotation marks of another encoding.
QUOTES = str.maketrans({"\x91": "'", "\x92": "'", "\x93": '"', "\x94": '"', "\x96": "-", "\x97": "-", "\x85": "..."})


def read_meld(folder: Path) -> Corpus:
    """The sentences of MELD; features are to be added.

    Args:
        folder: where the three files of FILES are.

    Returns:
        The corpus without feature sets, its dialogues in the order of their numbers.

    Raises:
        InputError: a file or column is missing, or a row cannot be understood.
    """
    dialogues: list[Dialogue] = []
    digest = hashlib.sha256()
    for place, name in enumerate(FILES):
        content = read_bytes(folder / name, f"give the folder of MELD's {', '.join(FILES)}")
        digest.update(content)
        rows_of: dict[int, list[dict[str, str]]] = {}
        for row in _parse(folder / name, content):
            rows_of.setdefault(int(row["Dialogue_ID"]), []).append(row)
        for number in sorted(rows_of):
            rows = sorted(rows_of[number], key=lambda row: int(row["Utterance_ID"]))
            dialogue = f"{SPLITS[place]}_dia{number}"
            dialogues.append(Dialogue(dialogue, place, [_make_turn(dialogue, row) for row in rows]))
    return make_corpus("meld", dialogues, EMOTIONS, digest.hexdigest())


def _make_turn(dialogue: str, row: dict[str, str]) -> Turn:
    return Turn(
        name=f"{dialogue}_utt{row['Utterance_ID']}",
        speaker=row["Speaker"],
        emotion=row["Emotion"].lower(),
        text=row["Utterance"].translate(QUOTES),
    )


def _parse(path: Path, content: bytes) -> list[dict[str, str]]:
    rows = parse_rows(path, content, COLUMNS, "MELD")
    seen: set[tuple[str, str]] = set()
    for line, row in enumerate(rows, start=2):
        where = (row["Dialogue_ID"], row["Utterance_ID"])
        if not all(one.isdecimal() for one in where):
            raise InputError(f"{path}: row {line} has no Dialogue_ID or Utterance_ID: copy the file again")
        if row["Emotion"].lower() not in EMOTIONS:
            raise InputError(f"{path}: row {line} has the emotion {row['Emotion']!r}, none of {', '.join(EMOTIONS)}")
        if where in seen:
            raise InputError(f"{path}: row {line} is dialogue {where[0]}, utterance {where[1]} for the second time")
        seen.add(where)
    return rows


def find_meld_clips(corpus: Corpus, folder: Path) -> tuple[Corpus, tuple[Clip | None, ...]]:
    """The films of MELD's utterances; none of them is opened.

    Args:
        corpus: that of `read_meld`.
        folder: in which, at any depth, the folders of FILMS are.

    Returns:
        The corpus with a notice of what has no film, and a clip an utterance: all of its film, or None.

    Raises:
        InputError: none of the folders is there, or the utterances are not MELD's.
    """
    folders = _find_film_folders(folder)
    if not any(folders.values()):
        raise InputError(f"{folder} has none of the folders {', '.join(FILMS)}: unpack MELD's films there")
    clips: list[Clip | None] = []
    absent, damaged = [], []
    for name in corpus.utterance_ids:
        split, _, rest = name.partition("_")
        if split not in folders:
            raise InputError(f"{corpus.name}: the utterance {name} is not MELD's: import its CSV files first")
        found = [place / f"{rest}.mp4" for place in folders[split] if (place / f"{rest}.mp4").is_file()]
        if name in DAMAGED:
            damaged.append(name)
        elif not found:
            absent.append(name)
        clips.append(Clip(found[0]) if found and name not in DAMAGED else None)
    notices = list(corpus.notices)
    if damaged:
        notices.append(f"The films of {' and '.join(damaged)} are damaged in MELD's release and not used.")
    if absent:
        notices.append(f"{len(absent)} of {len(clips)} utterances have no film (first: utterance {absent[0]}).")
    return dataclasses.replace(corpus, notices=tuple(notices)), tuple(clips)


def _find_film_folders(folder: Path) -> dict[str, list[Path]]:
    """Split -> folders of its films; those that a Mac adds to archives are left out."""
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for place, inside, _ in os.walk(folder):
        name = Path(place).name
        if name in FILMS:
            found[SPLITS[FILMS.index(name)]].append(Path(place))
        inside[:] = sorted(one for one in inside if one != "__MACOSX")
    return found
