"""The script that measures an accelerator, in its small form, which runs on any device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_small_form(tmp_path: Path) -> None:
    """The small form prints the table and writes its figures."""
    command = [
        str(ROOT / "experiments" / "benchmark" / "accelerator_suite.sh"),
        str(tmp_path / "suite.json"),
        "--small",
    ]
    environment = {**os.environ, "PYTHON": sys.executable, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    rows = (
        "2 seeds x 2 epochs at once",
        "PyTorch peer",
        "step, 1 runs",
        "epoch, rows of 110",
        "contrast",
        "aggregation",
    )
    for row in (*rows, "stream: first", "step, dialogues of 16", "the paper's 1000 points", "peak memory"):
        assert f"| {row}" in done.stdout
    results = json.loads((tmp_path / "suite.json").read_text(encoding="utf-8"))
    measured = results["measured"]
    assert results["small"] and measured["seeds"]["seconds"] > 0 and measured["grid"]["points"] == 1000
    assert measured["grid"]["runs_per_minute"] > 0
    for point in (*measured["runs"], measured["bfloat16"], *measured["lengths"]):
        assert point["step_seconds"] > 0
    assert measured["bfloat16"]["matmul"] == "bfloat16" and 0 <= measured["rows"][0]["padding_share"] < 1
    assert all(found["ratio"]["medians"] > 0 for found in measured["forms"].values())
