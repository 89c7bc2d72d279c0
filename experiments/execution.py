"""How a command's runs are laid on the devices: the mesh, and how many runs are one program."""

from typing import Protocol

import jax
from rich.console import Console

from experiments.interruption import StopRequests
from experiments.runs import Execution
from macsgr_jax.config import Config
from macsgr_jax.devices import RUN, make_mesh
from macsgr_jax.errors import InputError
from macsgr_jax.sweep import measure_run_bytes
from macsgr_jax.task import Task

# Beyond this many runs a device is busy all the time, and more of them only take memory.
MOST_RUNS_PER_DEVICE = 64
SHARE_OF_MEMORY = 0.8


class Options(Protocol):
    """The fields of a command line that say how to run."""

    @property
    def runs_at_once(self) -> str:
        """A number, or auto."""

    @property
    def split_batch(self) -> int:
        """Devices that share each batch."""

    @property
    def save_every(self) -> int:
        """Epochs between two checkpoints."""


def plan_execution(
    options: Options,
    console: Console,
    stop: StopRequests,
    task: Task,
    config: Config,
    stop_at_divergence: bool = True,
) -> Execution:
    """How to train.

    Args:
        options: of the command line.
        console: for the progress.
        stop: requests to stop.
        task: the data, whose shapes decide what fits.
        config: the settings, likewise.
        stop_at_divergence: see `Execution`.

    Raises:
        InputError: an option does not fit.
    """
    mesh = make_mesh(options.split_batch)
    if options.save_every < 1:
        raise InputError("--save-every must be at least 1")
    if options.runs_at_once == "auto":
        runs_at_once = mesh.shape[RUN] * count_fitting_runs(task, config)
    elif options.runs_at_once.isdecimal() and int(options.runs_at_once) > 0:
        runs_at_once = int(options.runs_at_once)
    else:
        raise InputError(f"--runs-at-once {options.runs_at_once}: write auto, or a number from 1")
    return Execution(console, mesh, runs_at_once, options.save_every, stop, stop_at_divergence)


def count_fitting_runs(task: Task, config: Config) -> int:
    """Runs that one device should train at once: one on a CPU, where more gain nothing; else as many as fit."""
    device = jax.local_devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    if not statistics:
        return 1
    free = SHARE_OF_MEMORY * statistics["bytes_limit"] - statistics["bytes_in_use"]
    return max(1, min(MOST_RUNS_PER_DEVICE, int(free / measure_run_bytes(task, config))))
