"""Every command and code block of the README and the documentation: it runs, or its command line is accepted."""

import configparser
import contextlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tyro

from macsgr_jax import PRESETS, load_corpus, override, save_corpus
from macsgr_jax.cli.main import main as macsgr
from macsgr_jax.data import synthetic
from macsgr_jax.search.space import draw_points, make_grid
from tests.docs.blocks import PAGES, README, ROOT, Block, find_blocks, find_inline, split_commands
from tests.inference.test_export import LOADING
from tests.testing.corpora import compile_quickly, tiny_config

# Commands that are there already, or that this project has nothing to say about.
FOREIGN = (".", "cd", "echo", "srun", "gcloud")


def list_blocks(language: str) -> list[Any]:
    found = [block for page in PAGES for block in find_blocks(page, language)]
    assert found or language == "json"
    return [pytest.param(block, id=block.place) for block in found]


class Parsed(BaseException):
    """A command line was accepted; args[0] is the command."""


@contextlib.contextmanager
def stop_after_parsing() -> Iterator[None]:
    """Lets every command end as soon as its command line is parsed, by raising Parsed."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # runpy warns of modules that are imported already.
        parse = tyro.cli

        def parse_and_stop(*arguments: Any, **options: Any) -> Any:
            raise Parsed(parse(*arguments, **options))

        patch.setattr(tyro, "cli", parse_and_stop)
        yield


def parse_command(words: list[str]) -> Any:
    """Parses a command of this project, `macsgr ...` or `python -m ...`, without running it.

    Returns:
        What its command line was parsed into; None for --help and --version.
    """
    program, *arguments = words
    output = io.StringIO()
    with stop_after_parsing(), pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(output):
        module = "macsgr_jax.cli.main" if program == "macsgr" else arguments.pop(0)
        patch.setattr(sys, "argv", [program, *arguments])
        try:
            if program == "macsgr":
                sys.exit(macsgr())
            else:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
        except Parsed as parsed:
            return parsed.args[0]
        except SystemExit as stop:
            assert not stop.code, f"{' '.join(words)} is refused:\n{output.getvalue()}"
            return None
    raise AssertionError(f"{' '.join(words)} ran without parsing its command line")


def check_settings(command: Any) -> None:
    """See that the settings, axes and ranges of a parsed command line exist and have values that fit."""
    preset = str(getattr(command, "preset", "default"))
    # A file of `macsgr tune` is not there yet.
    config = override(PRESETS["default" if preset.endswith(".json") else preset], list(getattr(command, "set", ())))
    if getattr(command, "grid", ()):
        assert make_grid(command.grid, config)
    if getattr(command, "random", 0):
        assert len(draw_points(command.random, command.range, config, 0)) == command.random


def check_command(words: list[str]) -> None:
    """See that one command can be given: options exist, values parse, targets and extras are there."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    for place, word in enumerate(words):
        if Path(word).name == "macsgr":
            check_settings(parse_command(["macsgr", *words[place + 1 :]]))
            return
        if Path(word).name == "python" and words[place + 1 : place + 2] == ["-m"]:
            module = words[place + 2]
            if module.split(".")[0] in ("experiments", "examples", "macsgr_jax"):
                if module.split(".")[0] == "examples":
                    assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file()
                else:
                    check_settings(parse_command(["python", *words[place + 2 :]]))
            return
    program = words[0]
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), words
    elif Path(program).name == "pip":
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg", encoding="utf-8")
        named = {extra for word in words for extra in re.findall(r"(?:macsgr-jax|CHECKOUT)\[([\w,]+)\]", word)}
        assert {extra for group in named for extra in group.split(",")} <= set(setup["options.extras_require"]), words
    elif program.endswith(".sh"):
        assert os.access(ROOT / program, os.X_OK), f"{program} is no program"
    elif Path(program).name == "python":
        assert words[1] == "-c"
        compile(words[2], "-c", "exec")
    else:
        assert program in FOREIGN, f"nothing checks {' '.join(words)}"


