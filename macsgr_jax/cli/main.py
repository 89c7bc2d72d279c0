"""The command `macsgr`: from a corpus or a recording to features, networks, predictions and pages."""

import atexit
import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import macsgr_jax
from macsgr_jax.cli.screen import INTERRUPTED, end_output, interrupt_imports
from macsgr_jax.errors import quote


class Subcommand(NamedTuple):
    """One subcommand, found by name so that only the chosen one is imported.

    Attributes:
        module: the name of its module in `macsgr_jax.cli`, whose function `main` runs it.
        options: the name of the dataclass of its options in that module.
        summary: its line in `macsgr --help`.
        lists_settings: whether its --help lists the settings of --set.
    """

    module: str
    options: str
    summary: str
    lists_settings: bool = False


COMMANDS = {
    "import": Subcommand("import_corpus", "ImportCorpus", "turn the release of a corpus into a corpus file"),
    "info": Subcommand("info", "Info", "show the contents of a corpus file or of a run"),
    "train": Subcommand("train", "Train", "train and evaluate on a corpus file", lists_settings=True),
    "evaluate": Subcommand("evaluate", "Evaluate", "evaluate the checkpoints of a run again"),
    "sweep": Subcommand("sweep", "Sweep", "train many settings and seeds at once", lists_settings=True),
    "tune": Subcommand("tune", "Tune", "search settings for a corpus, and write a preset", lists_settings=True),
    "predict": Subcommand("predict", "Predict", "predict the emotions of your own conversations"),
    "serve": Subcommand("serve", "Serve", "open a local page to drop conversations on, with a JSON API"),
    "view": Subcommand("view", "View", "make a page of predictions"),
    "publish": Subcommand("publish", "Publish", "write a run as one self-contained model with a card"),
    "models": Subcommand("models", "Models", "list the models that ship with the package"),
    "export": Subcommand("export", "Export", "write a network as StableHLO, to run without this package"),
}
COMPLETION = ("--tyro-print-completion", "--tyro-write-completion")
HELP = """usage: macsgr COMMAND ...

{commands}

`macsgr COMMAND --help` describes a command, `macsgr --version` prints the version.
Shell completion: `macsgr --tyro-print-completion bash` (or zsh, tcsh) prints a script to source."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a subcommand.

    Args:
        arguments: by default those of the command line.

    Returns:
        The exit code, as `cli.common.run_command` describes it.
    """
    interrupt_imports()
    if arguments is None:
        _collect_rarely()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return end_output(lambda: choose(given))
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept", file=sys.stderr)
        return INTERRUPTED


def _collect_rarely() -> None:
    """Has cycles of objects looked for rarely, and not at the end: most objects are the libraries' and stay (0.5 s)."""
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)


def choose(arguments: Sequence[str]) -> int:
    """Runs the subcommand that the first argument names, or prints the help or the version."""
    first = arguments[0] if arguments else "--help"
    if first in ("-h", "--help"):
        lines = [f"  {name:10}{command.summary}" for name, command in COMMANDS.items()]
        print(HELP.format(commands="\n".join(lines)))
        return 0
    if first == "--version":
        print(f"macsgr {macsgr_jax.__version__}")
        return 0
    if first in COMPLETION:
        return complete(arguments)
    if first not in COMMANDS:
        print(f"error: macsgr has no command '{quote(first)}': there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return run(first, arguments[1:])


def run(name: str, arguments: Sequence[str]) -> int:
    """Imports one subcommand and runs it."""
    try:
        from macsgr_jax.cli.common import describe_settings, run_command
    except ModuleNotFoundError as error:
        print(f"error: macsgr needs {error.name}: pip install 'macsgr-jax[cli]'", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    module = importlib.import_module(f"macsgr_jax.cli.{command.module}")
    describe_more: Callable[[], str] = describe_settings if command.lists_settings else str
    return run_command(f"macsgr {name}", getattr(module, command.options), module.main, arguments, describe_more)


def complete(arguments: Sequence[str]) -> int:
    """Prints or writes the completion script of a shell, which knows every subcommand and option."""
    import tyro

    options = {
        name: getattr(importlib.import_module(f"macsgr_jax.cli.{command.module}"), command.options)
        for name, command in COMMANDS.items()
    }

    def print_script() -> int:
        try:
            tyro.extras.subcommand_cli_from_dict(options, prog="macsgr", args=list(arguments))
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 0
        return 0

    return print_script()
