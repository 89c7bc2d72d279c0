"""Shared by all commands and scripts: parsing, error messages, exit codes, the console and the configuration.

Imports nothing of JAX, so that --help is quick.
"""

import contextlib
import dataclasses
import difflib
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import tyro

from macsgr_jax.cli.compiled_programs import use_compilation_cache
from macsgr_jax.cli.screen import INTERRUPTED, end_output, leave
from macsgr_jax.config import Config
from macsgr_jax.errors import FullDiskError, InputError, quote, show_message
from macsgr_jax.files import (
    MAKE_ROOM,
    describe_os_error,
    exists,
    is_file,
    is_folder,
    is_full,
    read_json,
    remove_abandoned,
)
from macsgr_jax.overrides import from_json, override, setting_names
from macsgr_jax.presets import PRESETS
from macsgr_jax.runs.interruption import Interrupted, StoppedAtOnce

if TYPE_CHECKING:
    from rich.console import Console

    Preset = str | Path
else:
    Preset = Literal[tuple(PRESETS)] | Path

BAD_INPUT = 2
DIVERGED = 3
WIDTH_WITHOUT_TERMINAL = 120
MAX_FILE_NAME = 240  # Bytes; a temporary name is a little longer.

Command = TypeVar("Command")


def run_script(
    name: str,
    command_type: type[Command],
    main: Callable[[Command], None],
    arguments: Sequence[str] | None = None,
    help_ending: str = "",
) -> int:
    """Runs a script that is started as `python -m NAME`; see `run_command`."""
    return run_command(f"python -m {name}", command_type, main, arguments, lambda: help_ending)


def run_command(
    program: str,
    command_type: type[Command],
    main: Callable[[Command], None],
    arguments: Sequence[str] | None = None,
    describe_more: Callable[[], str] = lambda: "",
) -> int:
    """Parses the arguments, runs a command, and turns the errors of a user into one sentence on standard error.

    Args:
        program: the name of the program in its usage line, such as "macsgr train".
        command_type: a dataclass; its fields become options.
        main: the function to run.
        arguments: by default those of the command line.
        describe_more: returns the text that is printed after --help.

    Returns:
        The exit code: 0, 2 for bad input, 3 for a training that diverged, 130 or 143 when stopped by Ctrl-C or SIGTERM,
        141 when the reader of the output, such as `head`, has closed it, which stops nothing that writes files.
    """

    def parse_and_run() -> int:
        command = _parse(program, command_type, arguments, describe_more)
        return command if isinstance(command, int) else _run(main, command)

    return end_output(parse_and_run)


def _parse(
    program: str, command_type: type[Command], arguments: Sequence[str] | None, describe_more: Callable[[], str]
) -> Command | int:
    """Returns the command, or an exit code where the arguments ask for help or are wrong."""
    given = sys.argv[1:] if arguments is None else arguments
    if any(not one or re.fullmatch("--[^=]+=", one) for one in given):  # As a path, it would be the current folder.
        print(f"error: an argument of {program} is empty: is a variable of your shell not set?", file=sys.stderr)
        return BAD_INPUT
    problem = io.StringIO()
    try:
        with contextlib.redirect_stderr(problem):
            return tyro.cli(command_type, prog=program, args=given)
    except SystemExit as stop:
        if stop.code == 0:  # --help was asked for.
            print(describe_more())
            return 0
        print(f"error: {_describe_usage_error(problem.getvalue())}; see {program} --help", file=sys.stderr)
        return BAD_INPUT


def _describe_usage_error(box: str) -> str:
    """Returns the message of tyro, which it draws into a box below a title, as one line."""
    box = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip(" │") for line in box.splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(("╭", "╰")))
    parts = re.split(r" ?[─-]{3,} ?", text)
    if "╭" not in box:  # Where the output is ASCII, the title stands above a rule.
        del parts[:1]
    message, *more = parts or [text]
    message = message.strip().rstrip(".")
    similar = [option for part in more if part.startswith("Perhaps") for option in re.findall(r" (--[\w-]+)", part)]
    hint = f"; did you mean {' or '.join(dict.fromkeys(similar[:3]))}?" if similar else ""
    return show_message(f"{message[:1].lower()}{message[1:]}{hint}")