@pytest.mark.parametrize("block", list_blocks("sh"))
def test_shell_blocks(block: Block) -> None:
    """Every line of a shell block can be given as it stands."""
    for words in split_commands(block.code):
        check_command(words)
        for word in words:
            assert not word.startswith("examples/") or (ROOT / word).is_file(), f"there is no {word}"


def test_inline_commands() -> None:
    """Commands inside a sentence or a table: the command exists, and where it has options, they do."""
    checked = 0
    for page in PAGES:
        for text in find_inline(page):
            if not text.startswith(("make ", "python -m experiments.")) or "..." in text or ".NAME" in text:
                continue
            if text.startswith("make ") or " --" in text:
                (words,) = split_commands(text)
                check_command(words)
                checked += 1
            else:
                module = ROOT / Path(*text.split()[2].split("."))
                assert module.is_dir() or module.with_suffix(".py").is_file(), text
    assert checked > 10


def test_named_settings() -> None:
    """Every setting in inline code exists, and its value fits."""
    named = set()
    for page in PAGES:
        if page.name in ("CHANGELOG.md", "lab_notes.md"):  # They have names of before.
            continue
        for text in find_inline(page):
            match = re.fullmatch(r"(?:--set )?((?:data|model|loss|train)\.[a-z_]+)(=\S+)?", text)
            if match and not match[1].endswith((".py", ".json", ".jax_export")):
                section, field = match[1].split(".")
                assert hasattr(getattr(PRESETS["default"], section), field), f"{page.name}: {text}"
                named.add(match[1])
                if match[2] and "..." not in match[2]:
                    override(PRESETS["default"], [match[1] + match[2]])
    assert len(named) > 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a small corpus, where the default preset is tiny."""
    save_corpus(synthetic.generate(12), tmp_path / "my_corpus.npz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PRESETS, "default", tiny_config())
    return tmp_path


@pytest.mark.parametrize("block", list_blocks("python"))
def test_python_blocks(block: Block, folder: Path) -> None:
    """Every block of Python runs by itself, in a folder with `my_corpus.npz`."""
    if "jax_export" in block.code:
        # tests/inference/test_export.py runs it in a process without this package.
        assert block.code.strip() == LOADING.strip()
        return
    names: dict[str, Any] = {"__name__": "block"}
    with compile_quickly():
        exec(compile(block.code, block.place, "exec"), names)
    if "mine.npz" in block.code:
        assert load_corpus("mine.npz").num_utterances == 6
    if "terms" in names:
        terms = {name: float(value) for name, value in names["terms"].items()}
        expected = terms["classification"] + 0.6 * (
            0.4 * terms["instance"] + 0.4 * terms["prototype"] + 0.3 * terms["latent"]
        )
        np.testing.assert_allclose(names["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("block", list_blocks("json"))
def test_json_blocks(block: Block) -> None:
    """JSON parses, JSON Lines line by line."""
    try:
        json.loads(block.code)
    except ValueError:
        for line in block.code.splitlines():
            json.loads(line)


def test_languages() -> None:
    """Every block says what it is, in one of the languages that are checked."""
    for page in PAGES:
        for block in find_blocks(page):
            assert block.language in ("sh", "python", "json", "text", "bibtex"), block.place


@pytest.mark.slow
def test_quickstart_runs(tmp_path: Path) -> None:
    """The quickstart of the README runs, and prints the rows that the README shows."""
    block = next(block for block in find_blocks(README, "sh") if "--out runs/demo" in block.code)
    output = ""
    for words in split_commands(block.code):
        if "CORPORA" not in " ".join(words):
            start = "import sys; from macsgr_jax.cli.main import main; sys.exit(main())"
            command = [sys.executable, "-c", start, *words[1:]]
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
            assert done.returncode == 0, done.stderr
            output += done.stdout
    (shown,) = (block for block in find_blocks(README, "text"))
    for line in shown.code.splitlines():
        for cell in re.split(r"  +", line):
            if not re.fullmatch(r"[\d. ±]+", cell):
                assert cell in output, cell
    assert (tmp_path / "runs" / "demo" / "results.json").is_file()
