"""The options that `macsgr train` and `macsgr sweep` have in common."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from macsgr_jax.cli.common import Preset, make_console
from macsgr_jax.errors import InputError, quote
from macsgr_jax.limits import MAX_DEVICES, MAX_EPOCHS, MAX_POINTS, check_option

if TYPE_CHECKING:
    from rich.console import Console

    from macsgr_jax.runs.execution import Execution

MAX_DIGITS = 9
# The validation scores that can choose among settings.
Selection = Literal[
    "validation.waa", "validation.waf1", "validation.macro_f1", "validation.uar", "validation.nll", "validation.ece"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The options that the commands that train have in common.

    Attributes:
        out: Folder for the results and the checkpoints; it is made if it does not exist.
        corpus: "synthetic" (generated; its best possible score is known), or an .npz file of `macsgr import`.
        features: Feature sets to join, separated by commas, such as text_minilm,audio_mfcc. All by default.
        preset: Recipe to start from: iemocap, meld, mosei and mosi are those of the corpora, literal is the paper as
            printed, causal sees no future utterance, robust stands noise. Or a JSON file with a configuration.
        set: Replace one setting of the preset; may be repeated. The settings are listed below.
        epochs: Passes over the training split; short for --set train.epochs=N.
        resume: Resume the interrupted run in the same folder; begin where there is none.
        overwrite: Replace the run in the same folder. Without it, that is refused.
        runs_at_once: Number of runs vmapped into one program; auto is as many as fit in device memory, 1 on a CPU.
        split_batch: Number of devices that share each batch; the others share the runs.
        save_every: Epochs between two checkpoints that --resume can continue from.
        tensorboard: Also write the numbers of each epoch as TensorBoard event files, into OUT/tensorboard.
        distributed: Join other processes: auto (SLURM, Kubernetes, Open MPI, TPU pods), or HOST:PORT,COUNT,RANK.
    """

    out: Path
    corpus: str = "synthetic"
    features: str = ""
    preset: Preset = "default"
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    epochs: int | None = None
    resume: bool = False
    overwrite: bool = False
    runs_at_once: str = "auto"
    split_batch: int = 1
    save_every: int = 5
    tensorboard: bool = False
    distributed: str = ""


def join_processes(options: TrainingOptions) -> "Console":
    """Joins the other processes of a training, if any, and returns the console; one of the processes prints."""
    from macsgr_jax.training.devices import is_writer, start_processes

    if options.distributed:
        start_processes(options.distributed)
    return make_console(quiet=not is_writer())


@contextmanager
def make_execution(options: TrainingOptions, console: "Console") -> Iterator["Execution"]:
    """Yields the execution that the options describe; signals to stop are noted inside the block.

    Raises:
        InputError: a number does not fit.
    """
    from macsgr_jax.runs.execution import Execution
    from macsgr_jax.runs.interruption import StopRequests

    automatic = options.runs_at_once == "auto"
    if not automatic and not options.runs_at_once.isdecimal():
        raise InputError(f"--runs-at-once {quote(options.runs_at_once)}: write auto, or a number from 1")
    check_option("--save-every", options.save_every, 1, MAX_EPOCHS)
    check_option("--split-batch", options.split_batch, 1, MAX_DEVICES)
    if not automatic:
        at_once = int(options.runs_at_once) if len(options.runs_at_once) <= MAX_DIGITS else MAX_POINTS + 1
        check_option("--runs-at-once", at_once, 1, MAX_POINTS)
    with StopRequests() as stop:
        yield Execution(
            runs_at_once=None if automatic else int(options.runs_at_once),
            split_batch=options.split_batch,
            save_every=options.save_every,
            console=console,
            stop=stop,
            tensorboard=options.tensorboard,
        )
