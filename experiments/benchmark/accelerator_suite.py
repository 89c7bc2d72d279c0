"""Measurements of accelerator_suite.sh: what a machine's accelerator makes of runs, sizes, precisions and streams."""

import dataclasses
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from experiments.benchmark.corpus_shapes import SHAPES, Shape, fill_corpus, make_corpus
from experiments.benchmark.forms import measure_forms
from experiments.benchmark.throughput import configure
from experiments.benchmark.waiting import FULL, QUICK, Sizes, measure_streaming, waiting_rows
from macsgr_jax.cli.common import make_console, run_script
from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.files import write_json
from macsgr_jax.overrides import override
from macsgr_jax.runs.execution import count_fitting_runs
from macsgr_jax.runs.results import describe_command, describe_machine
from macsgr_jax.runs.tables import as_markdown_table
from macsgr_jax.search.space import configure_point, make_grid
from macsgr_jax.training.loop import train_runs

PAPERS_GRID = tuple(f"gamma_{name}=0.1:1:0.1" for name in ("instance", "prototype", "latent"))


@dataclasses.dataclass(frozen=True)
class Suite:
    """Measure seeds, the paper's grid, runs at once, lengths, precisions, forms and streams on an accelerator.

    The JSON file is written again after each part, so that what was measured is kept if time runs out.

    Attributes:
        out: The JSON file to write.
        shape: Train on noise in the shape of this corpus; the time does not depend on the values of the features.
        small: A small form, to check in two minutes on a CPU that everything runs; its figures mean nothing.
    """

    out: Path
    shape: Literal["iemocap", "meld"] = "iemocap"
    small: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes of the measurements.

    Attributes:
        seeds: the number of seeds that are trained at once.
        epochs: the epochs of each seed.
        runs: numbers of runs at once to measure.
        rows: numbers of slots of a row to measure.
        lengths: dialogue lengths to measure, with the same number of slots per step.
        slots: the slots of a step for those lengths; those of the longest dialogue where it has more.
        timed: the number of epochs whose median is a step time.
        waiting: the sizes of streams.
        settings: settings that replace those of the default preset.
    """

    seeds: int = 10
    epochs: int = 150
    runs: tuple[int, ...] = (1, 16, 100)
    rows: tuple[int, ...] = (110, 512)
    lengths: tuple[int, ...] = (16, 256, 1024)
    slots: int = 1024
    timed: int = 4
    waiting: Sizes = FULL
    settings: tuple[str, ...] = ()


SMALL_SIZES = (
    "hidden_size=8",
    "fused_size=8",
    "semantic_heads=2",
    "window_past=2",
    "window_future=1",
    "num_prototypes=6",
)
SMALL = Plan(
    seeds=2,
    epochs=2,
    runs=(1,),
    rows=(110,),
    lengths=(16,),
    slots=32,
    timed=1,
    waiting=QUICK,
    settings=tuple(f"model.{setting}" for setting in SMALL_SIZES),
)


def main(command: Suite) -> None:
    """Measures, prints the table, and writes the JSON file."""
    console = make_console()
    plan = SMALL if command.small else Plan()
    config = configure(plan.settings)
    shape = SHAPES[command.shape]
    if command.small:
        shape = dataclasses.replace(shape, dialogues=(6, 2, 2), sizes={"audio": 3, "text": 4})
    prepared = prepare(make_corpus(shape), config)
    parts: dict[str, Callable[[list[list[str]]], Any]] = {
        "seeds": lambda rows: measure_seeds(prepared, config, plan, rows),
        "runs": lambda rows: [measure_runs(prepared, config, number, plan, rows) for number in plan.runs],
        "bfloat16": lambda rows: measure_runs(prepared, override(config, ["model.matmul=bfloat16"]), 1, plan, rows),
        "rows": lambda rows: [measure_rows(prepared, config, slots, plan, rows) for slots in plan.rows],
        "forms": lambda rows: measure_operations(shape, config, plan, rows),
        "streaming": lambda rows: measure_streams(shape, config, plan, rows),
        "lengths": lambda rows: [measure_length(shape, config, length, plan, rows) for length in plan.lengths],
        "grid": lambda rows: measure_grid(prepared, config, plan, rows),
        "peak_bytes": measure_peak,
    }
    results = {"command": describe_command(), **describe_machine(), "shape": command.shape, "small": command.small}
    device = results["device"]
    console.print(
        f"{device['count']} x {device['kind']}, shape {command.shape}{', small form' if command.small else ''}"
    )
    measured: dict[str, Any] = {}
    for name, measure in parts.items():
        rows: list[list[str]] = []
        measured[name] = measure(rows)
        write_json(command.out, {**results, "measured": measured})
        lines = as_markdown_table(["measured", "value"], rows).splitlines()
        print("\n".join(lines[2:] if len(measured) > 1 else lines), flush=True)


def time_epochs(
    prepared: PreparedCorpus, configs: Config | Sequence[Config], seeds: Sequence[int]
) -> tuple[float, np.ndarray]:
    """Times a training: seconds to the end of its first epoch, compilation included, and of each later epoch."""
    moments = [time.perf_counter()]
    previous = None
    for epoch in train_runs(prepared, configs, seeds):
        if previous:  # As a caller does that keeps the device at work.
            jax.block_until_ready(previous.report)
            moments.append(time.perf_counter())
        previous = epoch
    jax.block_until_ready(epoch.runs)
    moments.append(time.perf_counter())
    passed = np.diff(moments)
    return float(passed[0]), passed[1:]


def measure_seeds(prepared: PreparedCorpus, config: Config, plan: Plan, rows: list[list[str]]) -> dict[str, Any]:
    """Measures the seeds of one program from the end of their first epoch, and those of the peer one by one."""
    config = override(config, [f"train.epochs={plan.epochs}"])
    first, later = time_epochs(prepared, config, range(plan.seeds))
    seconds = float(later.sum()) * plan.epochs / len(later)
    rows.append([f"{plan.seeds} seeds x {plan.epochs} epochs at once, after compilation", f"{seconds:.1f} s"])
    rows.append(["the same: compilation and first epoch", f"{first:.1f} s"])
    peer = measure_peer(prepared, config, plan)
    cell = "not measured: torch is not installed" if peer is None else f"{peer * plan.epochs * plan.seeds:.1f} s"
    rows.append([f"PyTorch peer, one seed x {plan.seeds} (from {plan.timed} epochs)", cell])
    return {"seconds": seconds, "first_epoch_seconds": first, "peer_epoch_seconds": peer}


def measure_peer(prepared: PreparedCorpus, config: Config, plan: Plan) -> float | None:
    """Measures the median seconds of an epoch of the PyTorch peer; returns None without torch."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    from experiments.benchmark.torch_training import PeerTraining

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training = PeerTraining(prepared, config, device)
    training.train_epoch()
    return _median_seconds(training.train_epoch, plan.timed)


