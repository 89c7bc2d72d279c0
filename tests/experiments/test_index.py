"""experiments/README.md has one row per script."""

import re
from pathlib import Path

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SCRIPTS = sorted(path.stem for path in EXPERIMENTS.glob("*.py") if path.stem != "__init__")


def test_every_script_has_a_row() -> None:
    """The table names every script once, with its own command."""
    rows = re.findall(r"^\| `(\w+)\.py` \| .* \| `python -m experiments\.(\w+)\b[^|]*` \|$", read_index(), re.MULTILINE)
    assert sorted(name for name, _ in rows) == SCRIPTS
    assert all(name == module for name, module in rows)


def read_index() -> str:
    """Reads experiments/README.md."""
    return (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
