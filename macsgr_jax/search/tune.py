"""Finds settings for a corpus: a random search over a few settings, by successive halving over epochs.

Settings are drawn as recipes, of what is compiled, times draws, of what a program traces: so many runs share few
programs. All are trained for the same few epochs, each with its whole schedule; the best third is trained again for
three times as many, and the best of those for as many as they say themselves. The configuration that the search starts
from takes part in every round, so that what is chosen is compared with it. The test split is not read.
"""

import dataclasses
import functools
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from macsgr_jax import __version__
from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dataset import Layout, PreparedCorpus, layout_of, prepare
from macsgr_jax.errors import InputError
from macsgr_jax.files import replace_not_finite, write_json
from macsgr_jax.overrides import override, to_json
from macsgr_jax.runs.execution import DEFAULT_EXECUTION, Execution, check_execution, choose_runs_at_once
from macsgr_jax.runs.folder import RESULTS_FILE, begin_folder, is_to_train, read_results, release_folder
from macsgr_jax.runs.progress import LOG_FILE, TENSORBOARD_FOLDER
from macsgr_jax.runs.results import describe_command, describe_corpus, describe_machine
from macsgr_jax.runs.tables import count_of
from macsgr_jax.runs.train import describe_start
from macsgr_jax.search.results import FinishedRun, describe_points
from macsgr_jax.search.run import group_points, train_points
from macsgr_jax.search.space import Point, configure_point, draw_points, find_setting
from macsgr_jax.training.devices import agree, is_writer, wait_for_all
from macsgr_jax.training.loop import DivergenceError, set_epochs

SCHEMA = "macsgr_jax.tune/1"
PRESET_FILE = "preset.json"
OUTPUTS = (PRESET_FILE, LOG_FILE, TENSORBOARD_FOLDER, "checkpoints")
RANGES = (
    "train.learning_rate=5e-4:6e-3:log",
    "loss.lambda_alignment=0.05:1",
    "train.clip_norm=0.2,1,5",
    "train.warmup_epochs=0,3",
    "model.dropout=0.3,0.5",
    "loss.class_balance=0,0.3",
)
EPOCH_FACTORS = (0.5, 1, 1.5)  # train.epochs is drawn from these times that of the configuration.
KEPT = 3  # One in so many points is trained on, for so many times the epochs.
MAX_ROUNDS = 3
MIN_EPOCHS = 3  # The first round is not shorter.


def default_ranges(config: Config) -> list[str]:
    """Returns the ranges that `run_tune` draws from where none are given."""
    epochs = sorted({max(1, round(factor * config.train.epochs)) for factor in EPOCH_FACTORS})
    return [*RANGES, f"train.epochs={','.join(map(str, epochs))}"]


def draw_recipes(runs: int, ranges: Sequence[str], config: Config, seed: int) -> list[Point]:
    """Draws points such that a few programs train many of them; the first one is the configuration itself.

    Args:
        runs: the number of points.
        ranges: ranges as `space.draw_points` reads them.
        config: the configuration that the points start from.
        seed: the seed of the random draw.

    Returns:
        The points; each names every setting of the ranges.

    Raises:
        InputError: a range cannot be read.
    """
    names = {text: find_setting(text.partition("=")[0].strip(), config) for text in ranges}
    own: Point = {name: _show(config, name) for name in names.values()}
    traced = [text for text, name in names.items() if _is_traced(config, name)]
    static = [text for text in ranges if text not in traced]
    number = math.ceil(math.sqrt(runs))
    # Of the first recipe the static settings are those of the configuration.
    recipes = [{}, *draw_points(number - 1, static, config, seed)]
    draws = [{}, *draw_points(runs - 1, traced, config, seed + 1)]
    return [{**own, **recipes[index % number], **draws[index]} for index in range(runs)]


def plan_rounds(runs: int, epochs: int) -> list[float]:
    """Returns the fraction of the epochs that each round trains its points for; the last is 1."""
    rounds = 1
    while rounds < MAX_ROUNDS and runs >= KEPT**rounds and epochs >= MIN_EPOCHS * KEPT**rounds:
        rounds += 1
    return [1 / KEPT**left for left in reversed(range(rounds))]


