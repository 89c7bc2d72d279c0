"""`macsgr import`: turns a release, a file in common use, or own conversations into a corpus of docs/corpus.md."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.progress import Progress

from macsgr_jax.cli.common import make_console, refuse_output
from macsgr_jax.data.labels import describe_splits
from macsgr_jax.data.sources import READERS
from macsgr_jax.errors import InputError
from macsgr_jax.features.channels import parse_channels
from macsgr_jax.features.importing import SENTENCE_MODEL, import_corpus
from macsgr_jax.features.loudness import TARGET
from macsgr_jax.features.registry import NAMES
from macsgr_jax.limits import MAX_JOBS, check_option

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
        labels: For pickle: the emotions in the order of their numbers, separated by commas; known for the usual files
            of IEMOCAP and MELD.
        threshold: For pickle: the numbers that divide labels on a scale into classes, separated by commas, such as 0.
        target: For cmu: sentiment or emotion; by default sentiment where the file has it.
        merge_labels: An emotion and the labels that become it, such as happy=happiness,happines; may be repeated.
            Labels that differ in case alone are merged anyway.
        ignore_labels: Labels whose utterances are left out, separated by commas.
        channels: Of recordings with several channels: mix takes their mean; speaker takes the channel where the speaker
            is loudest; auto does so where it is clear for all; or a channel per speaker, such as Ann=left,Bob=right.
        loudness: Of recordings, for audio features: normalize gives each recording, or the clips of each conversation,
            one level, and predictions do the same; keep leaves it as it is.
        strict: For conversations: refuse transcripts with faults, and tell all of them, instead of repairing them.
        allow_outside: For conversations: read clips that lie outside the folder.
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
    threshold: str = ""
    target: Literal["", "sentiment", "emotion"] = ""
    merge_labels: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="EMOTION=LABELS")] = ()
    ignore_labels: str = ""
    channels: str = "auto"
    loudness: Literal["normalize", "keep"] = "normalize"
    strict: bool = False
    allow_outside: bool = False
    jobs: int = 0
    overwrite: bool = False


def main(command: ImportCorpus) -> None:
    """Imports a corpus and prints what is in it."""
    check_option("--jobs", command.jobs, 0, MAX_JOBS)
    sequences = _parse_sequences(command.sequence)
    inputs = [command.source, *sequences.values(), *([command.folds] if command.folds else [])]
    refuse_output(command.out, command.overwrite, inputs)
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
            sequences=sequences,
            folds=command.folds,
            thresholds=_parse_thresholds(command.threshold),
            target=command.target,
            merges=_parse_merges(command.merge_labels),
            ignored_labels=_split_list(command.ignore_labels),
            channels=parse_channels(command.channels),
            loudness=TARGET if command.loudness == "normalize" else None,
            strict=command.strict,
            allow_outside=command.allow_outside,
            jobs=command.jobs,
            on_clip=lambda clips: progress.update(task, total=clips, advance=1),
        )
    for notice in corpus.notices:
        console.print(f"note: {notice}", highlight=False, soft_wrap=True)
    for line in describe_splits(corpus):
        console.print(line, highlight=False, soft_wrap=True)
    for name, values in corpus.features.items():
        console.print(f"{name}: {values.shape[1]} columns", highlight=False)
    console.print(f"emotions: {', '.join(corpus.label_names)}", highlight=False, soft_wrap=True)
    console.print(f"wrote {command.out}", highlight=False, soft_wrap=True)


def _split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse_thresholds(text: str) -> list[float]:
    try:
        thresholds = [float(part) for part in _split_list(text)]
        if not all(map(math.isfinite, thresholds)):
            raise ValueError
        return thresholds
    except ValueError:
        raise InputError(f"--threshold {text}: give numbers separated by commas, such as 0 or -1,1") from None


def _parse_merges(given: tuple[str, ...]) -> dict[str, list[str]]:
    merges: dict[str, list[str]] = {}
    for assignment in given:
        emotion, equals, labels = assignment.partition("=")
        if not equals or not emotion.strip() or not _split_list(labels):
            advice = "give an emotion and the labels that become it, as happy=happiness,happines"
            raise InputError(f"--merge-labels {assignment}: {advice}")
        merges.setdefault(emotion.strip(), []).extend(_split_list(labels))
    return merges


def _parse_sequences(given: tuple[str, ...]) -> dict[str, Path]:
    sequences = {}
    for assignment in given:
        name, equals, path = assignment.partition("=")
        if not equals or name in sequences:
            advice = "give a feature set and its file, each once, as text_glove=GloVe.csd"
            raise InputError(f"--sequence {assignment}: {advice}")
        sequences[name] = Path(path)
    return sequences