def measure_grid(prepared: PreparedCorpus, config: Config, plan: Plan, rows: list[list[str]]) -> dict[str, Any]:
    """Measures runs per minute of the paper's 1,000 points, as many at once as fit, on the first points of the grid."""
    points = make_grid(PAPERS_GRID, config)
    together = count_fitting_runs(prepared, config)
    configs = [configure_point(config, point) for point in points[:together]]
    short = [override(one, [f"train.epochs={plan.timed + 1}"]) for one in configs]
    _, later = time_epochs(prepared, short, [0] * together)
    rate = 60 * together / (float(np.median(later)) * plan.epochs)
    rows.append([f"the paper's {len(points)} points, {plan.epochs} epochs, {together} at once", f"{rate:.1f} runs/min"])
    return {"points": len(points), "runs_at_once": together, "epochs": plan.epochs, "runs_per_minute": rate}


def measure_runs(
    prepared: PreparedCorpus, config: Config, number: int, plan: Plan, rows: list[list[str]]
) -> dict[str, Any]:
    """Measures the step time of a number of runs at once."""
    short = override(config, [f"train.epochs={plan.timed + 1}"])
    _, later = time_epochs(prepared, short, range(number))
    seconds = float(np.median(later)) / prepared.steps_per_epoch
    name = f"step, {number} runs at once, {config.model.matmul}"
    rows.append([name, f"{1e3 * seconds:.2f} ms, {1e3 * seconds / number:.2f} ms per run"])
    return {"runs_at_once": number, "matmul": config.model.matmul, "step_seconds": seconds}


