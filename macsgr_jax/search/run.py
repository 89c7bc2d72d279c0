"""Trains many settings and seeds, chooses a setting by the validation split, and reads the test split once."""

import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dataset import Layout, PreparedCorpus, layout_of, prepare
from macsgr_jax.errors import InputError
from macsgr_jax.files import replace_not_finite, write_json
from macsgr_jax.overrides import to_json
from macsgr_jax.runs.execution import (
    DEFAULT_EXECUTION,
    Execution,
    History,
    Spec,
    check_execution,
    train_network,
)
from macsgr_jax.runs.figures import draw_if_possible
from macsgr_jax.runs.folder import RESULTS_FILE, begin_folder, is_to_train, read_results, release_folder
from macsgr_jax.runs.health import Floor, find_collapse
from macsgr_jax.runs.progress import LOG_FILE, TENSORBOARD_FOLDER, EpochLog
from macsgr_jax.runs.results import describe_corpus
from macsgr_jax.runs.train import EvaluatedNetwork, describe_start, finish_network
from macsgr_jax.search.results import FinishedRun, assemble_sweep, choose_point, describe_points, write_table
from macsgr_jax.search.space import Point, configure_point
from macsgr_jax.training.devices import is_writer, wait_for_all
from macsgr_jax.training.loop import DivergenceError, group_configs, set_epochs

TABLE_FILE, FIGURE_FILE = "runs.csv", "sweep.png"
OUTPUTS = (TABLE_FILE, FIGURE_FILE, LOG_FILE, TENSORBOARD_FOLDER, "checkpoints")


class Group(NamedTuple):
    """Points that share a compilation and prepared data.

    Attributes:
        name: the name of the folder of their runs, while they are trained.
        points: the indices of the points.
        layout: the settings that their prepared data depend on.
    """

    name: str
    points: list[int]
    layout: Layout


