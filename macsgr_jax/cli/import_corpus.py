"""Turn a release, a file of other repositories, or own conversations into a corpus of docs/corpus.md."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import numpy as np
import tyro
from rich.progress import Progress

from macsgr_jax.cli.common import make_console, refuse_output, run_script
from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.data.sources.cmu import read_cmu
from macsgr_jax.data.sources.emorynlp import read_emorynlp
from macsgr_jax.data.sources.feature_pickle import read_feature_pickle
from macsgr_jax.data.sources.iemocap import read_iemocap
from macsgr_jax.data.sources.meld import find_meld_clips, read_meld
from macsgr_jax.data.transcript import read_conversations, to_corpus
from macsgr_jax.errors import InputError
from macsgr_jax.features.audio_io import check_inside
from macsgr_jax.features.registry import NAMES, SENTENCES, WORDS, add_features
from macsgr_jax.files import write_atomically

Kind = Literal["iemocap", "iemocap4", "meld", "emorynlp", "cmu", "pickle", "conversations", "corpus"]


class Source(NamedTuple):
    """What was read.

    Attributes:
        corpus: with the features that it came with.
        clips: where the sound of each utterance is; empty where there is none.
        beside: further arrays for the file.
    """

    corpus: Corpus
    clips: tuple[Clip | None, ...] = ()
    beside: Mapping[str, np.ndarray] = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class ImportCorpus:
    """Turn what others hand around, or what you have recorded, into an .npz corpus.

    KIND says what SOURCE is. iemocap (6 emotions) and iemocap4: the folder IEMOCAP_full_release. meld: the folder of
    its three CSV files, and of its films for sound. emorynlp: the folder of its three CSV files. cmu: a .csd file of
    CMU-MOSI's or MOSEI's labels; the features are named with --sequence. pickle: a file of DialogueRNN, MMGCN, COGMEN
    or their relatives, of which nothing is run: it may hold plain data alone. conversations: a folder with folders
    train, test and perhaps validation of tables as `macsgr predict` reads them, each utterance with a label. corpus: an
    .npz file of docs/corpus.md with sentences, which gets further text features.

    Attributes:
        kind: What the source is.
        source: The folder or the file.
        out: The .npz file to write.
        features: Feature sets to make, separated by commas: text_lsa, text_sentence, text_use, audio_egemaps,
            audio_compare; by default text_lsa where there are sentences and no features.
        sentence_model: For text_sentence: a sentence-transformers model, by name or as a folder.
        sequence: For cmu: a feature set and its .csd file; may be repeated.
        folds: For cmu: a file of the videos of each split, JSON or text.
        labels: For pickles: the emotions in the order of their numbers, separated by commas; known for 6, 4 and 7.
        jobs: Sounds to take features of at once; 0 is one a core.
        overwrite: Replace the .npz file.
    """

    kind: tyro.conf.Positional[Kind]
    source: tyro.conf.Positional[Path]
    out: tyro.conf.Positional[Path]
    features: str = ""
    sentence_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    sequence: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=FILE")] = ()
    folds: Path | None = None
    labels: str = ""
    jobs: int = 0
    overwrite: bool = False


def main(command: ImportCorpus) -> None:
    """Release -> corpus -> features -> .npz."""
    refuse_output(command.out, command.overwrite)
    if command.out.suffix != ".npz":
        raise InputError(f"{command.out} should end in .npz")
    for option, kind in (("labels", "pickle"), ("sequence", "cmu"), ("folds", "cmu")):
        if getattr(command, option) and command.kind != kind:
            raise InputError(f"--{option} is for {kind}, not for {command.kind}: leave it out")
    corpus, clips, beside = read_source(command)
    names = [name.strip() for name in command.features.split(",") if name.strip()]
    for name in names:
        if name not in NAMES:
            raise InputError(f"--features: there is no feature set {name!r} to make, only {', '.join(NAMES)}")
    if not names and not corpus.features:
        names = [WORDS]
    console = make_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("features", total=len(clips))
        model = command.sentence_model if SENTENCES in names else ""
        jobs = command.jobs or os.cpu_count() or 1
        corpus = add_features(corpus, clips, names, model, jobs, lambda: progress.advance(task))
    saved = _write(corpus, command.out, beside)
    for notice in corpus.notices:
        console.print(f"note: {notice}", highlight=False, soft_wrap=True)
    for split in SPLITS:
        dialogues, utterances = len(saved.dialogues_of(split)), len(saved.utterances_of(split))
        console.print(f"{split}: {dialogues} dialogues of {utterances} utterances", highlight=False)
    for name, values in saved.features.items():
        console.print(f"{name}: {values.shape[1]} columns", highlight=False)
    console.print(f"emotions: {', '.join(saved.label_names)}\nwrote {command.out}", highlight=False, soft_wrap=True)


def _write(corpus: Corpus, out: Path, beside: Mapping[str, np.ndarray]) -> Corpus:
    """The corpus as it is read again; nothing is left where it could not be trained on."""
    with write_atomically(out) as temporary:
        save_corpus(corpus, temporary, **beside)
        try:
            return load_corpus(temporary)
        except InputError as error:
            raise InputError(str(error).replace(str(temporary), str(out))) from None


def read_source(command: ImportCorpus) -> Source:
    """What a command line names.

    Raises:
        InputError: the source cannot be understood.
    """
    source, listen = command.source, "audio_" in command.features
    match command.kind:
        case "iemocap" | "iemocap4":
            return Source(*read_iemocap(source, "4" if command.kind == "iemocap4" else "6"))
        case "meld":
            corpus = read_meld(source)
            return Source(*find_meld_clips(corpus, source)) if listen else Source(corpus)
        case "emorynlp":
            return Source(read_emorynlp(source))
        case "cmu":
            release = read_cmu(source, _read_sequences(command.sequence), command.folds, source.stem.lower())
            return Source(release.corpus, beside={"sentiment": release.sentiment})
        case "pickle":
            labels = [label.strip() for label in command.labels.split(",") if label.strip()]
            return Source(read_feature_pickle(source, labels))
        case "conversations":
            return _read_own(source, listen)
        case "corpus":
            corpus = load_corpus(source)
            with np.load(source, allow_pickle=False) as arrays:
                return Source(corpus, beside=dict(arrays))  # What is not read as a corpus is kept as it is.


def _read_sequences(given: tuple[str, ...]) -> dict[str, Path]:
    sequences = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not equals or name in sequences:
            raise InputError(f"--sequence {one}: give a feature set and its file, each once, as text_glove=GloVe.csd")
        sequences[name] = Path(path)
    if not sequences:
        raise InputError("cmu: name the features with --sequence, such as --sequence text_glove=CMU_MOSI_GloVe.csd")
    return sequences


def _read_own(folder: Path, listen: bool) -> Source:
    """Labelled conversations in a folder a split; if they are listened to, inside their recordings."""
    parts = {split: read_conversations(folder / split) for split in SPLITS if (folder / split).is_dir()}
    for split in ("train", "test"):
        if split not in parts:
            raise InputError(f"{folder} has no folder {split}: put the conversations into train, test and validation")
    conversations = [conversation for split in parts for conversation in parts[split]]
    names = [conversation.name for conversation in conversations]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{folder}: there are two conversations {name}: give each its own name")
    turns = [turn for conversation in conversations for turn in conversation.turns]
    for turn in turns:
        if not turn.label:
            raise InputError(f"{turn.place}: it has no label: to learn from it, it needs one")
    clips = tuple(turn.clip for turn in turns)
    if listen:
        check_inside(clips, [turn.place for turn in turns])
    corpus = to_corpus(conversations, tuple(sorted({turn.label for turn in turns})))
    of_each = np.array([SPLITS.index(split) for split in parts for _ in parts[split]], np.int8)
    corpus = dataclasses.replace(corpus, name=folder.resolve().name, split=of_each)
    return Source(corpus, clips)


if __name__ == "__main__":
    sys.exit(run_script("macsgr_jax.cli.import_corpus", ImportCorpus, main))
