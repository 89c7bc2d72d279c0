"""Turn a file that other repositories read into a corpus of docs/corpus.md."""

import dataclasses
import sys
from pathlib import Path

import tyro

from experiments.commandline import make_console, run_script
from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.data.sources.feature_pickle import read_feature_pickle
from macsgr_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class ImportCorpus:
    """Turn a feature pickle of the field (DialogueRNN, MMGCN, COGMEN and their relatives) into an .npz corpus.

    Nothing of the pickle is run: it may hold plain data alone.

    Attributes:
        source: The pickle.
        out: The .npz file to write.
        labels: The emotions in the order of their numbers, separated by commas; known for IEMOCAP's 6 and 4, MELD's 7.
        overwrite: Replace the .npz file.
    """

    source: tyro.conf.Positional[Path]
    out: tyro.conf.Positional[Path]
    labels: str = ""
    overwrite: bool = False


def main(command: ImportCorpus) -> None:
    """Pickle -> corpus -> .npz."""
    if command.out.exists() and not command.overwrite:
        raise InputError(f"{command.out} is there already: give another name, or --overwrite")
    if command.out.suffix != ".npz":
        raise InputError(f"{command.out} should end in .npz")
    labels = [label.strip() for label in command.labels.split(",") if label.strip()]
    corpus = read_feature_pickle(command.source, labels)
    save_corpus(corpus, command.out)
    saved = load_corpus(command.out)  # Says so if what was written could not be trained on.
    console = make_console()
    for split in SPLITS:
        dialogues, utterances = len(saved.dialogues_of(split)), len(saved.utterances_of(split))
        console.print(f"{split}: {dialogues} dialogues of {utterances} utterances", highlight=False)
    for name, values in saved.features.items():
        console.print(f"{name}: {values.shape[1]} columns", highlight=False)
    console.print(f"emotions: {', '.join(saved.label_names)}\nwrote {command.out}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run_script("experiments.import_corpus", ImportCorpus, main))
