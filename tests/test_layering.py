"""Who imports whom, read from the sources: the layers of docs/architecture.md."""

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "macsgr_jax"
SOURCES = sorted(PACKAGE.rglob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))
SCRIPTS = sorted((ROOT / "experiments").glob("*.py"))

# From the ground up: a file imports its own layer's package and what stands on a lower line, nothing beside it.
LAYERS = (
    ("errors",),
    ("limits",),
    ("files", "extras", "masking", "weighted_f1", "config"),
    ("types", "presets", "overrides", "metrics", "significance", "calibration"),
    ("data", "models", "losses"),
    ("features", "training"),
    ("inference",),
    ("runs", "viewer"),
    ("search", "serving"),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

TRANSFORMATIONS = {"jit", "vmap", "pmap", "shard_map"}
# Only these transform functions; the training loop is free to.
TRANSFORMING = {
    "training/step.py": {"jax.jit"},
    "metrics.py": {"jax.jit"},  # outside of a training step the scores would be a hundred programs
    "inference/predictor.py": {"jax.jit", "jax.vmap"},  # over networks and draws of the latent Gaussians
    "inference/streaming.py": {"jax.jit"},
    "inference/export.py": {"jax.jit"},  # the argument of `jax.export`
    "models/network.py": {"nn.vmap"},  # one set of weights per modality
    "models/gru.py": {"jax.vmap"},  # one orthogonal matrix per gate, when the weights are initialized
    "losses/prototype.py": {"jax.vmap"},  # one transport problem per modality
}
FREE_TO_TRANSFORM = {"training/loop.py"}


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


def layer_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def layers_of_imports(path: Path) -> set[str]:
    parts = [name.split(".") for name in find_imports(path)]
    return {rest[0] for package, *rest in parts if package == "macsgr_jax" and rest} & set(LEVEL)


def test_every_file_has_a_layer() -> None:
    assert {layer_of(path) for path in SOURCES} - {"__init__", "__main__"} == set(LEVEL)


@pytest.mark.parametrize("path", [path for path in SOURCES if layer_of(path) in LEVEL], ids=name_of)
def test_imports_go_downwards(path: Path) -> None:
    own = layer_of(path)
    for imported in layers_of_imports(path) - {own}:
        assert LEVEL[imported] < LEVEL[own], f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("name", ["config.py", "overrides.py", "presets/__init__.py"])
def test_what_help_needs_does_not_reach_jax(name: str) -> None:
    for reached in find_reachable(PACKAGE / name):
        top_level = {alias for node in parse(reached).body for alias in names_imported_by(node)}
        assert not {alias.split(".")[0] for alias in top_level} & {"jax", "flax", "orbax", "ott", "matplotlib"}, reached


def names_imported_by(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    return {str(node.module)} if isinstance(node, ast.ImportFrom) else set()


def test_data_needs_numpy_alone() -> None:
    known = {"numpy", "macsgr_jax"}
    for path in (path for path in SOURCES if layer_of(path) == "data"):
        roots = {name.split(".")[0] for name in find_imports(path)}
        assert roots - known <= sys.stdlib_module_names, name_of(path)


def test_the_package_never_imports_experiments_or_tests() -> None:
    for path in SOURCES:
        assert not imports_any(path, "experiments", "examples", "tests"), name_of(path)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_imports_a_script(path: Path) -> None:
    """What scripts share stands in experiments/paper and experiments/benchmark."""
    scripts = {f"experiments.{script.stem}" for script in SCRIPTS}
    assert not find_imports(path) & scripts


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        ("ott", {"losses/prototype.py"}),
        ("orbax", {"training/checkpoint.py"}),
        ("jraph", {"models/graph.py", "models/rgcn.py"}),
        ("optax", {"training/optimizer.py", "training/step.py", "losses/classification.py", "losses/uncertainty.py"}),
        ("pickle", {"data/safe_pickle.py"}),
        ("tyro", {path.relative_to(PACKAGE).as_posix() for path in SOURCES if layer_of(path) == "cli"}),
    ],
)
def test_a_library_has_its_importers_and_no_others(library: str, importers: set[str]) -> None:
    assert {name_of(path) for path in SOURCES if imports_any(path, library)} <= importers


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


def test_no_file_is_named_after_nothing() -> None:
    names = {path.stem for path in [*SOURCES, *EXPERIMENTS]}
    assert not names & {"utils", "util", "helpers", "misc"}
