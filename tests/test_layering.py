"""Who imports whom, read from the sources; how long files and functions are."""

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "macsgr_jax"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted((ROOT / "experiments").rglob("*.py"))
TRANSFORMATIONS = {"jit", "vmap", "pmap", "shard_map"}
# DESIGN.md, section 8, rule 7: only these, with what else needs a map inside one call.
TRANSFORMING = {
    "train.py": {"jax.jit"},
    "inference.py": {"jax.jit"},
    "export.py": {"jax.jit"},  # what `jax.export` takes
    "models/network.py": {"nn.vmap"},  # one set of weights a modality
    "models/recurrent.py": {"jax.vmap"},  # an orthogonal matrix a gate, when the weights are made
    "losses/prototype.py": {"jax.vmap"},  # one transport problem a modality
}
FREE_TO_TRANSFORM = {"sweep.py"}


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def find_imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, anywhere in it, as a dotted name; from a import b counts as a and a.b."""
    names: set[str] = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def imports_any(path: Path, *modules: str) -> set[str]:
    return {name for name in find_imports(path) if any(f"{name}.".startswith(f"{module}.") for module in modules)}


def find_reachable(path: Path) -> set[Path]:
    """The files of the package that a file imports, itself or through others; packages' __init__ left aside."""
    reached, todo = set(), [path]
    while todo:
        current = todo.pop()
        reached.add(current)
        for name in find_imports(current):
            file = ROOT / Path(*name.split(".")).with_suffix(".py")
            if file.is_file() and file not in reached:
                todo.append(file)
    return reached


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name


def files_in(folder: str) -> list[Path]:
    found = [path for path in SOURCES if path.parent.name == folder]
    assert found, f"macsgr_jax/{folder} is empty"
    return found


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("data", ("jax", "jaxlib", "flax", "optax", "orbax", "ott", "jraph", "macsgr_jax.models", "macsgr_jax.losses")),
        ("models", ("macsgr_jax.losses", "macsgr_jax.data", "optax", "orbax", "ott")),
        ("losses", ("macsgr_jax.models", "macsgr_jax.data", "flax", "jraph", "orbax")),
    ],
)
def test_layers_do_not_reach_what_they_must_not_know(folder: str, forbidden: tuple[str, ...]) -> None:
    for path in files_in(folder):
        for reached in find_reachable(path):
            assert not imports_any(reached, *forbidden), f"{name_of(path)} reaches it through {name_of(reached)}"


def test_data_needs_numpy_alone() -> None:
    known = {"numpy", "macsgr_jax"}
    for path in files_in("data"):
        roots = {name.split(".")[0] for name in find_imports(path)}
        assert roots - known <= sys.stdlib_module_names, name_of(path)


def test_the_package_never_imports_the_scripts_or_the_tests() -> None:
    for path in SOURCES:
        assert not imports_any(path, "experiments", "tests"), name_of(path)


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        ("ott", {"losses/prototype.py"}),
        ("orbax", {"checkpoint.py"}),
        ("jraph", {"models/graph.py", "models/syntactic.py"}),
        ("optax", {"optimizer.py", "train.py", "losses/objective.py"}),
        ("pickle", {"data/unpickle.py"}),
    ],
)
def test_a_library_has_its_importers_and_no_others(library: str, importers: set[str]) -> None:
    assert {name_of(path) for path in [*SOURCES, *SCRIPTS] if imports_any(path, library)} == importers


def find_transformations(path: Path) -> set[str]:
    """Uses of jit, vmap and their like, as jax.jit or nn.vmap, and imports of their bare names."""
    attributes = {
        f"{ast.unparse(node.value)}.{node.attr}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute) and node.attr in TRANSFORMATIONS
    }
    return attributes | {name for name in find_imports(path) if name.split(".")[-1] in TRANSFORMATIONS}


def test_transformations_are_where_they_belong() -> None:
    found = {name_of(path): find_transformations(path) for path in SOURCES if name_of(path) not in FREE_TO_TRANSFORM}
    assert {name: uses for name, uses in found.items() if uses} == TRANSFORMING


@pytest.mark.parametrize("path", [*SOURCES, *SCRIPTS], ids=name_of)
def test_files_stay_under_300_lines_and_functions_under_50(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef):
            docstring = node.body[0] if ast.get_docstring(node) else None
            documented = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
            length = (node.end_lineno or 0) - node.lineno + 1 - documented
            assert length <= 50, f"{node.name} has {length} lines without its docstring"


def test_no_file_is_named_after_nothing() -> None:
    names = {path.stem for path in [*SOURCES, *SCRIPTS]}
    assert not names & {"utils", "util", "helpers", "misc", "common"}
