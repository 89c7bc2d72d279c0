"""How every script reads its command line and how it ends: a result, or one sentence and an exit code."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import docstring_parser
import tyro
from rich.console import Console

from macsgr_jax.config import PRESETS, Config
from macsgr_jax.errors import InputError
from macsgr_jax.settings import setting_names
from macsgr_jax.train import DivergenceError

BAD_INPUT = 2
DIVERGED = 3
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
        name: of the script, such as experiments.train.
        command_type: a dataclass; its fields become options.
        main: what to run.
        arguments: by default the command line's.
        help_ending: printed after --help.

    Returns:
        The exit code: 0, 2 for bad input, 3 for a training that diverged, 130 when interrupted.
    """
    try:
        command = tyro.cli(command_type, prog=f"python -m {name}", args=arguments)
    except SystemExit as stop:
        if stop.code == 0:  # --help was asked for.
            print(help_ending)
        raise
    try:
        main(command)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except DivergenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return DIVERGED
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept", file=sys.stderr)
        return 130
    return 0


def make_console() -> Console:
    """The screen; where there is none, as in a log file, lines wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)


def describe_settings() -> str:
    """Every setting of --set, its value in each preset, and what it does, as text for --help."""
    lines = ["settings for --set, with their default value (and the literal preset's where it differs):"]
    default, literal = Config(), dict((name, value) for name, _, value in setting_names(PRESETS["literal"]))
    for section in dataclasses.fields(default):
        parsed = docstring_parser.parse(type(getattr(default, section.name)).__doc__ or "")
        texts = {param.arg_name: param.description or "" for param in parsed.params}
        lines.append(f"\n{section.name}: {parsed.short_description}")
        for name, _, value in setting_names(default):
            if name.startswith(f"{section.name}."):
                values = _show(value) + ("" if literal[name] == value else f" (literal: {_show(literal[name])})")
                text = " ".join(texts[name.split(".")[1]].split())
                lines.append(f"  {name}={values}\n      {text}")
    return "\n".join(lines)


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
