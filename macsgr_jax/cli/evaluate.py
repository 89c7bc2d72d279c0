"""Evaluate the checkpoints of a run again, from nothing but the checkpoints and the corpus."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Literal

import tyro

from macsgr_jax.cli.common import make_console, run_script
from macsgr_jax.data.dataset import prepare
from macsgr_jax.errors import InputError
from macsgr_jax.runs.corpora import SYNTHETIC, read_corpus
from macsgr_jax.runs.evaluate import evaluate_split
from macsgr_jax.runs.load import load_weights, open_checkpoints
from macsgr_jax.runs.results import SCALARS
from macsgr_jax.runs.tables import as_screen_table


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate the checkpoints that macsgr_jax.cli.train left, without its results file.

    Attributes:
        run: The folder that was given to macsgr_jax.cli.train as --out.
        corpus: Where the corpus is now, if it has moved.
        network: Which of the run's networks: full, or a modality of --single-modalities.
        split: Which split.
        json: Print JSON instead of a table: seed -> scores.
    """

    run: tyro.conf.Positional[Path]
    corpus: str | None = None
    network: str = "full"
    split: Literal["train", "validation", "test"] = "test"
    json: bool = False


def main(command: Evaluate) -> None:
    """Checkpoint -> task -> scores."""
    checkpoints = open_checkpoints(command.run, command.network)
    config, known = checkpoints.config, checkpoints.corpus
    corpus = read_corpus(command.corpus or known["path"] or SYNTHETIC)
    if corpus.sha256 != known["sha256"]:
        raise InputError(
            f"the corpus {corpus.name} is not the one of the training (sha256 {corpus.sha256[:12]}... instead of"
            f" {known['sha256'][:12]}...): give the same file with --corpus"
        )
    task = prepare(corpus, config, checkpoints.standardizer)
    scores = {}
    for seed in checkpoints.seeds:
        params, epoch = load_weights(checkpoints, seed)
        scores[seed] = {"epoch": epoch, **evaluate_split(task, config, params, command.split)}
    if command.json:
        print(json.dumps(scores, indent=2))
        return
    rows = [
        [
            str(seed),
            str(one["epoch"]),
            *(f"{one[name]:.3f}" if name == "nll" else f"{100 * one[name]:.2f}" for name in SCALARS),
        ]
        for seed, one in scores.items()
    ]
    make_console().print(as_screen_table(["seed", "epoch", *SCALARS], rows))


if __name__ == "__main__":
    sys.exit(run_script("macsgr_jax.cli.evaluate", Evaluate, main))
