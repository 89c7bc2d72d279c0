"""The command `macsgr tune`."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from macsgr_jax.cli.common import configure
from macsgr_jax.cli.options import Selection, TrainingOptions, join_processes, make_execution
from macsgr_jax.errors import InputError
from macsgr_jax.limits import MAX_MINUTES, MAX_POINTS, MAX_SEED, MAX_SEEDS, check_option

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_POINTS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tune(TrainingOptions):
    """Search settings for a corpus by its validation split, and write them as a preset file for `--preset`.

    Settings are drawn at random; all are trained for a ninth of the preset's epochs, the best third for a third, and
    the best of those for as many as were drawn. Where the corpus has no validation split, training dialogues are held
    out. The test split is not read. The folder gets preset.json, results.json and log.csv.

    Attributes:
        file: The corpus; the same as --corpus.
        runs: Number of settings to draw; the first is the preset itself.
        minutes: Begin no further program once a round has used its share of this time. No limit by default.
        range: Draw from these instead of the default ranges: learning_rate=1e-4:1e-2:log, dropout=0.1:0.6 or
            window_past=5,10; may be repeated.
        random_seed: Seed of the random draw.
        seeds: Number of seeds that each setting is trained with: 0, 1, ...
        select: The validation score that chooses the setting, by its mean over the seeds.
    """

    file: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CORPUS")] = ""
    runs: int = 20
    minutes: float | None = None
    range: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=LOW:HIGH[:log]")] = ()
    random_seed: int = 0
    seeds: int = 1
    select: Selection = "validation.waf1"


def main(command: Tune) -> None:
    """Reads the corpus, searches, and prints the settings and where the preset is."""
    from macsgr_jax.runs.load import SYNTHETIC, read_corpus
    from macsgr_jax.search.tune import run_tune

    console = join_processes(command)
    if command.runs < 1 or command.seeds < 1:
        raise InputError("--runs and --seeds must be at least 1")
    minutes = math.inf if command.minutes is None else command.minutes
    if command.minutes is not None and not 0 < minutes <= MAX_MINUTES:
        raise InputError(f"--minutes must be above 0 and at most {MAX_MINUTES}, a year, and is {minutes:g}")
    check_option("--runs", command.runs, 1, MAX_POINTS)
    check_option("--seeds", command.seeds, 1, MAX_SEEDS)
    check_option("--random-seed", command.random_seed, 0, MAX_SEED)
    if command.file and command.corpus not in (SYNTHETIC, command.file):
        raise InputError(f"two corpora are given, {command.file} and --corpus {command.corpus}: give one of them")
    file = command.file or command.corpus
    config = configure(command.preset, command.set, command.features, command.epochs)
    corpus = read_corpus(file)
    with make_execution(command, console) as execution:
        results = run_tune(
            config,
            corpus,
            list(range(command.seeds)),
            command.out,
            execution,
            runs=command.runs,
            minutes=minutes,
            ranges=command.range,
            random_seed=command.random_seed,
            select=command.select,
            corpus_path=None if file == SYNTHETIC else Path(file),
            resume=command.resume,
            overwrite=command.overwrite,
        )
    show_rounds(console, results, file, command.out)


def show_rounds(console: "Console", results: dict[str, Any], corpus: str, out: Path) -> None:
    """Prints each setting at the longest training it got, the best first, and how to use the chosen one."""
    from macsgr_jax.runs.tables import HEADS, as_screen_table, show_score
    from macsgr_jax.search.tune import PRESET_FILE

    score = results["select"].removeprefix("validation.")
    shown: dict[int, dict[str, Any]] = {}
    for of_round in reversed(results["rounds"]):
        for point in of_round["points"]:
            shown.setdefault(point["point"], point)
    rows = [
        [
            "preset" if number == 0 else f"draw {number}",
            *point["setting"].values(),
            str(point["epochs"]),
            show_score(score, point["validation"][score], "diverged") + (", collapsed" if point["collapsed"] else ""),
        ]
        for number, point in shown.items()
    ]
    axes = [name.split(".")[1] for name in results["rounds"][0]["points"][0]["setting"]]
    console.print(as_screen_table(["setting", *axes, "trained", f"validation {HEADS[score]}"], rows[:SHOWN_POINTS]))
    chosen = results["chosen"]
    setting = ", ".join(f"{name}={value}" for name, value in chosen["setting"].items())
    text = f"chosen by {results['select']}, {show_score(score, chosen['validation'][score])}: {setting}"
    console.print(text, soft_wrap=True)
    preset = out / PRESET_FILE
    console.print(f"wrote {preset}: macsgr train --preset {preset} --corpus {corpus} --out ...", soft_wrap=True)