def measure_rows(
    prepared: PreparedCorpus, config: Config, slots: int, plan: Plan, rows: list[list[str]]
) -> dict[str, Any]:
    """Measures an epoch with rows of a number of slots, of the same utterances."""
    config = override(config, [f"data.slots_per_row={slots}", f"train.epochs={plan.timed + 1}"])
    packed = prepare(prepared.corpus, config)
    _, later = time_epochs(packed, config, [0])
    seconds, padding = float(np.median(later)), packed.padding_fraction()
    rows.append([f"epoch, rows of {slots} slots", f"{1e3 * seconds:.1f} ms, {padding:.0%} padding"])
    return {"slots": slots, "epoch_seconds": seconds, "padding_share": padding}


def measure_operations(shape: Shape, config: Config, plan: Plan, rows: list[list[str]]) -> dict[str, Any]:
    """Measures our forms of the contrast and of the graph's sums against the plain ones, values and gradients."""
    slots = min(plan.slots, shape.longest)
    forms = measure_forms(config.model, shape.num_classes, max(1, plan.slots // slots), slots, plan.timed)
    for name, found in forms.items():
        times = (1e3 * found[side]["median"] for side in ("ours", "plain"))
        cell = "{:.2f} ms, plain {:.2f} ms: {:.2f} times as fast".format(*times, found["ratio"]["medians"])
        rows.append([f"{name}, values and gradients", cell])
    return forms


def measure_streams(shape: Shape, config: Config, plan: Plan, rows: list[list[str]]) -> dict[str, Any]:
    """Measures the streams of `waiting.measure_streaming`."""
    found = measure_streaming(shape, config.model, plan.waiting)
    rows += waiting_rows({"streaming": found})[1]
    return found


def measure_length(shape: Shape, config: Config, length: int, plan: Plan, rows: list[list[str]]) -> dict[str, Any]:
    """Measures the step time of a dialogue length, with a number of slots per step."""
    slots = max(length, plan.slots)
    dialogues = (2 * slots // length, 1, 1)
    shape = dataclasses.replace(shape, dialogues=dialogues)
    corpus = fill_corpus(np.full(sum(dialogues), length), shape, np.random.default_rng(0))
    settings = [f"train.epochs={plan.timed + 1}", f"train.dialogues_per_step={slots // length}"]
    prepared = prepare(corpus, override(config, settings))
    _, later = time_epochs(prepared, override(config, settings), [0])
    seconds = float(np.median(later)) / prepared.steps_per_epoch
    rows.append([f"step, dialogues of {length}, {slots} slots", f"{1e3 * seconds:.2f} ms"])
    return {"length": length, "slots": slots, "step_seconds": seconds}


def measure_peak(rows: list[list[str]]) -> int | None:
    """Returns the peak memory of the device so far in bytes; None where it reports none."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    peak = statistics.get("peak_bytes_in_use")
    rows.append(
        [
            "peak memory of all of the above",
            "not reported by this device" if peak is None else f"{peak / 2**30:.2f} GiB",
        ]
    )
    return peak


def _median_seconds(function: Callable[[], Any], times: int) -> float:
    passed = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        passed.append(time.perf_counter() - start)
    return float(np.median(passed))


if __name__ == "__main__":
    sys.exit(run_script("experiments.benchmark.accelerator_suite", Suite, main))