def run_tune(
    config: Config,
    corpus: Corpus,
    seeds: Sequence[int],
    out: Path,
    execution: Execution = DEFAULT_EXECUTION,
    *,
    runs: int = 20,
    minutes: float = math.inf,
    ranges: Sequence[str] = (),
    random_seed: int = 0,
    select: str = "validation.waf1",
    corpus_path: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Searches settings for a corpus, and writes the results and the chosen configuration as a preset.

    Args:
        config: the configuration that the points start from; it is the first of them.
        corpus: the corpus; training dialogues are held out where it has no validation split.
        seeds: the seeds that each point is trained with.
        out: the folder of the search; docs/results.md describes its contents.
        execution: how the runs are trained; a run that diverges ranks last.
        runs: the number of points.
        minutes: each round begins no further program after its share of this time; the first program is always trained.
        ranges: the ranges to draw from; by default `default_ranges`.
        random_seed: the seed of the random draw.
        select: the validation score that ranks the points, by its mean over the seeds.
        corpus_path: the file of the corpus, for the description; None where it was generated.
        resume: whether to resume an interrupted search in the folder; a finished one is read.
        overwrite: whether to replace the search in the folder.
        clock: returns the time in seconds.

    Returns:
        The contents of the results file.

    Raises:
        InputError: a setting, the corpus or the folder cannot be used.
        Interrupted: a stop was requested; everything up to it is saved.
        DivergenceError: every point diverged.
    """
    if runs < 1 or not seeds or min(seeds) < 0 or not minutes > 0:
        raise InputError("a search needs at least one run and one seed, no seed below 0, and some minutes")
    config = set_epochs(config, prepare(corpus, layout_of(config)))
    points = draw_recipes(runs, ranges or default_ranges(config), config, random_seed)
    configs = [configure_point(config, point) for point in points]
    prepared_corpora = {layout: prepare(corpus, layout) for layout in dict.fromkeys(map(layout_of, configs))}
    identity = {
        "corpus_sha256": corpus.sha256,
        "seeds": list(seeds),
        "select": select,
        "points": points,
        "config": to_json(config),
        "kind": "search",
    }
    if is_to_train(out, identity, resume, overwrite):
        check_execution(execution)
        begin_folder(out, identity, OUTPUTS, resume)
        first = prepared_corpora[layout_of(configs[0])]
        describe_start(execution.console, first)
        tuning = _Tuning(points, configs, prepared_corpora, seeds, select, out, execution)
        start, fractions = clock(), plan_rounds(runs, config.train.epochs)
        remaining = list(range(runs))
        for number, fraction in enumerate(fractions, start=1):
            deadline = start + 60 * minutes * number / len(fractions)
            remaining = tuning.train_round(remaining, number, fraction, functools.partial(_is_past, clock, deadline))
        if is_writer():
            chosen = tuning.rounds[-1]["points"][0]
            fraction = tuning.rounds[-1]["fraction"]
            chosen_config = to_json(shorten_training(configs[chosen["point"]], fraction, config.train.epochs))
            write_json(out / PRESET_FILE, chosen_config)
            write_json(
                out / RESULTS_FILE,
                replace_not_finite(
                    {
                        "schema": SCHEMA,
                        "version": __version__,
                        "command": describe_command(),
                        "corpus": describe_corpus(first.corpus, corpus_path, out),
                        **describe_machine(),
                        "seeds": len(seeds),
                        "select": select,
                        "config": to_json(config),
                        "rounds": tuning.rounds,
                        "chosen": {**chosen, "config": chosen_config},
                    }
                ),
            )
        wait_for_all("results written")
        release_folder(out)
    results = read_results(out)
    if is_writer():  # Also where the process that wrote the results was killed before this.
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return results


def shorten_training(config: Config, fraction: float, whole: int) -> Config:
    """Returns the configuration of a point in a round.

    Args:
        config: the configuration of the point.
        fraction: the fraction of the epochs; at 1 the point is trained for its own.
        whole: the epochs of which it is a fraction: the same for all points, so that none wins by its length.

    Returns:
        The configuration, its warm-up being the same part of its training.
    """
    if fraction == 1:
        return config
    epochs = max(1, round(whole * fraction))
    warmup = config.train.warmup_epochs * epochs / config.train.epochs
    return override(config, [f"train.epochs={epochs}", f"train.warmup_epochs={warmup:g}"])


class _Tuning:
    """A search that is being trained.

    Attributes:
        rounds: the rounds so far, as the results file has them.
    """

    def __init__(
        self,
        points: Sequence[Point],
        configs: Sequence[Config],
        prepared_corpora: Mapping[Layout, PreparedCorpus],
        seeds: Sequence[int],
        select: str,
        out: Path,
        execution: Execution,
    ) -> None:
        self.rounds: list[dict[str, Any]] = []
        self._points, self._configs, self._prepared_corpora = points, configs, prepared_corpora
        self._seeds, self._select, self._out = seeds, select, out
        self._console = execution.console
        self._execution = dataclasses.replace(
            execution,
            stop_at_divergence=False,
            warn_of_collapse=False,
            # A bar for each program; where there is none, one line for each when it is trained.
            console=execution.console if execution.console.is_terminal else Console(quiet=True),
        )

    def train_round(
        self, remaining: Sequence[int], number: int, fraction: float, is_over: Callable[[], bool]
    ) -> list[int]:
        """Trains the points that remain, the best first, while there is time.

        Args:
            remaining: the indices of the points.
            number: the number of the round, from 1.
            fraction: the fraction of the first point's epochs that each is trained for; at 1 each has its own.
            is_over: returns whether the time of the round is used up.

        Returns:
            The points to train on: the best of those that were trained, and the configuration itself.

        Raises:
            DivergenceError: every point diverged.
        """
        whole = self._configs[0].train.epochs
        configs = {point: shorten_training(self._configs[point], fraction, whole) for point in remaining}
        finished: list[FinishedRun] = []
        print_line = functools.partial(self._console.print, soft_wrap=True, highlight=False)
        for name, of_piece in self._list_pieces(configs, number):
            if (self.rounds or finished) and agree(is_over()):
                left = len(configs) - len({run.point for run in finished})
                print_line(f"round {number}: no time is left for {count_of(left, 'setting')}")
                break
            prepared = self._prepared_corpora[layout_of(next(iter(of_piece.values())))]
            trained = train_points(
                prepared, of_piece, self._seeds, self._out, name, self._execution, keep=lambda _: set()
            )
            finished += trained
            done = len({run.point for run in finished})
            score = self._select.removeprefix("validation.")
            scores = ", ".join(f"{run.score(score):.4f}" for run in trained)
            print_line(
                f"round {number}: {done} of {count_of(len(configs), 'setting')} trained; {self._select} {scores}"
            )
        if not finished:
            return list(remaining)
        described = _describe_round(configs, self._points, finished, self._select)
        best = described[0]["validation"][self._select.removeprefix("validation.")]["mean"]
        if best is None:
            raise DivergenceError("a run of every setting diverged: give a range of lower learning rates")
        self.rounds.append({"fraction": fraction, "points": described})
        ranked = [point["point"] for point in described]
        print_line(f"round {number}: best {self._select} of {count_of(len(ranked), 'setting')} {best:.4f}")
        kept = ranked[: max(1, len(remaining) // KEPT)]
        return kept if 0 in kept or 0 not in ranked else [*kept, 0]

    def _list_pieces(self, configs: Mapping[int, Config], number: int) -> Iterator[tuple[str, dict[int, Config]]]:
        """Yields what is trained between two looks at the clock: the points of one program.

        Args:
            configs: the index of each point -> its configuration, the best first.
            number: the number of the round.

        Yields:
            The name of the folder of the runs, and the points with their configurations.
        """
        order = list(configs)
        mesh = check_execution(self._execution)
        for group in group_points(list(configs.values())):
            config = configs[order[group.points[0]]]
            prepared = self._prepared_corpora[group.layout]
            size = max(1, choose_runs_at_once(self._execution, mesh, prepared, config) // len(self._seeds))
            for first in range(0, len(group.points), size):
                chosen = [order[index] for index in group.points[first : first + size]]
                yield f"round_{number}_point_{chosen[0]}", {point: configs[point] for point in chosen}


def _is_past(clock: Callable[[], float], deadline: float) -> bool:
    return clock() > deadline


def _describe_round(
    configs: Mapping[int, Config], points: Sequence[Point], finished: Sequence[FinishedRun], select: str
) -> list[dict[str, Any]]:
    """Returns the points of a round from the best to the worst, as `results.describe_points` has them."""
    trained = sorted({run.point for run in finished})
    renumbered = [dataclasses.replace(run, point=trained.index(run.point)) for run in finished]
    described = describe_points([points[point] for point in trained], renumbered, select)
    for point, description in zip(trained, described, strict=True):
        description["point"], description["epochs"] = point, configs[point].train.epochs
    return sorted(described, key=lambda description: int(description["rank"]))


def _show(config: Config, name: str) -> str:
    """Returns the value of a setting as --set writes it."""
    section, field = name.split(".")
    value = getattr(getattr(config, section), field)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_traced(config: Config, name: str) -> bool:
    """Returns whether runs that differ in a setting share a program."""
    section, field = name.split(".")
    fields = {one.name: one for one in dataclasses.fields(getattr(config, section))}
    return bool(fields[field].metadata.get("traced", False))