def run_sweep(
    config: Config,
    points: Sequence[Point],
    corpus: Corpus,
    seeds: Sequence[int],
    out: Path,
    execution: Execution = DEFAULT_EXECUTION,
    *,
    select: str = "validation.waf1",
    corpus_path: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Trains every point with every seed, chooses a point, and writes table, results, weights and figure.

    Args:
        config: the configuration that the points start from.
        points: the settings to try, of `space.make_grid` or `space.draw_points`.
        corpus: the corpus.
        seeds: the seeds that each point is trained with.
        out: the folder of the sweep; docs/results.md describes its contents.
        execution: how the runs are trained; a run that diverges ranks last and does not stop the sweep.
        select: the validation score that chooses the point, by its mean over the seeds.
        corpus_path: the file of the corpus, for the description of the sweep; None where it was generated.
        resume: whether to resume an interrupted sweep in the folder; a finished one is read.
        overwrite: whether to replace the sweep in the folder.

    Returns:
        The contents of the results file.

    Raises:
        InputError: a setting, the corpus or the folder cannot be used.
        Interrupted: a stop was requested; everything up to it is saved.
        DivergenceError: every point diverged.
    """
    if not points or not seeds or min(seeds) < 0:
        raise InputError("a sweep needs at least one setting and one seed, and no seed below 0")
    configs = [configure_point(config, point) for point in points]
    prepared_corpora = {layout: prepare(corpus, layout) for layout in dict.fromkeys(map(layout_of, configs))}
    configs = [set_epochs(config, prepared_corpora[layout_of(config)]) for config in configs]
    groups = group_points(configs)
    identity = {
        "corpus_sha256": corpus.sha256,
        "seeds": list(seeds),
        "select": select,
        "points": list(points),
        "config": to_json(config),
    }
    if is_to_train(out, identity, resume, overwrite):
        check_execution(execution)
        begin_folder(out, identity, OUTPUTS, resume)
        describe_start(execution.console, prepared_corpora[groups[0].layout])
        quiet = dataclasses.replace(execution, stop_at_divergence=False, warn_of_collapse=False)
        sweep = _Sweep(configs, seeds, select, out, quiet)
        for group in groups:
            sweep.train_group(group, prepared_corpora[group.layout])
        if is_writer():
            chosen = choose_point(sweep.finished, select)
            prepared = prepared_corpora[layout_of(configs[chosen])]
            described = describe_corpus(prepared.corpus, corpus_path, out)
            group = next(group for group in groups if chosen in group.points)
            evaluated = sweep.finish_point(chosen, group, prepared, described)
            summary = describe_points(points, sweep.finished, select)
            write_table(out / TABLE_FILE, points, sweep.finished)
            results = assemble_sweep(described, identity, summary, evaluated.description["seeds"])
            write_json(out / RESULTS_FILE, replace_not_finite(results))
        wait_for_all("results written")
        release_folder(out)
    results = read_results(out)
    if is_writer():
        for group in groups:  # Also where the process that wrote the results was killed before this.
            shutil.rmtree(out / "checkpoints" / group.name, ignore_errors=True)
        draw_figure(out, results, execution)
    return results


def group_points(configs: Sequence[Config]) -> list[Group]:
    """Groups points that share a compilation, and so their prepared data, in the order of their first one."""
    groups = group_configs(configs)
    return [Group(f"group_{n}", points, layout_of(configs[points[0]])) for n, points in enumerate(groups)]


def train_points(
    prepared: PreparedCorpus,
    configs: Mapping[int, Config],
    seeds: Sequence[int],
    out: Path,
    name: str,
    execution: Execution,
    keep: Callable[[list[FinishedRun]], set[int]],
) -> list[FinishedRun]:
    """Trains points that share a compilation with all seeds; those that are finished are read instead.

    Args:
        prepared: the prepared corpus.
        configs: the index of each point -> its configuration.
        seeds: the seeds that each point is trained with.
        out: the folder of the search.
        name: the name of the folder of these runs in its checkpoints.
        execution: how the runs are trained.
        keep: called with the finished runs of these points, returns the points whose weights are kept.

    Returns:
        The runs.
    """
    owners = {_name_run(point, seed): (point, seed) for point in configs for seed in seeds}
    specs = [Spec(run, seed, configs[point]) for run, (point, seed) in owners.items()]

    def finish(pairs: Iterable[tuple[Spec, History]]) -> list[FinishedRun]:
        return [FinishedRun(*owners[spec.name], spec.config, history) for spec, history in pairs]

    def keep_runs(pairs: list[tuple[Spec, History]]) -> set[str]:
        kept = keep(finish(pairs))
        return {run for run, (point, _) in owners.items() if point in kept}

    log = EpochLog(out, name, execution.tensorboard)
    histories = train_network(prepared, specs, out / "checkpoints" / name, execution, log, name, keep_runs)
    floor = Floor(prepared)
    collapses = [
        find_collapse(history.terms, history.validation, spec.config, floor)
        for spec, history in zip(specs, histories, strict=True)
    ]
    finished = finish(zip(specs, histories, strict=True))
    return [
        dataclasses.replace(run, collapsed=collapse is not None)
        for run, collapse in zip(finished, collapses, strict=True)
    ]


class _Sweep:
    """A sweep that is being trained.

    Attributes:
        finished: the runs that are trained.
    """

    def __init__(
        self, configs: Sequence[Config], seeds: Sequence[int], select: str, out: Path, execution: Execution
    ) -> None:
        self.finished: list[FinishedRun] = []
        self._configs, self._seeds, self._select = configs, seeds, select
        self._folder, self._out, self._execution = out / "checkpoints", out, execution

    def train_group(self, group: Group, prepared: PreparedCorpus) -> None:
        """Trains the points of one group with all seeds."""
        before = list(self.finished)

        def keep(of_group: list[FinishedRun]) -> set[int]:
            """Returns the best point so far, and points whose seeds are not all trained."""
            finished = [*before, *of_group]
            trained = Counter(run.point for run in finished)
            complete = [run for run in finished if trained[run.point] == len(self._seeds)]
            best = {choose_point(complete, self._select)} if complete else set()
            return best | ({run.point for run in finished} - {run.point for run in complete})

        configs = {point: self._configs[point] for point in group.points}
        self.finished += train_points(prepared, configs, self._seeds, self._out, group.name, self._execution, keep)

    def finish_point(
        self, point: int, group: Group, prepared: PreparedCorpus, corpus_description: dict[str, Any]
    ) -> EvaluatedNetwork:
        """Evaluates and calibrates a point where `train_and_evaluate` would leave its weights.

        Raises:
            DivergenceError: a run of the point diverged.
        """
        runs = [run for run in self.finished if run.point == point]
        if not all(np.isfinite(run.score("nll")) for run in runs):
            raise DivergenceError("a run of every setting diverged: lower train.learning_rate, or set train.clip_norm")
        kept = self._folder / "full"
        shutil.rmtree(kept, ignore_errors=True)
        for run in runs:
            shutil.copytree(self._folder / group.name / _name_run(point, run.seed), kept / f"seed_{run.seed}")
        specs = [Spec(f"seed_{run.seed}", run.seed, run.config) for run in runs]
        return finish_network(prepared, specs, [run.history for run in runs], kept, corpus_description)


def draw_figure(out: Path, results: dict[str, Any], execution: Execution) -> None:
    """Draws the figure of a finished sweep if it is not there; without matplotlib a note is printed instead."""

    def draw(path: Path) -> None:
        from macsgr_jax.search.plots import plot_sweep

        plot_sweep(results["points"], results["select"], results["corpus"]["name"], path)

    draw_if_possible(out / FIGURE_FILE, draw, execution.console)


def _name_run(point: int, seed: int) -> str:
    return f"point_{point}_seed_{seed}"
