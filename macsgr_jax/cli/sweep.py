"""Train many settings and seeds as one program, choose by the validation split, and read the test split once."""

import dataclasses
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from macsgr_jax.cli.common import configure, describe_settings, make_console, run_script
from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_json
from macsgr_jax.overrides import to_json
from macsgr_jax.runs.corpora import SYNTHETIC, read_corpus
from macsgr_jax.runs.evaluate import evaluate_split
from macsgr_jax.runs.execution import Execution, History, Spec, train_network
from macsgr_jax.runs.folder import RESULTS_FILE, open_folder
from macsgr_jax.runs.interruption import StopRequests
from macsgr_jax.runs.planning import TrainingOptions, plan_execution
from macsgr_jax.runs.results import describe_corpus
from macsgr_jax.runs.tables import HEADS, as_screen_table, show_score
from macsgr_jax.search.plots import plot_sweep
from macsgr_jax.search.results import Finished, assemble_sweep, choose_point, describe_points, write_table
from macsgr_jax.search.space import Point, configure_point, draw_points, make_grid
from macsgr_jax.training.checkpoint import load_params, save_description
from macsgr_jax.training.devices import is_writer, start_processes
from macsgr_jax.training.loop import group_configs

OUTPUTS = ("runs.csv", "sweep.png", "checkpoints")
SHOWN_POINTS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(TrainingOptions):
    """Train every setting of a grid, or a random draw of settings, each with several seeds, many runs at once.

    Settings that are numbers of the losses or the optimiser (lambda, gammas, temperatures, offsets, learning rate,
    weight decay) share one program; any other value is compiled for itself. The folder gets results.json, runs.csv
    (a row a run and epoch), sweep.png and checkpoints.

    Attributes:
        grid: An axis: lambda=0.1:0.9:0.1 (ends included) or window_past=5,10,20; may be repeated, for all combinations.
        random: Draw this many settings at random instead, from every --range.
        range: An axis of --random: learning_rate=1e-4:1e-2:log, dropout=0.1:0.6 or window_past=5,10; may be repeated.
        random_seed: Of that draw.
        seeds: How many seeds each setting is trained with: 0, 1, ...
        select: The validation score that chooses the setting, by its mean over the seeds.
    """

    grid: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=VALUES")] = ()
    random: int = 0
    range: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=LOW:HIGH[:log]")] = ()
    random_seed: int = 0
    seeds: int = 1
    select: Literal[
        "validation.waa", "validation.waf1", "validation.macro_f1", "validation.uar", "validation.nll", "validation.ece"
    ] = "validation.waf1"


def main(command: Sweep) -> None:
    """Corpus -> points -> groups of one compilation -> runs -> table, choice, picture."""
    if command.distributed:
        start_processes(command.distributed)
    console = make_console()
    base, points = choose_points(command)
    corpus = read_corpus(command.corpus)
    configs = [configure_point(base, point) for point in points]
    description = describe_corpus(corpus, None if command.corpus == SYNTHETIC else Path(command.corpus))
    groups = group_configs(configs)
    prepared_corpora = prepare_tasks(corpus, configs)
    with StopRequests() as stop:
        first = configs[0]
        execution = plan_execution(
            command, console, stop, prepared_corpora[_data_of(first)], first, stop_at_divergence=False
        )
        identity = {
            "corpus_sha256": corpus.sha256,
            "seeds": command.seeds,
            "select": command.select,
            "points": points,
            "config": to_json(base),
            "runs_at_once": execution.runs_at_once,
            "devices": dict(execution.mesh.shape),
        }
        if not open_folder(command.out, identity, OUTPUTS, command.resume, command.overwrite):
            show(console, json.loads((command.out / RESULTS_FILE).read_text(encoding="utf-8")), command.out)
            return
        finished: list[Finished] = []
        for number, group in enumerate(groups):
            folder = command.out / "checkpoints" / f"group_{number}"
            finished += train_group(command, prepared_corpora, configs, group, folder, execution, finished)
    if is_writer():
        chosen = choose_point(finished, command.select)
        trained = command.out / "checkpoints" / f"group_{[chosen in group for group in groups].index(True)}"
        prepared = prepared_corpora[_data_of(configs[chosen])]
        kept = keep_weights(command.out, trained, chosen, command.seeds, configs[chosen], prepared, description)
        summary = describe_points(points, finished, command.select)
        test = [evaluate_test(prepared, configs[chosen], kept, seed) for seed in range(command.seeds)]
        results = assemble_sweep(description, identity, summary, test)
        write_table(command.out / "runs.csv", points, finished)
        plot_sweep(summary, command.select, corpus.name, command.out / "sweep.png")
        write_json(command.out / RESULTS_FILE, results)
        for number in range(len(groups)):
            shutil.rmtree(command.out / "checkpoints" / f"group_{number}", ignore_errors=True)
        show(console, results, command.out)