def _run(main: Callable[[Command], None], command: Command) -> int:
    use_single_precision()
    use_compilation_cache()
    try:
        main(command)
    except FullDiskError as error:
        return leave(f"error: {error}", BAD_INPUT)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except ArithmeticError as error:
        from macsgr_jax.training.loop import DivergenceError

        if not isinstance(error, DivergenceError):
            raise
        print(f"error: {show_message(error)}", file=sys.stderr)
        return DIVERGED
    except (RuntimeError, AssertionError) as error:
        if not _comes_from_backend(error):
            raise
        platforms = os.environ.get("JAX_PLATFORMS", "")
        print(
            f"error: JAX finds no device of JAX_PLATFORMS={platforms}: unset it, or install JAX for that device, such"
            " as pip install 'jax[cuda12]'",
            file=sys.stderr,
        )
        return BAD_INPUT
    except Interrupted as stop:
        print(f"{stop}: resume it with the same command and --resume", file=sys.stderr)
        return stop.exit_code
    except StoppedAtOnce as stop:
        return leave(f"{stop}: what was finished is kept; resume it with the same command and --resume", stop.exit_code)
    except KeyboardInterrupt:
        return leave("interrupted: what was finished is kept", INTERRUPTED)
    except OSError as error:  # Of a disk that is full, or a file that changed while it was read.
        place = f"{quote(error.filename)}: " if error.filename else ""
        message = f"error: {place}{describe_os_error(error)}: {describe_what_helps(error)}"
        if is_full(error):
            return leave(message, BAD_INPUT)
        print(message, file=sys.stderr)
        return BAD_INPUT
    except (MemoryError, RecursionError) as error:
        what = "there is not enough memory" if isinstance(error, MemoryError) else "the input is nested too deeply"
        print(f"error: {what}: give less at once, or use a larger machine", file=sys.stderr)
        return BAD_INPUT
    return 0


def _comes_from_backend(error: BaseException) -> bool:
    """Returns whether JAX raised an error because a platform that JAX_PLATFORMS names has no device here."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return bool(os.environ.get("JAX_PLATFORMS")) and last.filename.endswith("xla_bridge.py")


def use_single_precision() -> None:
    """Has JAX compute in 32 bits, as all weights and features are; says so where JAX_ENABLE_X64 asks for 64."""
    if os.environ.get("JAX_ENABLE_X64", "").lower() not in ("1", "true", "on", "yes"):
        return
    os.environ["JAX_ENABLE_X64"] = "0"  # JAX reads it when it is imported.
    if "jax" in sys.modules:
        import jax

        jax.config.update("jax_enable_x64", False)
    print("note: JAX_ENABLE_X64 is ignored: the network computes in 32 bits", file=sys.stderr)


def describe_what_helps(error: OSError) -> str:
    """Returns what to do about a failure of the system."""
    return MAKE_ROOM if is_full(error) else "check that it is there and may be used"


def make_console(quiet: bool = False) -> "Console":
    """Returns the terminal, or lines that are wide enough for the tables where there is none.

    Args:
        quiet: whether to print nothing, as in all processes of a training but one.
    """
    from rich.console import Console

    class Screen(Console):
        """A console on which no name from a file can move the cursor or begin a line."""

        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(show_message(one) if isinstance(one, str) else one for one in objects), **options)

    # Texts and file names may look like rich's markup.
    console = Screen(quiet=quiet, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def refuse_output(path: Path, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Checks before the work is done that a file can be written, and replaces nothing unless it may.

    Args:
        path: the file to write.
        overwrite: whether it may replace one that is there; an input of the command is never replaced.
        inputs: the files that the command reads.

    Raises:
        InputError: the file is there, or is an input, or its folder is not there.
    """
    for read in inputs:
        if exists(path) and exists(read) and os.path.samefile(path, read):
            raise InputError(f"{path} is what is read, and would be destroyed: give the output another name")
    if exists(path) and not overwrite:
        raise InputError(f"{path} is there already: give another name, or --overwrite")
    if exists(path) and not is_file(path) and not is_folder(path):
        raise InputError(f"{path} is no regular file, and is not replaced: give another name")
    if not is_folder(path.parent):
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}; make it, or give another name")
    if len(path.name.encode(errors="replace")) > MAX_FILE_NAME:
        raise InputError(f"{path} cannot be written: its name is too long; give another name")
    remove_abandoned(path)


def configure(preset: str | Path, assignments: Sequence[str], features: str, epochs: int | None) -> Config:
    """Returns the configuration of --preset, --set, --features and --epochs.

    Args:
        preset: the name of a preset, or the path of a configuration in JSON.
        assignments: strings such as "model.window_past=5".
        features: feature sets, separated by commas; empty for those of the preset.
        epochs: the number of epochs; None for that of the preset.

    Raises:
        InputError: a setting is unknown or does not fit.
    """
    assignments = list(assignments)
    if epochs is not None:
        assignments.append(f"train.epochs={epochs}")
    if features:
        assignments.append(f"data.features={features}")
    return override(PRESETS[str(preset)] if str(preset) in PRESETS else read_preset(Path(preset)), assignments)


def read_preset(path: Path) -> Config:
    """Reads a configuration in JSON, such as a network's `config` in results.json.

    Raises:
        InputError: the file cannot be read, or a setting does not fit.
    """
    if not exists(path):
        near = difflib.get_close_matches(str(path), PRESETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(PRESETS)}, or give a JSON file"
        raise InputError(f"--preset {path}: there is no such preset or file; {hint}")
    try:
        return from_json(read_json(path))
    except InputError as error:
        raise InputError(f"--preset {path} cannot be used: {error}") from None


def describe_settings() -> str:
    """Returns every setting of --set, its value in each preset, and its meaning, as text for --help."""
    import docstring_parser

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
