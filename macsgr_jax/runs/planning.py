"""How a command's runs are laid on the devices: the mesh, and how many runs are one program."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import jax
import tyro
from rich.console import Console

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.errors import InputError
from macsgr_jax.runs.corpora import SYNTHETIC
from macsgr_jax.runs.execution import Execution
from macsgr_jax.runs.interruption import StopRequests
from macsgr_jax.training.devices import RUN, make_mesh
from macsgr_jax.training.loop import measure_run_bytes

# Beyond this many runs a device is busy all the time, and more of them only take memory.
MAX_RUNS_PER_DEVICE = 64
MEMORY_FRACTION = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What the commands that train have in common.

    Attributes:
        out: Folder for the results and the checkpoints; made if need be.
        corpus: "synthetic" (generated, its best possible score is known), or an .npz file; docs/corpus.md has the form.
        features: Feature sets to join, separated by commas, such as text_minilm,audio_mfcc. All by default.
        preset: "default" is the recipe that was chosen on validation data; "literal" is the paper as printed.
        set: Replace one setting of the preset; may be repeated. The settings are listed below.
        epochs: Passes over the training split; short for --set train.epochs=N.
        resume: Go on with what was interrupted in the same folder; begin where there is none.
        overwrite: Replace what an earlier command left in the same folder. Without it, that is refused.
        runs_at_once: Runs that train together as one program: a number, or auto for what the devices hold.
        split_batch: Devices that share each batch; the others share the runs.
        save_every: Epochs between two checkpoints that --resume can go on from.
        distributed: Join other processes: auto (SLURM, Kubernetes, Open MPI, TPU pods), or HOST:PORT,COUNT,RANK.
    """

    out: Path
    corpus: str = SYNTHETIC
    features: str = ""
    preset: Literal["default", "literal", "causal", "iemocap", "meld", "mosi"] = "default"
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    epochs: int | None = None
    resume: bool = False
    overwrite: bool = False
    runs_at_once: str = "auto"
    split_batch: int = 1
    save_every: int = 5
    distributed: str = ""


def plan_execution(
    options: TrainingOptions,
    console: Console,
    stop: StopRequests,
    prepared: PreparedCorpus,
    config: Config,
    stop_at_divergence: bool = True,
) -> Execution:
    """How to train.

    Args:
        options: of the command line.
        console: for the progress.
        stop: requests to stop.
        prepared: the data, whose shapes decide what fits.
        config: the settings, likewise.
        stop_at_divergence: see `Execution`.

    Raises:
        InputError: an option does not fit.
    """
    mesh = make_mesh(options.split_batch)
    if options.save_every < 1:
        raise InputError("--save-every must be at least 1")
    if options.runs_at_once == "auto":
        runs_at_once = mesh.shape[RUN] * count_fitting_runs(prepared, config)
    elif options.runs_at_once.isdecimal() and int(options.runs_at_once) > 0:
        runs_at_once = int(options.runs_at_once)
    else:
        raise InputError(f"--runs-at-once {options.runs_at_once}: write auto, or a number from 1")
    return Execution(console, mesh, runs_at_once, options.save_every, stop, stop_at_divergence)


def count_fitting_runs(prepared: PreparedCorpus, config: Config) -> int:
    """Runs that one device should train at once: one on a CPU, where more gain nothing; else as many as fit."""
    device = jax.local_devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    if not statistics:
        return 1
    free = MEMORY_FRACTION * statistics["bytes_limit"] - statistics["bytes_in_use"]
    return max(1, min(MAX_RUNS_PER_DEVICE, int(free / measure_run_bytes(prepared, config))))
