"""The command `macsgr train`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from macsgr_jax.cli.common import configure
from macsgr_jax.cli.options import TrainingOptions, join_processes, make_execution
from macsgr_jax.errors import InputError
from macsgr_jax.limits import MAX_SEED, MAX_SEEDS, check_option

if TYPE_CHECKING:
    from rich.console import Console


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(TrainingOptions):
    """Train MA-CMU-SGRNet on a corpus of conversations, evaluate it on unseen dialogues, and write a report.

    The folder gets results.json, report.md, predictions.csv, log.csv, figures and checkpoints.

    Attributes:
        seeds: Number of seeds to train: first_seed, first_seed + 1, ...
        first_seed: The first seed.
        single_modalities: Also train the network on each modality alone, and add it to the table.
        no_references: Leave out the majority class and logistic regression on the same features, which otherwise stand
            beside the network.
    """

    seeds: int = 3
    first_seed: int = 0
    single_modalities: bool = False
    no_references: bool = False


def main(command: Train) -> None:
    """Reads the corpus, trains and evaluates, and prints the tables."""
    from macsgr_jax.runs.evaluate import best_possible_scores
    from macsgr_jax.runs.load import SYNTHETIC, read_corpus
    from macsgr_jax.runs.train import train_and_evaluate

    if command.seeds < 1 or command.first_seed < 0:
        raise InputError("--seeds must be at least 1 and --first-seed at least 0")
    check_option("--seeds", command.seeds, 1, MAX_SEEDS)
    check_option("--first-seed", command.first_seed, 0, MAX_SEED - command.seeds + 1)
    console = join_processes(command)
    config = configure(command.preset, command.set, command.features, command.epochs)
    corpus = read_corpus(command.corpus)
    generated = command.corpus == SYNTHETIC
    with make_execution(command, console) as execution:
        results = train_and_evaluate(
            config,
            corpus,
            range(command.first_seed, command.first_seed + command.seeds),
            command.out,
            execution,
            single_modalities=command.single_modalities,
            references=best_possible_scores(corpus) if generated else None,
            simple_references=not command.no_references,
            corpus_path=None if generated else Path(command.corpus),
            resume=command.resume,
            overwrite=command.overwrite,
        )
    show_tables(console, results, command.out)


def show_tables(console: "Console", results: dict[str, Any], out: Path) -> None:
    """Prints the tables of a run, and what was written."""
    from macsgr_jax.runs.tables import as_screen_table, class_rows, describe_outcome, score_rows
    from macsgr_jax.runs.train import OUTPUTS

    console.print(as_screen_table(*class_rows(results["networks"]["full"])))
    console.print(as_screen_table(*score_rows(results)))
    for line in describe_outcome(results):
        console.print(line)
    written = ["results.json", *(name for name in OUTPUTS if (out / name).exists())]
    console.print(f"wrote {out}: {', '.join(written)}", soft_wrap=True)
