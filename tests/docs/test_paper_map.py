"""The paper-to-code map names what exists, and has every equation, figure and table."""

import ast
import re
from pathlib import Path

from tests.docs.blocks import ROOT, read_page

PAGE = read_page(ROOT / "docs" / "paper.md")


def list_names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_functions_exist() -> None:
    """Each `file.py: name` is a function or class of that file of the package."""
    named = re.findall(r"`([\w/]+\.py): (\w+)`", PAGE)
    assert len(named) > 30
    for file, name in named:
        assert name in list_names(ROOT / "macsgr_jax" / file), f"{file}: {name}"


def test_tests_exist() -> None:
    """Each test file exists and has tests."""
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(named) > 15
    for file in named - {"tests/reference.py"}:
        assert any(name.startswith("test_") for name in list_names(ROOT / file)), file


def test_equations() -> None:
    """The first table has each of the equations 1 to 33, once."""
    table = PAGE.split("## Equations")[1].split("## Algorithm 1")[0]
    cells = re.findall(r"^\| ([\d, ]+) \|", table, flags=re.MULTILINE)
    assert sorted(int(number) for cell in cells for number in cell.split(",")) == list(range(1, 34))


def test_figures_and_tables() -> None:
    """The third table has Tables I to V and Figs. 1 to 8; the commands make the table or figure of their row."""
    table = PAGE.split("## Tables and figures")[1].split("## Differences")[0]
    rows = re.findall(r"^\| (?:Table|Fig\.) (\S+) \|", table, flags=re.MULTILINE)
    assert rows == ["I", "II", "III", "IV", "V", *map(str, range(1, 9))]
    for number, made in re.findall(r"^\| Fig\. (\d) .*--figure (\d)", table, flags=re.MULTILINE):
        assert number == made
