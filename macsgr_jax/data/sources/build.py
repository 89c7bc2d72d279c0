"""Turns of dialogues, read from files row by row, as the flat table of a Corpus."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.errors import InputError

UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # What `decode_text` puts where the bytes are no UTF-8.


class Turn(NamedTuple):
    """One utterance.

    Attributes:
        name: its id, in the corpus no other's.
        speaker: who says it.
        emotion: one of the corpus's label names.
        text: what is said.
    """

    name: str
    speaker: str
    emotion: str
    text: str


class Dialogue(NamedTuple):
    """One dialogue.

    Attributes:
        name: in the corpus no other's.
        split: index into SPLITS.
        turns: in their order, at least one.
    """

    name: str
    split: int
    turns: Sequence[Turn]


def read_bytes(path: Path, advice: str) -> bytes:
    """A whole file.

    Args:
        path: of the file.
        advice: what to do if it cannot be read.

    Returns:
        Its content.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): {advice}") from None


def decode_text(content: bytes) -> str:
    """UTF-8 with or without its mark; UNREADABLE where it is not."""
    return content.decode("utf-8-sig", errors="replace")


def parse_rows(path: Path, content: bytes, columns: Sequence[str], release: str) -> list[dict[str, str]]:
    """The rows of a CSV file that has a head.

    Args:
        path: of the file, for messages.
        content: of the file.
        columns: that every row needs.
        release: whose files they are, such as MELD.

    Returns:
        Column -> text of each row, "" where a row is too short.

    Raises:
        InputError: a column is missing, there is no row, or it is no CSV file.
    """
    reader = csv.DictReader(io.StringIO(decode_text(content), newline=""), restval="")
    try:
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        rows = [] if missing else list(reader)
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}): copy the file again") from None
    if missing:
        raise InputError(f"{path}: the column {missing[0]} is missing; {release}'s files have {', '.join(columns)}")
    if not rows:
        raise InputError(f"{path} has no row: copy the file again")
    return rows


def make_corpus(
    name: str,
    dialogues: Sequence[Dialogue],
    label_names: tuple[str, ...],
    sha256: str,
    *,
    speaker_names: tuple[str, ...] = (),
    notices: Sequence[str] = (),
) -> Corpus:
    """A corpus without feature sets.

    Args:
        name: of the corpus.
        dialogues: in their order.
        label_names: the emotions.
        sha256: of the files.
        speaker_names: in the order of their numbers; by default those of the turns, sorted.
        notices: about what was worked around; one about letters that are no UTF-8 is added where there are any.

    Returns:
        The corpus; its features are to be added.
    """
    turns = [turn for dialogue in dialogues for turn in dialogue.turns]
    speaker_names = speaker_names or tuple(sorted({turn.speaker for turn in turns}))
    numbers = {speaker: place for place, speaker in enumerate(speaker_names)}
    garbled = [turn.name for turn in turns if UNREADABLE in turn.text]
    if garbled:
        notices = [*notices, f"{len(garbled)} texts have letters that are not UTF-8 (first: utterance {garbled[0]})."]
    return Corpus(
        name=name,
        features={},
        measured={},
        labels=np.array([label_names.index(turn.emotion) for turn in turns], np.int32),
        label_names=label_names,
        speakers=np.array([numbers[turn.speaker] for turn in turns], np.int32),
        speaker_names=speaker_names,
        offsets=np.cumsum([0, *(len(dialogue.turns) for dialogue in dialogues)], dtype=np.int64),
        dialogue_names=tuple(dialogue.name for dialogue in dialogues),
        split=np.array([dialogue.split for dialogue in dialogues], np.int8),
        utterance_ids=tuple(turn.name for turn in turns),
        texts=tuple(turn.text for turn in turns),
        notices=tuple(notices),
        sha256=sha256,
    )
