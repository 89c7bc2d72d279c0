"""Measures training, inference and what a person waits for, and compares with a plain PyTorch program."""

import dataclasses
import importlib.metadata
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro
from jax.experimental.compilation_cache import compilation_cache
from rich.console import Console

from experiments.benchmark.corpus_shapes import SHAPES, Shape, make_corpus
from experiments.benchmark.formatting import SCALE_HEAD, scale_row, speed_rows
from experiments.benchmark.memory import default_limit
from experiments.benchmark.scaling import FULL, QUICK, Scale, make_points
from experiments.benchmark.throughput import configure, measure_speed, require_torch
from experiments.benchmark.waiting import FULL as FULL_SIZES
from experiments.benchmark.waiting import QUICK as QUICK_SIZES
from experiments.benchmark.waiting import measure_prediction, measure_start, measure_streaming, waiting_rows
from macsgr_jax.cli.common import describe_settings, make_console, run_script
from macsgr_jax.config import Config
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_json
from macsgr_jax.overrides import to_json
from macsgr_jax.runs.results import describe_command, describe_machine
from macsgr_jax.runs.tables import as_screen_table, count_of

SCHEMA = "macsgr_jax.benchmark/1"
# On an idle machine other programs keep fewer cores busy.
MAX_OTHER_CORES = 0.2
Part = Literal["speed", "streaming", "prediction", "start"]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Measure training, inference and what a person waits for, or time and memory against dialogue length and corpus.

    Attributes:
        parts: What to measure: training and inference (speed), a stream, a folder of conversations, starting commands.
        run: The folder of a run on the example corpus, whose predictions of the example are then part of start.
        shape: Train on noise in the shape of this corpus; the time does not depend on the values of the features.
        corpus: Train on this .npz file instead (docs/corpus.md describes the format).
        peer: Also measure the same network in PyTorch, in turns with ours, and report the ratio. Needs torch.
        rounds: Measured epochs of each, after one to warm up.
        scale: Measure time and memory against dialogue length, batch and corpus instead, in the features of the shape.
        quick: A small form, to check in a minute that everything runs; its figures mean nothing.
        memory_limit: Maximum GiB of a point of --scale; by default half the memory of the accelerator or the machine.
        json: Also write the figures into this file.
        set: Replace one setting of the default preset, as listed below; may be repeated.
    """

    parts: tuple[Part, ...] = ("speed", "streaming", "prediction", "start")
    run: Path | None = None
    shape: Literal["iemocap", "meld", "mosei"] = "iemocap"
    corpus: Path | None = None
    peer: bool = False
    rounds: int = 7
    scale: bool = False
    quick: bool = False
    memory_limit: float | None = None
    json: Path | None = None
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=VALUE")] = ()


def main(command: Benchmark) -> None:
    """Measures, prints the figures, and writes them."""
    check(command)
    console = make_console()
    config = configure(command.set)
    with without_compilation_cache():
        measured = measure_scale(command, config, console) if command.scale else measure_parts(command, config, console)
    if command.json is not None:
        machine = describe_machine()
        if command.peer:
            machine["versions"]["torch"] = importlib.metadata.version("torch")
        described = {"schema": SCHEMA, "command": describe_command(), **machine, "config": to_json(config)}
        write_json(command.json, {**described, **measured})
        console.print(f"wrote {command.json}", highlight=False, soft_wrap=True)


def check(command: Benchmark) -> None:
    """Raises InputError for options that would fail after minutes."""
    if command.rounds < 1:
        raise InputError("--rounds must be at least 1")
    if command.scale and (command.peer or command.corpus):
        raise InputError("--scale measures our network on noise: leave out --peer and --corpus")
    if command.memory_limit is not None and not command.scale:
        raise InputError("--memory-limit is for the points of --scale: give both or neither")
    if command.peer:
        require_torch()
    if command.json is not None and not command.json.parent.is_dir():
        raise InputError(f"--json {command.json}: there is no folder {command.json.parent}")


def measure_parts(command: Benchmark, config: Config, console: Console) -> dict[str, Any]:
    """Measures the parts that are asked for, and prints their figures."""
    sizes, shape = QUICK_SIZES if command.quick else FULL_SIZES, SHAPES[command.shape]
    measured: dict[str, Any] = {"corpus": command.corpus and str(command.corpus), "shape": command.shape}
    if "speed" in command.parts:
        measured["speed"] = measure_training(command, config, console)
    if "streaming" in command.parts:
        measured["streaming"] = measure_streaming(shape, config.model, sizes)
    if "prediction" in command.parts:
        measured["prediction"] = measure_prediction(shape, config.model, sizes)
    if "start" in command.parts:
        measured["start"] = measure_start(command.run, sizes.rounds)
    if set(command.parts) - {"speed"}:
        console.print(as_screen_table(*waiting_rows(measured)))
    return measured


def measure_training(command: Benchmark, config: Config, console: Console) -> dict[str, Any]:
    """Measures training and inference, with the peer if that is asked for."""
    corpus = make_corpus(choose_shape(command)) if command.corpus is None else load_corpus(command.corpus)
    prepared = prepare(corpus, config)
    console.print(describe_prepared(prepared), highlight=False)
    measured = measure_speed(prepared, config, 1 if command.quick else command.rounds, command.peer)
    console.print(as_screen_table(*speed_rows(measured)))
    others = measured["cores_of_others"]
    if others is not None and others > MAX_OTHER_CORES:
        console.print(
            f"note: other programs kept {others:.1f} cores busy meanwhile, which slows PyTorch down more than JAX:"
            " the ratio of this run is not valid",
            highlight=False,
        )
    return measured


def measure_scale(command: Benchmark, config: Config, console: Console) -> dict[str, Any]:
    """Measures the scale curve, and prints one line per point as soon as it is measured."""
    shape, axes = SHAPES[command.shape], QUICK if command.quick else FULL
    limit = default_limit() if command.memory_limit is None else int(command.memory_limit * 2**30)
    scale = Scale(shape, config, limit, axes.rounds)
    points = []
    for point in make_points(axes, shape):
        points.append(scale.measure(point))
        console.print("  ".join(scale_row(points[-1])).rstrip(), highlight=False)
    console.print(as_screen_table(SCALE_HEAD, [scale_row(point) for point in points]))
    return {"shape": command.shape, "memory_limit_bytes": limit, "scale": points}


def choose_shape(command: Benchmark) -> Shape:
    """Returns the shape, with few dialogues in the quick form."""
    shape = SHAPES[command.shape]
    return dataclasses.replace(shape, dialogues=(8, 2, 2)) if command.quick else shape


def describe_prepared(prepared: PreparedCorpus) -> str:
    """Describes the training split and its rows in one line."""
    lengths = prepared.corpus.lengths[prepared.corpus.dialogues_of("train")]
    sizes = ", ".join(f"{name} {values.shape[1]}" for name, values in sorted(prepared.utterances.features.items()))
    steps, rows = count_of(prepared.steps_per_epoch, "step"), count_of(prepared.rows_per_step, "row")
    return (
        f"{len(lengths)} training dialogues of {lengths.min()} to {lengths.max()}, on average {lengths.mean():.1f}"
        f" utterances; {sizes}; {steps} of {rows} of {count_of(prepared.slots, 'slot')}"
    )


@contextmanager
def without_compilation_cache() -> Iterator[None]:
    """Disables the compilation cache, so that compilation takes as long as at the first start."""
    before = getattr(jax.config, "jax_enable_compilation_cache", True)
    # JAX looks at the setting at the first compilation alone, unless the cache is reset.
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


if __name__ == "__main__":
    sys.exit(run_script("experiments.benchmark", Benchmark, main, help_ending=describe_settings()))
