"""Metadata of the package, its locks and its citation."""

import re
import tomllib
from pathlib import Path

import yaml

import macsgr_jax
from tests.packaging.test_extras import ROOT, list_packages, read_setup

PINNED = re.compile(r"^([a-z0-9._-]+)==(\S+)")


def read_lock(name: str) -> dict[str, set[str]]:
    """Package -> its pinned versions, of a file of requirements with hashes."""
    pinned: dict[str, set[str]] = {}
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = PINNED.match(line)
            assert match and "--hash=sha256:" in line, line
            pinned.setdefault(match[1], set()).add(match[2])
    return pinned


def test_one_version() -> None:
    """The version stands in macsgr_jax/__init__.py; the changelog and the citation have an entry of it."""
    assert read_setup()["metadata"]["version"] == "attr: macsgr_jax.__version__"
    released = re.findall(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert released[0] == macsgr_jax.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == macsgr_jax.__version__


def test_citation() -> None:
    """CITATION.cff has the keys that version 1.2.0 of the format requires, and prefers the paper."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    paper = citation["preferred-citation"]
    assert paper["doi"] == "10.1109/TAFFC.2024.3354382"
    assert [author["family-names"] for author in paper["authors"]] == ["Zhang", "Cui", "Hu", "Li"]


def test_locks() -> None:
    """What `make train` installs is a subset of what `make test` installs, in the same versions, with hashes."""
    short, full = read_lock("requirements.txt"), read_lock("requirements-dev.txt")
    assert all(full[name] == versions for name, versions in short.items())
    options = read_setup()
    core = list_packages(options["options"]["install_requires"])
    command = list_packages(options["options.extras_require"]["cli"])
    assert core | command | {"setuptools"} <= short.keys()
    assert not {"pytest", "mypy", "scikit-learn", "torch", "mkdocs"} & short.keys()
    assert {"pytest", "mypy", "ruff", "scikit-learn", "mkdocs-material"} <= full.keys()


def test_build_backend_is_pinned() -> None:
    """The editable install builds without isolation, so the locks hold what it builds with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (requirement,) = project["build-system"]["requires"]
    minimum = int(requirement.removeprefix("setuptools>="))
    assert all(int(version.split(".")[0]) >= minimum for version in read_lock("requirements.txt")["setuptools"])


def test_package_data() -> None:
    """py.typed and the viewer's files are package data, and exist."""
    for package, names in read_setup()["options.package_data"].items():
        for name in names.split():
            assert (ROOT / Path(*package.split(".")) / name).is_file(), name


def test_workflow_calls_ci() -> None:
    """The workflow that a forge finds runs .ci/run, which ends with the tests."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert {"run": ".ci/run"} in workflow["jobs"]["ci"]["steps"]
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith("make test")
