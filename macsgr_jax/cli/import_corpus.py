"""`macsgr import`: turns a release, a file in common use, or own conversations into a corpus of docs/corpus.md."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.progress import Progress

from macsgr_jax.cli.common import make_console, refuse_output
from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.data.sources import READERS
from macsgr_jax.errors import InputError
from macsgr_jax.features.importing import SENTENCE_MODEL, import_corpus
from macsgr_jax.features.registry import NAMES

if TYPE_CHECKING:
    Kind = str
else:
    Kind = tyro.extras.literal_type_from_choices(READERS)

KIND_HELP = f"What SOURCE is. {'; '.join(f'{kind}: {reader.reads}' for kind, reader in READERS.items())}."


@dataclasses.dataclass(frozen=True)
class ImportCorpus:
    """Turn a release, a file in common use, or your own conversations into an .npz corpus.

    Attributes:
        source: The folder or file to read.
        out: The .npz file to write.
        features: Feature sets to extract, separated by commas; by default text_lsa where there are texts and no
            features.
        sentence_model: For text_sentence: a sentence-transformers model, by name or as a folder.
        sequence: For cmu: a feature set and its .csd file; may be repeated.
        folds: For cmu: a file of the videos of each split, JSON or text.
        labels: For pickle: the emotions in the order of their numbers, separated by commas; known for 4, 6 and 7.
        jobs: Number of recordings to process at once; 0 takes one per CPU core.
        overwrite: Replace the .npz file.
    """

    kind: Annotated[tyro.conf.Positional[Kind], tyro.conf.arg(help=KIND_HELP)]
    source: tyro.conf.Positional[Path]
    out: tyro.conf.Positional[Path]
    features: Annotated[str, tyro.conf.arg(help_behavior_hint=f"(among {', '.join(NAMES)})")] = ""
    sentence_model: str = SENTENCE_MODEL
    sequence: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=FILE")] = ()
    folds: Path | None = None
    labels: str = ""
    jobs: int = 0
    overwrite: bool = False


def main(command: ImportCorpus) -> None:
    """Imports a corpus and prints what is in it."""
    refuse_output(command.out, command.overwrite)
    console = make_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("features", total=None)
        corpus = import_corpus(
            command.kind,
            command.source,
            command.out,
            features=_split_list(command.features),
            sentence_model=command.sentence_model,
            labels=_split_list(command.labels),
            sequences=_parse_sequences(command.sequence),
            folds=command.folds,
            jobs=command.jobs,
            on_clip=lambda clips: progress.update(task, total=clips, advance=1),
        )
    for notice in corpus.notices:
        console.print(f"note: {notice}", highlight=False, soft_wrap=True)
    for split in SPLITS:
        dialogues, utterances = len(corpus.dialogues_of(split)), len(corpus.utterances_of(split))
        console.print(f"{split}: {dialogues} dialogues of {utterances} utterances", highlight=False)
    for name, values in corpus.features.items():
        console.print(f"{name}: {values.shape[1]} columns", highlight=False)
    emotions = f"emotions: {', '.join(corpus.label_names)}"
    console.print(f"{emotions}\nwrote {command.out}", highlight=False, soft_wrap=True)


def _split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse_sequences(given: tuple[str, ...]) -> dict[str, Path]:
    sequences = {}
    for assignment in given:
        name, equals, path = assignment.partition("=")
        if not equals or name in sequences:
            advice = "give a feature set and its file, each once, as text_glove=GloVe.csd"
            raise InputError(f"--sequence {assignment}: {advice}")
        sequences[name] = Path(path)
    return sequences
