"""The command `macsgr publish`."""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

from macsgr_jax.cli.common import make_console
from macsgr_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Publish:
    """Write the networks of a finished run as one self-contained folder: weights, settings, extractors and a card.

    `macsgr predict --model FOLDER` reads it, and so do the other commands that read a run. Several seeds are one
    ensemble, calibrated and scored as it is stored where the corpus is at hand. The folder holds no path of this
    machine and nothing that could run code.

    Attributes:
        run: The folder that was given to `macsgr train` or `macsgr sweep` as --out.
        folder: The folder to make.
        name: Name of the model; by default that of the folder.
        network: Which of the run's networks: full, or a modality of --single-modalities.
        seeds: Seeds of the ensemble, such as 0,1,2; by default all of the run.
        precision: Type in which the weights are stored.
        corpus: Where the corpus is now, if it has moved; scores and calibration need it.
        notes: A text file with a paragraph for the card, such as the terms of the corpus.
        overwrite: Replace an earlier published model.
    """

    run: tyro.conf.Positional[Path]
    folder: tyro.conf.Positional[Path]
    name: str = ""
    network: str = "full"
    seeds: str = ""
    precision: Literal["float16", "float32"] = "float16"
    corpus: str | None = None
    notes: Path | None = None
    overwrite: bool = False


def main(command: Publish) -> None:
    """Publishes, and prints the scores and the size."""
    from macsgr_jax.runs.load import read_corpus
    from macsgr_jax.runs.publish import publish_run
    from macsgr_jax.runs.tables import as_screen_table, count_of

    parts = [part.strip() for part in command.seeds.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--seeds {command.seeds}: write numbers separated by commas, such as 0,1,2")
    console = make_console()
    description = publish_run(
        command.run,
        command.folder,
        name=command.name,
        network=command.network,
        seeds=[int(part) for part in parts] or None,
        precision=command.precision,
        corpus=None if command.corpus is None else read_corpus(command.corpus),
        notes=_read_notes(command.notes),
        overwrite=command.overwrite,
        on_notice=lambda notice: console.print(f"note: {notice}", soft_wrap=True),
    )
    if description.scores:
        console.print(as_screen_table(*score_table(description.scores)))
    size = sum(path.stat().st_size for path in command.folder.iterdir())
    seeds = count_of(len(description.seeds), "seed")
    console.print(f"wrote {command.folder}: {seeds}, {size / 1e6:.1f} MB", soft_wrap=True)


def score_table(scores: dict[str, dict[str, float]]) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the table of a model's scores: one row per split, with and without context."""
    from macsgr_jax.runs.tables import HEADS, NOT_PERCENT

    rows = [
        [split, *(f"{values[name]:.3f}" if name in NOT_PERCENT else f"{100 * values[name]:.1f}" for name in HEADS)]
        for split, values in scores.items()
    ]
    return ["split", *HEADS.values()], rows


def _read_notes(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--notes {path} cannot be read as UTF-8 text ({error}): check the path") from None
