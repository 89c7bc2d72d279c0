"""The command `macsgr sweep`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from macsgr_jax.cli.common import configure
from macsgr_jax.cli.options import Selection, TrainingOptions, join_processes, make_execution
from macsgr_jax.errors import InputError
from macsgr_jax.limits import MAX_POINTS, MAX_SEED, MAX_SEEDS, check_option

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_POINTS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(TrainingOptions):
    """Train every setting of a grid, or a random draw of settings, each with several seeds, many runs at once.

    Settings that are numbers of the losses or the optimiser (lambda, gammas, temperatures, offsets, learning rate,
    weight decay) share one program; any other value is compiled for itself. The folder gets results.json, runs.csv
    (one row per run and epoch), log.csv, sweep.png and checkpoints.

    Attributes:
        grid: An axis: lambda=0.1:0.9:0.1 (ends included) or window_past=5,10,20; may be repeated, for all combinations.
        random: Draw this many settings at random instead, from every --range.
        range: An axis of --random: learning_rate=1e-4:1e-2:log, dropout=0.1:0.6 or window_past=5,10; may be repeated.
        random_seed: Seed of the random draw.
        seeds: Number of seeds that each setting is trained with: 0, 1, ...
        select: The validation score that chooses the setting, by its mean over the seeds.
    """

    grid: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=VALUES")] = ()
    random: int = 0
    range: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=LOW:HIGH[:log]")] = ()
    random_seed: int = 0
    seeds: int = 1
    select: Selection = "validation.waf1"


def main(command: Sweep) -> None:
    """Reads the axes and the corpus, sweeps, and prints the best points."""
    from macsgr_jax.runs.load import SYNTHETIC, read_corpus
    from macsgr_jax.search.run import run_sweep
    from macsgr_jax.search.space import draw_points, make_grid

    console = join_processes(command)
    if command.seeds < 1:
        raise InputError("--seeds must be at least 1")
    check_option("--seeds", command.seeds, 1, MAX_SEEDS)
    check_option("--random", command.random, 0, MAX_POINTS)
    check_option("--random-seed", command.random_seed, 0, MAX_SEED)
    if bool(command.grid) == bool(command.random) or bool(command.range) != bool(command.random):
        raise InputError("give either one --grid or more, or --random N with one --range or more")
    config = configure(command.preset, command.set, command.features, command.epochs)
    if command.grid:
        points = make_grid(command.grid, config)
    else:
        points = draw_points(command.random, command.range, config, command.random_seed)
    corpus = read_corpus(command.corpus)
    with make_execution(command, console) as execution:
        results = run_sweep(
            config,
            points,
            corpus,
            list(range(command.seeds)),
            command.out,
            execution,
            select=command.select,
            corpus_path=None if command.corpus == SYNTHETIC else Path(command.corpus),
            resume=command.resume,
            overwrite=command.overwrite,
        )
    show_points(console, results, command.out)


def show_points(console: "Console", results: dict[str, Any], out: Path) -> None:
    """Prints the best points, and the test scores of the chosen one."""
    from macsgr_jax.runs.tables import HEADS, as_screen_table, count_of, show_score
    from macsgr_jax.search.run import OUTPUTS

    score = results["select"].removeprefix("validation.")
    ranked = sorted(results["points"], key=lambda point: point["rank"])[:SHOWN_POINTS]
    axes = list(results["points"][0]["setting"])
    shown = dict.fromkeys([score, "waf1", "waa"])
    rows = [
        [str(point["rank"]), *point["setting"].values()]
        + [show_score(name, point["validation"][name], "diverged") for name in shown]
        for point in ranked
    ]
    console.print(as_screen_table(["rank", *axes, *(f"validation {HEADS[name]}" for name in shown)], rows))
    collapsed = sum(point.get("collapsed", 0) for point in results["points"])
    if collapsed:
        console.print(f"{count_of(collapsed, 'run')} stopped learning: see `collapsed` of the points in results.json")
    chosen = results["chosen"]
    setting = ", ".join(f"{name}={value}" for name, value in chosen["setting"].items())
    console.print(
        f"chosen by {results['select']}: {setting}; its test WAF1 {show_score('waf1', chosen['test']['waf1'])}"
        f" over {count_of(len(chosen['test_by_seed']), 'seed')}",
        soft_wrap=True,
    )
    written = ["results.json", *(name for name in OUTPUTS if (out / name).exists())]
    console.print(f"wrote {out}: {', '.join(written)}", soft_wrap=True)
