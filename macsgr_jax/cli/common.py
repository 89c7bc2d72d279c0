"""How every script reads its command line and how it ends: a result, or one sentence and an exit code."""

import dataclasses
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import docstring_parser
import jax
import jaxlib
import platformdirs
import tyro
from rich.console import Console

from macsgr_jax.config import Config
from macsgr_jax.errors import InputError
from macsgr_jax.overrides import override, setting_names
from macsgr_jax.presets import PRESETS
from macsgr_jax.runs.interruption import Interrupted
from macsgr_jax.training.devices import is_writer
from macsgr_jax.training.loop import DivergenceError

BAD_INPUT = 2
DIVERGED = 3
OUTPUT_CLOSED = 141  # As a shell says of a program that SIGPIPE ended.
WIDTH_WITHOUT_TERMINAL = 120

Command = TypeVar("Command")


def run_script(
    name: str,
    command_type: type[Command],
    main: Callable[[Command], None],
    arguments: Sequence[str] | None = None,
    help_ending: str = "",
) -> int:
    """Parse the arguments, run, and turn the user's errors into one sentence on standard error.

    Args:
        name: of the script, such as macsgr_jax.cli.train.
        command_type: a dataclass; its fields become options.
        main: what to run.
        arguments: by default the command line's.
        help_ending: printed after --help.

    Returns:
        The exit code: 0, 2 for bad input, 3 for a training that diverged, 130 or 143 when stopped by Ctrl-C or SIGTERM,
        141 when what read the output, such as `head`, has closed it.
    """
    try:
        code = _parse_and_run(name, command_type, main, arguments, help_ending)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would flush once more as it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    return code


def _parse_and_run(
    name: str,
    command_type: type[Command],
    main: Callable[[Command], None],
    arguments: Sequence[str] | None,
    help_ending: str,
) -> int:
    try:
        command = tyro.cli(command_type, prog=f"python -m {name}", args=arguments)
    except SystemExit as stop:
        if stop.code == 0:  # --help was asked for.
            print(help_ending)
        raise
    use_compilation_cache()
    try:
        main(command)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except DivergenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return DIVERGED
    except Interrupted as stop:
        print(f"{stop}: go on with the same command and --resume", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept", file=sys.stderr)
        return 130
    return 0


def use_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, for the next start of the same command.

    One folder a version of jaxlib and a machine, since programs for the CPU of one do not run on every other;
    JAX_COMPILATION_CACHE_DIR names another place, and JAX_ENABLE_COMPILATION_CACHE=false keeps nothing.
    """
    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        folder = Path(platformdirs.user_cache_dir("macsgr_jax")) / f"jaxlib-{jaxlib.__version__}" / platform.node()
        jax.config.update("jax_compilation_cache_dir", str(folder))


def make_console() -> Console:
    """The screen, or lines wide enough for the tables where there is none; of several processes one prints."""
    # What people say and call their files may look like rich's markup.
    console = Console(quiet=not is_writer(), markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def refuse_output(path: Path, overwrite: bool) -> None:
    """Before the work is done: see that a file can be written, and replaces nothing unless it may.

    Raises:
        InputError: it is there, or its folder is not.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path} is there already: give another name, or --overwrite")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}; make it, or give another name")


def configure(preset: str, assignments: Sequence[str], features: str, epochs: int | None) -> Config:
    """The configuration of --preset, --set, --features and --epochs.

    Raises:
        InputError: a setting is unknown or does not fit.
    """
    assignments = list(assignments)
    if epochs is not None:
        assignments.append(f"train.epochs={epochs}")
    if features:
        assignments.append(f"data.features={features}")
    return override(PRESETS[preset], assignments)


def describe_settings() -> str:
    """Every setting of --set, its value in each preset, and what it does, as text for --help."""
    lines = ["settings for --set, with their default value (and that of another preset where it differs):"]
    default = Config()
    presets = {preset: {name: value for name, _, value in setting_names(of)} for preset, of in PRESETS.items()}
    for section in dataclasses.fields(default):
        parsed = docstring_parser.parse(type(getattr(default, section.name)).__doc__ or "")
        texts = {param.arg_name: param.description or "" for param in parsed.params}
        lines.append(f"\n{section.name}: {parsed.short_description}")
        for name, _, value in setting_names(default):
            if name.startswith(f"{section.name}."):
                others = [f"{preset}: {_show(of[name])}" for preset, of in presets.items() if of[name] != value]
                values = _show(value) + (f" ({', '.join(others)})" if others else "")
                text = " ".join(texts[name.split(".")[1]].split())
                lines.append(f"  {name}={values}\n      {text}")
    return "\n".join(lines)


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
