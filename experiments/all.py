"""Makes every table and figure of results/ again, one script after the other; what is trained already is not again."""

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro

from macsgr_jax.cli.common import make_console, run_script
from macsgr_jax.errors import InputError
from macsgr_jax.runs.tables import count_of


@dataclasses.dataclass(frozen=True)
class Step:
    """One script of the results.

    Attributes:
        arguments: the script and its own options, such as tables --table 4.
        minutes: how long it takes on one core with ten seeds where the steps before it are done.
    """

    arguments: tuple[str, ...]
    minutes: float


STEPS = (
    Step(("tables", "--table", "1"), 12),
    Step(("tables", "--table", "2"), 8),
    Step(("tables", "--table", "3"), 1),
    Step(("tables", "--table", "4"), 130),
    Step(("tables", "--table", "5"), 40),
    Step(("baselines",), 30),
    Step(("ensemble",), 40),
    Step(("protocol", "--part", "refit"), 5),
    Step(("protocol", "--part", "selection"), 25),
    Step(("protocol", "--part", "sessions"), 100),
    Step(("protocol", "--part", "features"), 55),
    Step(("protocol", "--part", "leakage"), 20),
    Step(("robustness", "--part", "scenes"), 1),
    Step(("robustness", "--part", "noise"), 5),
    Step(("robustness", "--part", "trust"), 15),
    Step(("robustness", "--part", "missing"), 25),
    Step(("robustness", "--part", "calibration"), 5),
    Step(("robustness", "--part", "unlabelled"), 90),
    Step(("robustness", "--part", "gradients"), 30),
    Step(("robustness", "--part", "corpora"), 120),
    Step(("robustness", "--part", "dailydialog"), 30),
    Step(("ambiguities",), 280),
    Step(("figures", "--figure", "4"), 1),
    Step(("figures", "--figure", "5"), 140),
    Step(("figures", "--figure", "6"), 1),
    Step(("figures", "--figure", "7"), 15),
    Step(("figures", "--figure", "8"), 150),
)

Run = Callable[[Sequence[str]], int]


@dataclasses.dataclass(frozen=True)
class All:
    """Make every table and figure of the results again. The same command resumes.

    Attributes:
        corpora: Folder of the corpora (docs/corpus.md describes the format).
        runs: Folder of trained networks: a network in it is not trained again.
        results: Folder for the tables and figures and their numbers.
        seeds: Seeds per network: 0, 1, ...
        quick: Train one seed for two epochs, into folders of their own, to check that everything runs.
        only: Steps to make, by the beginnings of their names, separated by commas, such as tables,figures.
    """

    corpora: tyro.conf.Positional[Path]
    runs: Path = Path("runs/paper")
    results: Path = Path("results")
    seeds: int = 10
    quick: bool = False
    only: str = ""


def main(command: All) -> None:
    """Runs each script, then the report."""
    options = [
        *("--corpora", str(command.corpora), "--runs", str(command.runs), "--results", str(command.results)),
        *("--seeds", str(command.seeds), *(["--quick"] if command.quick else [])),
    ]
    code = run_steps(choose_steps(command.only), options, command.seeds / 10, run_module)
    if code == 0:
        code = run_module(["report", "--results", str(command.results)])
    if code:
        sys.exit(code)


def choose_steps(only: str) -> list[Step]:
    """Selects steps by the beginnings of their names.

    Raises:
        InputError: no step begins so.
    """
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    names = [" ".join(step.arguments) for step in STEPS]
    for name in wanted:
        if not any(known.startswith(name) for known in names):
            raise InputError(f"--only {name}: there is no such step; choose from {', '.join(names)}")
    return [step for step in STEPS if not wanted or " ".join(step.arguments).startswith(tuple(wanted))]


def run_steps(
    steps: Sequence[Step], options: Sequence[str], scale: float, run: Run, clock: Callable[[], float] = time.monotonic
) -> int:
    """Runs scripts one after the other, and prints before each what is left.

    Args:
        steps: the steps.
        options: the options that all of them have.
        scale: by which their times are multiplied, for another number of seeds.
        run: runs a script with its arguments; returns its exit code.
        clock: returns the time in seconds.

    Returns:
        0, or the exit code of the first script that failed or was stopped.
    """
    console = make_console()
    start, done, total = clock(), 0.0, sum(step.minutes for step in steps) * scale
    for number, step in enumerate(steps, 1):
        elapsed = (clock() - start) / 60
        # Steps whose networks are there already take next to nothing: the estimate is an upper bound.
        left = min(total - done, (total - done) * elapsed / done if done else total - done)
        name = " ".join(step.arguments)
        console.print(
            f"step {number} of {len(steps)}: {name} (at most {describe_minutes(left)} for"
            f" {count_of(len(steps) - number + 1, 'step')})",
            highlight=False,
            soft_wrap=True,
        )
        code = run([*step.arguments, *options])
        if code:
            console.print(f"{name} ended with exit code {code}: the same command resumes", highlight=False)
            return code
        done += step.minutes * scale
    return 0


def describe_minutes(minutes: float) -> str:
    """Returns a duration in minutes or hours."""
    return f"{minutes / 60:.1f} h" if minutes >= 60 else f"{max(minutes, 1):.0f} min"


def run_module(arguments: Sequence[str]) -> int:
    """Runs a script of this folder in a process of its own, so that its memory is given back."""
    script, *rest = arguments
    process: subprocess.CompletedProcess[Any] = subprocess.run(
        [sys.executable, "-m", f"experiments.{script}", *rest], check=False
    )
    return 128 - process.returncode if process.returncode < 0 else process.returncode


if __name__ == "__main__":
    sys.exit(run_script("experiments.all", All, main))
