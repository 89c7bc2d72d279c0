"""Loads and saves a corpus as one .npz file in the form of docs/corpus.md."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.data import extractor
from macsgr_jax.data.corpus import MODALITIES, SPLITS, UNLABELLED, Corpus
from macsgr_jax.errors import InputError, quote
from macsgr_jax.files import OBJECTS, exists, is_folder, open_file, unpack_npz, write_npz
from macsgr_jax.limits import MAX_ARRAY_BYTES, MAX_LABELS, MAX_NAME, MAX_TEXT, allow

MAX_CODE, SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)  # Of Unicode; a surrogate is half of a letter of UTF-16.
SPLIT_NAMES = {"train": 0, "val": 1, "dev": 1, "valid": 1, "validation": 1, "test": 2}
# Array -> dtype kinds it may have, and how it should look.
FORMS = {
    "label": ("iu", "integers [U], each an index into label_names, or -1 for none"),
    "label_names": ("U", "strings [C], one per emotion"),
    "offsets": ("iu", "integers [dialogues + 1] from 0 to U, the rows where dialogues begin"),
    "split": ("iu", "integers [U], each an index into split_names"),
    "split_names": ("U", "strings, such as train, val and test"),
    "speaker": ("iu", "integers [U], each an index into speaker_names"),
    "speaker_names": ("U", "strings, one per speaker"),
    "dialogue_id": ("iuU", "integers or strings [U], the same within a dialogue"),
    "dialogue_names": ("U", "strings [dialogues], one per dialogue"),
    "utt_id": ("U", "strings [U], one per utterance"),
    "text": ("U", "strings [U], one per utterance"),
    "text_utf8": ("u", "bytes, the texts in UTF-8 one after the other"),
    "text_ends": ("iu", "integers [U], where each text ends in text_utf8"),
    "name": ("U", "a string, the name of the corpus"),
}
# An array of strings gives each the room of the longest: above this many bytes texts are written in UTF-8 instead.
MAX_PADDED_BYTES = 64 * 2**20
TEXT_BYTES, TEXT_ENDS = "text_utf8", "text_ends"


class _Table:
    """The arrays of one file; once its `ids` are known, they name the rows in messages."""

    def __init__(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        self.path = path
        self.arrays = arrays
        self.ids: tuple[str, ...] = ()

    def error(self, sentence: str) -> InputError:
        return InputError(f"{self.path}: {sentence}.")

    def describe_row(self, row: int) -> str:
        return f"row {row}, utterance {quote(self.ids[row])}"

    def column(self, name: str, size: int | None = None) -> np.ndarray:
        kinds, form = FORMS[name]
        if name not in self.arrays:
            raise self.error(f"the array {name} is missing; it should be {form}")
        array = self.arrays[name]
        if array.ndim != 1 or array.dtype.kind not in kinds:
            raise self.error(f"the array {name} is {array.dtype}{list(array.shape)}; it should be {form}")
        if size is not None and len(array) != size:
            raise self.error(f"the array {name} has {len(array)} entries instead of {size}; it should be {form}")
        if array.dtype.kind == "U":
            self._check_letters(name, array)
        return array.astype(np.int64) if kinds == "iu" else array

    def _check_letters(self, name: str, array: np.ndarray) -> None:
        """Refuses what is no text, and could be written to no file, and what is too long for its kind."""
        if not array.nbytes:
            return
        limit = MAX_TEXT if name == "text" else MAX_NAME
        lengths = np.char.str_len(array)
        longest = int(lengths.argmax())
        what = f"{self.path}: entry {longest} of the array {name} has {lengths[longest]} characters"
        allow(int(lengths[longest]), limit, what)
        codes = np.ascontiguousarray(array).view(f"{'>' if array.dtype.byteorder == '>' else '<'}u4")
        codes = codes.reshape(len(array), -1)
        wrong = (codes > MAX_CODE) | ((codes >= SURROGATES[0]) & (codes <= SURROGATES[1]))
        for entry in np.flatnonzero(wrong.any(axis=1))[:1]:
            code = int(codes[entry][wrong[entry]][0])
            what = "half of a letter (a lone surrogate)" if code <= MAX_CODE else "no letter"
            raise self.error(f"the array {name} has {what}, {code:#x}, at entry {entry}; write it as valid Unicode")

    def distinct(self, name: str, values: tuple[str, ...], unit: str = "rows") -> tuple[str, ...]:
        first: dict[str, int] = {}
        for row, value in enumerate(values):
            if first.setdefault(value, row) != row:
                both = f"{unit} {first[value]} and {row}"
                raise self.error(f"the array {name} has {quote(repr(value))} at {both}; give each its own")
        return values


def load_corpus(path: str | os.PathLike[str]) -> Corpus:
    """Loads and checks a corpus in the form of docs/corpus.md.

    Args:
        path: the .npz file.

    Returns:
        The corpus; its notices say what was worked around.

    Raises:
        InputError: the file cannot be read, lacks something, or contradicts itself.
    """
    arrays, sha256 = _read_arrays(Path(path))
    table = _Table(Path(path), arrays)
    labels = table.column("label")
    offsets = _read_offsets(table, len(labels))
    dialogue_names = _read_dialogue_names(table, offsets)
    table.ids = _read_utterance_ids(table, offsets, dialogue_names)
    label_names = table.distinct("label_names", tuple(table.column("label_names").tolist()))
    for row in np.flatnonzero((labels < UNLABELLED) | (labels >= len(label_names)))[:1]:
        problem = f"label {labels[row]} at {table.describe_row(row)} is not one of the {len(label_names)} label_names"
        raise table.error(f"{problem}; use 0 to {len(label_names) - 1}, -1 for no label, or add the missing name")
    allow(len(label_names), MAX_LABELS, f"{path}: label_names has {len(label_names)} entries")
    _check_dialogue_id(table, offsets, dialogue_names)
    notices: list[str] = []
    speakers, speaker_names = _read_speakers(table, offsets, dialogue_names, notices)
    split = _read_split(table, offsets, dialogue_names)
    features, measured = _read_features(table, notices)
    return Corpus(
        name=_read_name(table),
        features=features,
        measured=measured,
        labels=labels.astype(np.int32),
        label_names=label_names,
        speakers=speakers.astype(np.int32),
        speaker_names=speaker_names,
        offsets=offsets,
        dialogue_names=dialogue_names,
        split=split.astype(np.int8),
        utterance_ids=table.ids,
        texts=_read_texts(table),
        notices=tuple(notices),
        sha256=sha256,
        extractors=_read_extractors(table, features),
    )


def _read_arrays(path: Path) -> tuple[dict[str, np.ndarray], str]:
    damage = "is not a readable .npz archive, or was cut short; copy it or write it with numpy.savez_compressed again"
    if is_folder(path):
        raise InputError(f"{path}: this is a folder; give the path of the .npz file in it.")
    if not exists(path):
        raise InputError(f"{path}: there is no such file; give the path of a corpus in .npz form.")
    with open_file(path, MAX_ARRAY_BYTES, "give the path of a corpus in .npz form") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        try:
            return unpack_npz(file), sha256
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        # NumPy, zipfile and zlib raise a dozen types over damaged bytes, MemoryError for a garbled shape among them.
        except Exception as error:
            if OBJECTS in str(error):
                raise InputError(f"{path}: {error}.") from error
            raise InputError(f"{path}: this file {damage}.") from error


def _read_name(table: _Table) -> str:
    name = table.arrays.get("name")
    if name is None or name.ndim or name.dtype.kind != "U":
        return table.path.stem.encode("utf-8", errors="replace").decode("utf-8")
    return str(_Table(table.path, {"name": name.reshape(1)}).column("name")[0])


def _read_texts(table: _Table) -> tuple[str, ...] | None:
    """Returns the texts, which stand in an array of strings, or in UTF-8 one after the other; see `save_corpus`."""
    if TEXT_BYTES not in table.arrays:
        return tuple(table.column("text", len(table.ids)).tolist()) if "text" in table.arrays else None
    content, ends = table.column(TEXT_BYTES), table.column(TEXT_ENDS, len(table.ids))
    starts = np.concatenate([[0], ends[:-1]])
    if (ends < starts).any() or ends[-1] != len(content) or content.dtype != np.uint8:
        raise table.error(f"{TEXT_ENDS} does not divide the bytes of {TEXT_BYTES}; write the corpus again")
    raw = content.tobytes()
    try:
        texts = tuple(raw[start:end].decode("utf-8") for start, end in zip(starts, ends, strict=True))
    except UnicodeDecodeError:
        raise table.error(f"{TEXT_BYTES} is not UTF-8; write the corpus again") from None
    for row, text in enumerate(texts):
        allow(len(text), MAX_TEXT, f"{table.path}: the text at {table.describe_row(row)} has {len(text)} characters")
    return texts


def _read_offsets(table: _Table, rows: int) -> np.ndarray:
    offsets = table.column("offsets")
    if rows == 0 or len(offsets) < 2:
        raise table.error(f"there are {rows} rows in label and {len(offsets)} entries in offsets; give a dialogue")
    if offsets[0] != 0:
        raise table.error(f"offsets[0] is {offsets[0]}; the first dialogue has to begin at row 0")
    for dialogue in np.flatnonzero(np.diff(offsets) <= 0)[:1]:
        ends = f"begins at row {offsets[dialogue]} and ends before row {offsets[dialogue + 1]} by offsets"
        raise table.error(f"dialogue {dialogue} {ends}; offsets have to increase, so leave empty dialogues out")
    if offsets[-1] != rows:
        raise table.error(f"the last of offsets is {offsets[-1]}; it has to be the number of rows of label, {rows}")
    return offsets


def _read_dialogue_names(table: _Table, offsets: np.ndarray) -> tuple[str, ...]:
    dialogues = len(offsets) - 1
    if "dialogue_names" not in table.arrays:
        return tuple(f"dialogue_{dialogue:03d}" for dialogue in range(dialogues))
    return table.distinct("dialogue_names", tuple(table.column("dialogue_names", dialogues).tolist()))


def _read_utterance_ids(table: _Table, offsets: np.ndarray, dialogue_names: tuple[str, ...]) -> tuple[str, ...]:
    if "utt_id" in table.arrays:
        return table.distinct("utt_id", tuple(table.column("utt_id", int(offsets[-1])).tolist()))
    spans = zip(dialogue_names, np.diff(offsets), strict=True)
    return tuple(f"{name}_{position:03d}" for name, length in spans for position in range(length))


def _check_dialogue_id(table: _Table, offsets: np.ndarray, dialogue_names: tuple[str, ...]) -> None:
    if "dialogue_id" not in table.arrays:
        return
    codes = table.column("dialogue_id", int(offsets[-1]))
    firsts = codes[offsets[:-1]]
    for row in np.flatnonzero(codes != np.repeat(firsts, np.diff(offsets)))[:1]:
        name = dialogue_names[np.searchsorted(offsets, row, side="right") - 1]
        problem = f"dialogue_id changes within dialogue {name} of offsets, at {table.describe_row(row)}"
        raise table.error(f"{problem}; sort the rows by dialogue and make offsets from the same ids, or leave it out")
    table.distinct("dialogue_id", tuple(firsts.tolist()), unit="dialogues (by offsets)")


def _read_speakers(
    table: _Table, offsets: np.ndarray, dialogue_names: tuple[str, ...], notices: list[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    if "speaker" not in table.arrays:
        notices.append("No array speaker: every dialogue is taken as a monologue of one speaker.")
        return np.repeat(np.arange(len(dialogue_names)), np.diff(offsets)), dialogue_names
    speakers = table.column("speaker", int(offsets[-1]))
    names = tuple(table.column("speaker_names").tolist())
    wrong = np.array([code not in range(len(names)) or not names[code].strip() for code in speakers.tolist()])
    for row in np.flatnonzero(wrong)[:1]:
        dialogue = dialogue_names[np.searchsorted(offsets, row, side="right") - 1]
        problem = f"dialogue {dialogue} has no speaker at {table.describe_row(row)}: its code is {speakers[row]}"
        raise table.error(f"{problem}; use the index of a name that is not empty among the {len(names)} speaker_names")
    return speakers, names


def _read_split(table: _Table, offsets: np.ndarray, dialogue_names: tuple[str, ...]) -> np.ndarray:
    codes = table.column("split", int(offsets[-1]))
    names = table.column("split_names").tolist() if "split_names" in table.arrays else list(SPLITS)
    for name in names:
        if name.lower() not in SPLIT_NAMES:
            raise table.error(f"split_names has {name!r}; use {', '.join(SPLIT_NAMES)}")
    for row in np.flatnonzero((codes < 0) | (codes >= len(names)))[:1]:
        problem = f"split {codes[row]} at {table.describe_row(row)} is not one of the {len(names)} split_names"
        raise table.error(f"{problem}; use 0 to {len(names) - 1}")
    splits = np.array([SPLIT_NAMES[name.lower()] for name in names])[codes]
    firsts = splits[offsets[:-1]]
    for row in np.flatnonzero(splits != np.repeat(firsts, np.diff(offsets)))[:1]:
        dialogue = np.searchsorted(offsets, row, side="right") - 1
        both = f"{SPLITS[firsts[dialogue]]} and, at {table.describe_row(row)}, {SPLITS[splits[row]]}"
        raise table.error(f"dialogue {dialogue_names[dialogue]} is in {both}; put each whole dialogue in one split")
    for name in ("train", "test"):
        if SPLITS.index(name) not in firsts:
            raise table.error(f"{name} is a split without utterances; give some dialogues that code in the array split")
    return firsts


def _read_features(table: _Table, notices: list[str]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    features, measured, unread = {}, {}, []
    for name, array in table.arrays.items():
        if name.endswith(("_mask", "_names")) or name.startswith(extractor.PREFIX):
            continue
        modality, _, rest = name.partition("_")
        if modality in MODALITIES and rest and array.dtype.kind in "USOV" and name not in FORMS:
            problem = f"the array {name} has the name of a feature set and is {array.dtype}{list(array.shape)}"
            raise table.error(f"{problem}; make it float [U, D], or give it a name that begins otherwise")
        if modality in MODALITIES and rest and array.dtype.kind == "f":
            features[name], measured[name] = _read_feature_set(table, name)
            absent = np.flatnonzero(~measured[name].any(1))
            if len(absent):
                missing = f"{len(absent)} of {len(table.ids)} utterances"
                notices.append(f"{name} is not available for {missing} (first: {table.describe_row(absent[0])}).")
            if not measured[name].any():
                raise table.error(f"{name} has no value for any utterance; measure it, or leave the array out")
        elif array.ndim == 2 and len(array) == len(table.ids):
            unread.append(name)
    beginnings = ", ".join(f"{modality}_" for modality in MODALITIES)
    if not features:
        raise table.error(f"there is no feature set; give a float array [U, D] whose name begins with {beginnings}")
    if unread:
        notices.append(f"Not read as features, which are float and begin with {beginnings}: {', '.join(unread)}.")
    return features, measured


def _read_feature_set(table: _Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    values = table.arrays[name]
    if values.ndim != 2 or values.shape[1] == 0 or len(values) != len(table.ids):
        form = f"float [{len(table.ids)}, D], one row per entry of label and at least one column"
        raise table.error(f"the array {name} is {values.dtype}{list(values.shape)}; it should be {form}")
    mask = table.arrays.get(f"{name}_mask", np.ones(values.shape, bool))
    if mask.shape != values.shape or mask.dtype.kind not in "biu":
        form = f"bool{list(values.shape)} as {name} is, True where a value was measured"
        raise table.error(f"the array {name}_mask is {mask.dtype}{list(mask.shape)}; it should be {form}")
    measured = (mask != 0) & np.isfinite(values).any(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    for row, column in np.argwhere(measured & ~np.isfinite(single))[:1]:
        problem = (
            f"{name} is {values[row, column]} in column {column} of {table.describe_row(row)}, not a finite float32"
        )
        advice = f"set it False in {name}_mask, or make the whole row NaN if {name} is not available there"
        raise table.error(f"{problem}; {advice}")
    return np.where(measured, single, np.float32(0)), measured


def _read_extractors(table: _Table, features: dict[str, np.ndarray]) -> dict[str, extractor.Extractor]:
    try:
        found = extractor.from_arrays(table.arrays)
    except InputError as error:
        raise table.error(str(error)) from None
    for name in found.keys() - features.keys():
        raise table.error(f"the array {extractor.PREFIX}{name} describes a feature set that is not there; leave it out")
    return found


def save_corpus(corpus: Corpus, path: str | os.PathLike[str], /, **extra_arrays: np.ndarray) -> None:
    """Writes a corpus so that `load_corpus` returns it again; notices and sha256 are not written.

    Args:
        corpus: the corpus to write.
        path: the .npz file, replaced in one step if it is there.
        **extra_arrays: further arrays, of any names, which `load_corpus` does not read.

    Raises:
        InputError: the file cannot be written.
    """
    texts = {} if corpus.texts is None else _pack_texts(corpus.texts)
    extra = {name: array for name, array in extra_arrays.items() if name not in ("text", TEXT_BYTES, TEXT_ENDS)}
    arrays: dict[str, Any] = (
        extra
        | texts
        | {
            "name": np.array(corpus.name),
            "label": corpus.labels,
            "label_names": np.array(corpus.label_names),
            "speaker": corpus.speakers,
            "speaker_names": np.array(corpus.speaker_names),
            "offsets": corpus.offsets,
            "dialogue_names": np.array(corpus.dialogue_names),
            "split": np.repeat(corpus.split, corpus.lengths),
            "split_names": np.array(SPLITS),
            "utt_id": np.array(corpus.utterance_ids),
        }
    )
    for name, values in corpus.features.items():
        arrays[name], arrays[f"{name}_mask"] = values, corpus.measured[name]
    write_npz(Path(path), arrays | extractor.to_arrays(corpus.extractors))


def _pack_texts(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns texts as an array of strings, or, where that would be mostly padding, as bytes and where each ends."""
    if 4 * len(texts) * max(map(len, texts), default=0) <= MAX_PADDED_BYTES:
        return {"text": np.array(texts, np.str_)}
    encoded = [text.encode("utf-8") for text in texts]
    return {
        TEXT_BYTES: np.frombuffer(b"".join(encoded), np.uint8),
        TEXT_ENDS: np.cumsum([len(one) for one in encoded], dtype=np.int64),
    }
