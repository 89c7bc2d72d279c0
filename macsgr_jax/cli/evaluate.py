"""The command `macsgr evaluate`."""

import dataclasses
import json
from pathlib import Path
from typing import Literal

import tyro

from macsgr_jax.cli.common import make_console


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate the checkpoints of a run again, without its results file.

    Attributes:
        run: The folder that was given to `macsgr train` or `macsgr sweep` as --out.
        corpus: Where the corpus is now, if it has moved.
        network: Which of the run's networks: full, or a modality of --single-modalities.
        split: The split to evaluate on.
        json: Print JSON instead of a table: seed -> scores.
    """

    run: tyro.conf.Positional[Path]
    corpus: str | None = None
    network: str = "full"
    split: Literal["train", "validation", "test"] = "test"
    json: bool = False


def main(command: Evaluate) -> None:
    """Evaluates, and prints the scores of each seed."""
    from macsgr_jax.runs.evaluate import evaluate_run
    from macsgr_jax.runs.load import read_corpus
    from macsgr_jax.runs.results import SCALARS
    from macsgr_jax.runs.tables import as_screen_table

    corpus = None if command.corpus is None else read_corpus(command.corpus)
    scores = evaluate_run(command.run, corpus, command.network, command.split)
    if command.json:
        print(json.dumps(scores, indent=2))
        return
    rows = [
        [
            str(seed),
            str(values["epoch"]),
            *(_show_score(name, values[name]) for name in SCALARS),
        ]
        for seed, values in scores.items()
    ]
    make_console().print(as_screen_table(["seed", "epoch", *SCALARS], rows))


def _show_score(name: str, value: float | None) -> str:
    from macsgr_jax.runs.tables import NOT_PERCENT

    if value is None:
        return "no labels"
    return f"{value:.3f}" if name in NOT_PERCENT else f"{100 * value:.2f}"