def choose_points(command: Sweep) -> tuple[Config, list[Point]]:
    """The configuration that the points start from, and the points.

    Raises:
        InputError: the axes cannot be read, contradict each other, or there are none.
    """
    if command.seeds < 1:
        raise InputError("--seeds must be at least 1")
    if bool(command.grid) == bool(command.random) or bool(command.range) != bool(command.random):
        raise InputError("give either one --grid or more, or --random N with one --range or more")
    base = configure(command.preset, command.set, command.features, command.epochs)
    if command.grid:
        return base, make_grid(command.grid, base)
    return base, draw_points(command.random, command.range, base, command.random_seed)


def prepare_tasks(corpus: Corpus, configs: list[Config]) -> dict[Any, PreparedCorpus]:
    """A prepared for each way to lay out the corpus."""
    prepared_corpora: dict[Any, PreparedCorpus] = {}
    for config in configs:
        if _data_of(config) not in prepared_corpora:
            prepared_corpora[_data_of(config)] = prepare(corpus, config)
    return prepared_corpora


def train_group(
    command: Sweep,
    prepared_corpora: dict[Any, PreparedCorpus],
    configs: list[Config],
    group: list[int],
    folder: Path,
    execution: Execution,
    before: list[Finished],
) -> list[Finished]:
    """Train the points of one compilation with all their seeds."""
    prepared = prepared_corpora[_data_of(configs[group[0]])]
    owners = {name_run(point, seed): (point, seed) for point in group for seed in range(command.seeds)}
    specs = [Spec(name, seed, configs[point]) for name, (point, seed) in owners.items()]

    def finish(pairs: list[tuple[Spec, History]]) -> list[Finished]:
        return [Finished(*owners[spec.name], spec.config, history) for spec, history in pairs]

    def keep(pairs: list[tuple[Spec, History]]) -> set[str]:
        """The weights of the best point so far, and of a point whose seeds are not all trained."""
        done = [*before, *finish(pairs)]
        trained = Counter(one.point for one in done)
        complete = [one for one in done if trained[one.point] == command.seeds]
        best = {choose_point(complete, command.select)} if complete else set()
        open_points = {one.point for one in done} - {one.point for one in complete}
        return {name for name, (point, _) in owners.items() if point in best | open_points}

    histories = train_network(prepared, specs, folder, execution, folder.name, keep)
    return finish(list(zip(specs, histories, strict=True)))


def keep_weights(
    out: Path, trained: Path, point: int, seeds: int, config: Config, prepared: PreparedCorpus, corpus: dict[str, Any]
) -> Path:
    """The weights of the chosen point where macsgr_jax.cli.train would leave them, for macsgr_jax.cli.evaluate."""
    kept = out / "checkpoints" / "full"
    shutil.rmtree(kept, ignore_errors=True)
    save_description(
        kept, {"corpus": corpus, "config": to_json(config)}, prepared.standardizer, prepared.corpus.extractors
    )
    for seed in range(seeds):
        shutil.copytree(trained / name_run(point, seed), kept / f"seed_{seed}")
    return kept


def evaluate_test(prepared: PreparedCorpus, config: Config, kept: Path, seed: int) -> dict[str, Any]:
    """Test scores of one seed of the chosen point."""
    params, epoch = load_params(kept / f"seed_{seed}", config.train.checkpoint)
    return {"seed": seed, "epoch": epoch, **evaluate_split(prepared, config, params, "test")}


def name_run(point: int, seed: int) -> str:
    """The folder of a run's weights."""
    return f"point_{point}_seed_{seed}"


def show(console: Console, results: dict[str, Any], out: Path) -> None:
    """The best points and the chosen one's test scores on the screen."""
    score = results["select"].removeprefix("validation.")
    ranked = sorted(results["points"], key=lambda point: point["rank"])[:SHOWN_POINTS]
    axes = list(results["points"][0]["setting"])
    shown = dict.fromkeys([score, "waf1", "waa"])
    rows = [
        [str(point["rank"]), *point["setting"].values()]
        + [show_score(name, point["validation"][name]) for name in shown]
        for point in ranked
    ]
    console.print(as_screen_table(["rank", *axes, *(f"validation {HEADS[name]}" for name in shown)], rows))
    test = results["chosen"]["test"]["waf1"]
    setting = ", ".join(f"{name}={value}" for name, value in results["chosen"]["setting"].items())
    console.print(
        f"chosen by {results['select']}: {setting}; its test WAF1 {100 * test['mean']:.1f} ± {100 * test['std']:.1f}"
        f" over {len(results['chosen']['test_by_seed'])} seeds",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"wrote {out}: {RESULTS_FILE}, {', '.join(OUTPUTS)}", highlight=False, soft_wrap=True)


def _data_of(config: Config) -> Any:
    """What a prepared depends on."""
    return config.data, config.train.dialogues_per_step


if __name__ == "__main__":
    sys.exit(run_script("macsgr_jax.cli.sweep", Sweep, main, help_ending=describe_settings()))
