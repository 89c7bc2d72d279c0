"""The command `macsgr`: help, version, completion, usage errors, and how quickly it answers."""

import dataclasses
import importlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import macsgr_jax
from macsgr_jax.cli.common import Preset, configure
from macsgr_jax.cli.main import COMMANDS, main
from macsgr_jax.config import Config
from macsgr_jax.errors import InputError
from macsgr_jax.overrides import override, setting_names, to_json
from macsgr_jax.presets import MELD, PRESETS

ROOT = Path(__file__).parents[2]
HEAVY = ("jax", "numpy", "flax", "matplotlib", "scipy", "orbax")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its usage line has the name that a user types, and every option of its dataclass is listed."""
    assert main([name, "--help"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"usage: macsgr {name} ") and printed.err == ""
    options = getattr(importlib.import_module(f"macsgr_jax.cli.{COMMANDS[name].module}"), COMMANDS[name].options)
    for field in dataclasses.fields(options):
        assert f"--{field.name.replace('_', '-')}" in printed.out or "Positional" in str(field.type)
    if COMMANDS[name].lists_settings:
        assert all(f"  {setting}=" in printed.out for setting, _, _ in setting_names(Config()))
        assert all(f"{preset}" in printed.out for preset in PRESETS)


def test_help_version_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert all(f"\n  {command} " in printed for command in COMMANDS) and "--tyro-print-completion bash" in printed
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"macsgr {macsgr_jax.__version__}\n"
    assert main(["predcit"]) == 2
    assert "macsgr has no command 'predcit': there are import, info, train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["train", "--out", "x", "--seed", "3"],
            "unrecognized options: --seed, 3; did you mean --first-seed or --seeds?",
        ),
        (["train"], "missing from macsgr train: --out PATH"),
        (["train", "--out", "x", "--seeds", "b"], "error parsing --seeds: invalid literal for int() with base 10: 'b'"),
        (["evaluate", "x", "--split", "dev"], "invalid choice 'dev' for argument '--split'"),
        (["info", "a", "b"], "unrecognized options: b"),
    ],
)
def test_usage_error_is_one_line(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"error: {sentence}") and printed.err.count("\n") == 1
    assert printed.err.endswith(f"; see macsgr {arguments[0]} --help\n")


@pytest.mark.parametrize("arguments", [["predict", ""], ["info", "--corpus="], ["train", "--out", ""]])
def test_empty_argument_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It comes of a variable that is not set; as a path it would be the current folder."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: an argument of macsgr") and printed.err.count("\n") == 1


def test_completion_knows_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tyro-print-completion", "bash"]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "--single-modalities", "--follow", "--random-seed"):
        assert word in script


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["sweep", "--help"]])
def test_help_is_quick(arguments: list[str]) -> None:
    """It imports nothing heavy and takes less than half a second of processor time."""
    program = (
        "import sys; from macsgr_jax.cli.main import main; code = main(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, *arguments]
    seconds = []
    while not seconds or (min(seconds) >= 0.5 and len(seconds) < 10):  # Other work on the core may slow one down.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert finished.stderr == "[]\n"
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(seconds) < 0.5


def test_preset_is_a_name_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(to_json(override(MELD, ["train.epochs=7"]))), encoding="utf-8")
    assert configure("meld", [], "", None) == MELD
    assert configure(path, ["model.window_past=3"], "", None) == override(
        MELD, ["train.epochs=7", "model.window_past=3"]
    )
    with pytest.raises(InputError, match=r"--preset medl: there is no such preset or file; did you mean meld\?"):
        configure(Path("medl"), [], "", None)
    path.write_text('{"train": {"epoch": 3}}', encoding="utf-8")
    with pytest.raises(InputError, match=r"--preset .*mine\.json cannot be used: .*train\.epoch"):
        configure(path, [], "", None)
    assert set(PRESETS) <= set(str(Preset).replace("'", " ").split())  # The choices are those of the dictionary.
