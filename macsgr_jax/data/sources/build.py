"""What every reader of a release is made of: files to rows, dialogues to a corpus, and the record of a source."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dialogue import Dialogue, list_utterances
from macsgr_jax.errors import InputError
from macsgr_jax.files import read_file
from macsgr_jax.limits import MAX_TABLE_BYTES

UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # What `decode_text` puts where the bytes are not UTF-8.


class ImportedCorpus(NamedTuple):
    """A corpus as a reader found it; U utterances.

    Attributes:
        corpus: the corpus, with the features that it came with.
        clips: U clips, where the audio of each utterance is, or None; empty for a source without audio.
        where: U descriptions of file and row for messages; empty takes the utterance ids.
        extra_arrays: name -> further array to write to the corpus file.
    """

    corpus: Corpus
    clips: tuple[Clip | None, ...] = ()
    where: tuple[str, ...] = ()
    extra_arrays: Mapping[str, np.ndarray] = MappingProxyType({})


class Source(NamedTuple):
    """A kind of source that can be imported.

    Attributes:
        reads: what the path leads to, for the help of `macsgr import`.
        read: reads it: path, and options by keyword -> ImportedCorpus.
        options: the names of its options, of `features.importing.import_corpus`.
        required: option -> what to do if it is not given.
        find_clips: finds the recordings of a corpus that was read, where reading alone does not: corpus, path ->
            corpus with notices, clips. It is called only for audio features.
    """

    reads: str
    read: Callable[..., ImportedCorpus]
    options: tuple[str, ...] = ()
    required: Mapping[str, str] = MappingProxyType({})
    find_clips: Callable[[Corpus, Path], tuple[Corpus, tuple[Clip | None, ...]]] | None = None


def read_bytes(path: Path, advice: str) -> bytes:
    """Reads a whole file.

    Args:
        path: the file.
        advice: what to do if it cannot be read, for the message.

    Returns:
        Its content.

    Raises:
        InputError: the file cannot be read.
    """
    return read_file(path, MAX_TABLE_BYTES, advice)


def decode_text(content: bytes) -> str:
    """Decodes UTF-8 with or without a byte order mark, and puts UNREADABLE where the bytes are not UTF-8."""
    return content.decode("utf-8-sig", errors="replace")


def parse_rows(path: Path, content: bytes, columns: Sequence[str], release: str) -> list[dict[str, str]]:
    """Parses a CSV file that has a header.

    Args:
        path: the file, for messages.
        content: its content.
        columns: the columns that every row needs.
        release: the name of the release, such as MELD, for messages.

    Returns:
        One dictionary per row, column -> text, "" where a row is too short.

    Raises:
        InputError: a column is missing, there is no row, or the file is not CSV.
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


def build_corpus(
    name: str,
    dialogues: Sequence[Dialogue],
    label_names: Sequence[str],
    sha256: str,
    *,
    speaker_names: Sequence[str] = (),
    notices: Sequence[str] = (),
) -> Corpus:
    """Builds a corpus without feature sets from the texts of a release.

    Args:
        name: the name of the corpus.
        dialogues: the dialogues in their order.
        label_names: the emotions.
        sha256: the hash of the files.
        speaker_names: the speakers in the order of their indices; by default those of the utterances, sorted.
        notices: sentences about what was worked around; one about letters that are not UTF-8 is added if there are any.

    Returns:
        The corpus; its features are to be added.
    """
    garbled = [utterance.id for utterance in list_utterances(dialogues) if UNREADABLE in utterance.text]
    if garbled:
        notices = [*notices, f"{len(garbled)} texts have letters that are not UTF-8 (first: utterance {garbled[0]})."]
    return Corpus.from_dialogues(
        name, dialogues, label_names, speaker_names=speaker_names, notices=notices, sha256=sha256
    )
