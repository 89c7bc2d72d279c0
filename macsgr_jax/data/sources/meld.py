"""MELD as its owners distribute it: three CSV files of sentences, speakers and emotions.

Reference:
    Poria et al., MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations, 2019.
"""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np

from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.errors import InputError

FILES = ("train_sent_emo.csv", "dev_sent_emo.csv", "test_sent_emo.csv")  # In the order of SPLITS.
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
EMOTIONS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")

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
    rows: list[dict[str, str]] = []
    offsets, names, split = [0], [], []
    digest = hashlib.sha256()
    for place, name in enumerate(FILES):
        content = _read(folder / name)
        digest.update(content)
        dialogues: dict[int, list[dict[str, str]]] = {}
        for row in _parse(folder / name, content):
            dialogues.setdefault(int(row["Dialogue_ID"]), []).append(row)
        for number in sorted(dialogues):
            turns = sorted(dialogues[number], key=lambda row: int(row["Utterance_ID"]))
            rows += turns
            offsets.append(offsets[-1] + len(turns))
            names.append(f"{SPLITS[place]}_dia{number}")
            split.append(place)
    speaker_names = tuple(sorted({row["Speaker"] for row in rows}))
    numbers = {name: place for place, name in enumerate(speaker_names)}
    of_utterance = np.repeat(names, np.diff(offsets))
    return Corpus(
        name="meld",
        features={},
        measured={},
        labels=np.array([EMOTIONS.index(row["Emotion"].lower()) for row in rows], np.int32),
        label_names=EMOTIONS,
        speakers=np.array([numbers[row["Speaker"]] for row in rows], np.int32),
        speaker_names=speaker_names,
        offsets=np.array(offsets, np.int64),
        dialogue_names=tuple(names),
        split=np.array(split, np.int8),
        utterance_ids=tuple(f"{name}_utt{row['Utterance_ID']}" for name, row in zip(of_utterance, rows, strict=True)),
        texts=tuple(row["Utterance"].translate(QUOTES) for row in rows),
        notices=(),
        sha256=digest.hexdigest(),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give the folder of MELD's {', '.join(FILES)}"
        ) from None


def _parse(path: Path, content: bytes) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig", errors="replace"), newline=""))
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path}: the column {missing[0]} is missing; MELD's files have {', '.join(COLUMNS)}")
    rows = list(reader)
    seen: set[tuple[str, str]] = set()
    for line, row in enumerate(rows, start=2):
        where = (row["Dialogue_ID"], row["Utterance_ID"])
        if any(row[column] is None for column in COLUMNS) or not all(str(one).isdecimal() for one in where):
            raise InputError(f"{path}: row {line} has no Dialogue_ID or Utterance_ID: copy the file again")
        if row["Emotion"].lower() not in EMOTIONS:
            raise InputError(f"{path}: row {line} has the emotion {row['Emotion']!r}, none of {', '.join(EMOTIONS)}")
        if where in seen:
            raise InputError(f"{path}: row {line} is dialogue {where[0]}, utterance {where[1]} for the second time")
        seen.add(where)
    if not rows:
        raise InputError(f"{path} has no row: copy the file again")
    return rows
