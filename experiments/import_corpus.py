"""Turn a release of a corpus, or a file that other repositories read, into a corpus of docs/corpus.md."""

import dataclasses
import sys
from pathlib import Path

import tyro

from experiments.commandline import make_console, run_script
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.data.sources.feature_pickle import read_feature_pickle
from macsgr_jax.data.sources.meld import read_meld
from macsgr_jax.errors import InputError
from macsgr_jax.features.words import add_word_features


@dataclasses.dataclass(frozen=True)
class ImportCorpus:
    """Turn what others hand around into an .npz corpus.

    A folder is taken for MELD's release (its three CSV files; the words become features), a file for one of the field's
    feature pickles (DialogueRNN, MMGCN, COGMEN and their relatives). Nothing of a pickle is run: it may hold plain data
    alone.

    Attributes:
        source: The folder or the file.
        out: The .npz file to write.
        labels: The emotions of a pickle in the order of their numbers, separated by commas; known for 6, 4 and 7.
        overwrite: Replace the .npz file.
    """

    source: tyro.conf.Positional[Path]
    out: tyro.conf.Positional[Path]
    labels: str = ""
    overwrite: bool = False


def main(command: ImportCorpus) -> None:
    """Release -> corpus -> .npz."""
    if command.out.exists() and not command.overwrite:
        raise InputError(f"{command.out} is there already: give another name, or --overwrite")
    if command.out.suffix != ".npz":
        raise InputError(f"{command.out} should end in .npz")
    save_corpus(read_source(command), command.out)
    saved = load_corpus(command.out)  # Says so if what was written could not be trained on.
    console = make_console()
    for split in SPLITS:
        dialogues, utterances = len(saved.dialogues_of(split)), len(saved.utterances_of(split))
        console.print(f"{split}: {dialogues} dialogues of {utterances} utterances", highlight=False)
    for name, values in saved.features.items():
        console.print(f"{name}: {values.shape[1]} columns", highlight=False)
    console.print(f"emotions: {', '.join(saved.label_names)}\nwrote {command.out}", highlight=False, soft_wrap=True)


def read_source(command: ImportCorpus) -> Corpus:
    """The corpus of a command line.

    Raises:
        InputError: the source cannot be understood.
    """
    labels = [label.strip() for label in command.labels.split(",") if label.strip()]
    if command.source.is_dir():
        if labels:
            raise InputError("--labels is for pickles: the emotions of MELD are known")
        return add_word_features(read_meld(command.source))
    return read_feature_pickle(command.source, labels)


if __name__ == "__main__":
    sys.exit(run_script("experiments.import_corpus", ImportCorpus, main))
