"""The measurements of experiments/gpu_suite.sh: what an accelerator makes of many runs, long dialogues and a grid."""

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
from macsgr_jax.cli.common import make_console, run_script
from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.files import write_json
from macsgr_jax.hparams import HParams
from macsgr_jax.overrides import override
from macsgr_jax.presets import PRESETS
from macsgr_jax.runs.execution import count_fitting_runs
from macsgr_jax.runs.results import describe_command, describe_machine
from macsgr_jax.runs.tables import as_markdown_table
from macsgr_jax.search.space import configure_point, make_grid
from macsgr_jax.training.loop import EpochReport, stack_hparams, train_runs

PAPERS_GRID = tuple(f"gamma_{name}=0.1:1:0.1" for name in ("instance", "prototype", "latent"))


@dataclasses.dataclass(frozen=True)
class Suite:
    """Measure seeds, the paper's grid, dialogue lengths and runs at once on this machine's accelerator.

    Attributes:
        out: The JSON file to write.
        shape: Noise in the shape of this corpus is trained on; the time does not depend on what the numbers say.
        small: A form of a minute or two on a CPU, to see that everything runs; its figures mean nothing.
    """

    out: Path
    shape: Literal["iemocap", "meld"] = "iemocap"
    small: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        seeds: trained at once.
        epochs: of each seed.
        lengths: dialogue lengths, with the same number of slots a step.
        slots: of a step, for those lengths; the longest dialogue's where that is more.
        runs: runs at once.
        timed: epochs that a step time is the median of.
        settings: replaced for all of it.
    """

    seeds: int = 10
    epochs: int = 150
    lengths: tuple[int, ...] = (16, 64, 256, 1024)
    slots: int = 1024
    runs: tuple[int, ...] = (1, 4, 16, 64)
    timed: int = 4
    settings: tuple[str, ...] = ()


SMALL_SIZES = (
    "hidden_size=8",
    "fused_size=8",
    "semantic_heads=2",
    "window_past=2",
    "window_future=1",
    "num_prototypes=6",
)
SMALL = Plan(2, 2, (16,), 32, (1,), 1, tuple(f"model.{setting}" for setting in SMALL_SIZES))


def main(command: Suite) -> None:
    """Measure, print the table, write the JSON."""
    console = make_console()
    plan = SMALL if command.small else Plan()
    config = override(PRESETS["default"], plan.settings)
    shape = SHAPES[command.shape]
    if command.small:
        shape = dataclasses.replace(shape, dialogues=(6, 2, 2), sizes={"audio": 3, "text": 4})
    prepared = prepare(make_corpus(shape), config)
    rows: list[list[str]] = []
    measured = {
        "seeds": measure_seeds(prepared, config, plan, rows),
        "grid": measure_grid(prepared, config, plan, rows),
        "runs": [measure_runs(prepared, config, number, plan, rows) for number in plan.runs],
        "lengths": [measure_length(shape, config, length, plan, rows) for length in plan.lengths],
        "peak_bytes": measure_peak(rows),
    }
    results = {"command": describe_command(), **describe_machine(), "shape": command.shape, "small": command.small}
    write_json(command.out, {**results, "measured": measured})
    device = describe_machine()["device"]
    console.print(
        f"{device['count']} x {device['kind']}, shape {command.shape}{', small form' if command.small else ''}"
    )
    print(as_markdown_table(["measured", "value"], rows))


def time_epochs(
    prepared: PreparedCorpus, config: Config, seeds: Sequence[int], numbers: HParams | None = None
) -> tuple[float, np.ndarray]:
    """Train; seconds up to the end of the first epoch, compilation included, and seconds of each later epoch."""
    moments = [time.perf_counter()]

    def note(report: EpochReport) -> None:
        moments.append(time.perf_counter())

    jax.block_until_ready(train_runs(prepared, config, seeds, numbers, on_epoch=note))
    moments[-1] = time.perf_counter()
    passed = np.diff(moments)
    return float(passed[0]), passed[1:]


def measure_seeds(prepared: PreparedCorpus, config: Config, plan: Plan, rows: list[list[str]]) -> dict[str, Any]:
    """The seeds of one program from the end of their first epoch, and the peer's one by one."""
    config = override(config, [f"train.epochs={plan.epochs}"])
    first, later = time_epochs(prepared, config, range(plan.seeds))
    seconds = float(later.sum()) * plan.epochs / len(later)
    rows.append([f"{plan.seeds} seeds x {plan.epochs} epochs at once, after compilation", f"{seconds:.1f} s"])
    rows.append(["the same: compilation and first epoch", f"{first:.1f} s"])
    peer = measure_peer(prepared, config, plan)
    said = "not measured: torch is not installed" if peer is None else f"{peer * plan.epochs * plan.seeds:.1f} s"
    rows.append([f"PyTorch peer, one seed x {plan.seeds} (from {plan.timed} epochs)", said])
    return {"seconds": seconds, "first_epoch_seconds": first, "peer_epoch_seconds": peer}


def measure_peer(prepared: PreparedCorpus, config: Config, plan: Plan) -> float | None:
    """Median seconds of an epoch of the PyTorch peer; None without torch."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    from experiments.benchmark.torch_training import PeerTraining

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training = PeerTraining(prepared, config, device)
    training.train_epoch()
    return _median_seconds(training.train_epoch, plan.timed)


def measure_grid(prepared: PreparedCorpus, config: Config, plan: Plan, rows: list[list[str]]) -> dict[str, Any]:
    """Runs a minute of the paper's 1,000 points, as many at once as fit, from the first points of the grid."""
    points = make_grid(PAPERS_GRID, config)
    together = count_fitting_runs(prepared, config)
    configs = [configure_point(config, point) for point in points[:together]]
    short = override(config, [f"train.epochs={plan.timed + 1}"])
    _, later = time_epochs(prepared, short, [0] * together, stack_hparams(configs, prepared))
    rate = 60 * together / (float(np.median(later)) * config.train.epochs)
    rows.append(
        [f"the paper's {len(points)} points, {config.train.epochs} epochs, {together} at once", f"{rate:.1f} runs/min"]
    )
    return {"points": len(points), "runs_at_once": together, "epochs": config.train.epochs, "runs_per_minute": rate}


def measure_runs(
    prepared: PreparedCorpus, config: Config, number: int, plan: Plan, rows: list[list[str]]
) -> dict[str, Any]:
    """Step time against runs at once."""
    short = override(config, [f"train.epochs={plan.timed + 1}"])
    _, later = time_epochs(prepared, short, range(number))
    seconds = float(np.median(later)) / prepared.steps_per_epoch
    rows.append([f"step, {number} runs at once", f"{1e3 * seconds:.2f} ms, {1e3 * seconds / number:.2f} ms a run"])
    return {"runs_at_once": number, "step_seconds": seconds}


def measure_length(shape: Shape, config: Config, length: int, plan: Plan, rows: list[list[str]]) -> dict[str, Any]:
    """Step time against dialogue length, at a number of slots a step."""
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
    """The most memory that the device has held so far; None where it does not say."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    peak = statistics.get("peak_bytes_in_use")
    rows.append(
        ["peak memory of all of the above", "not told by this device" if peak is None else f"{peak / 2**30:.2f} GiB"]
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
