"""A disk that is full in the middle of a training: one sentence, exit code 2, and the training can be resumed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from macsgr_jax.cli.main import main
from tests.runs.test_kill import OPTIONS, read_outcome
from tests.testing.corpora import compile_quickly, write_corpus

ROOT = Path(__file__).parents[2]
# A file system of so many bytes in memory, of a name space of its own, which the user of a Linux machine may make. The
# command is run there, and again once there is room; what it said and what it left come out before the name space ends.
SCRIPT = """
disk=$1 said=$2 bytes=$3; shift 3
mount -t tmpfs -o size=$bytes none "$disk" || exit 99
"$@" >"$said.out" 2>"$said.err"; echo $? >"$said.code"
mount -o remount,size=64m none "$disk"
"$@" --resume >"$said.resumed" 2>&1; echo $? >"$said.resumed_code"
cp -r "$disk/run" "$said.run"
"""
OUTSIDE = ["unshare", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]
FRACTIONS = (0.5, 0.7, 0.9, 0.35, 0.2, 0.1, 0.01)  # Of the bytes of the whole run.


def count_bytes(folder: Path) -> int:
    """The bytes that the files and folders take where each begins a page of its own."""
    return sum(max(4096, -(-path.stat().st_size // 4096) * 4096) for path in folder.rglob("*"))


@pytest.mark.slow
def test_a_disk_that_is_full_in_the_middle_of_a_training(compilation_cache: str, tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run([*OUTSIDE[:3], "true"], check=False).returncode:
        pytest.skip("no name space with a small file system can be made here")
    arguments = ["train", "--corpus", str(write_corpus(tmp_path)), *OPTIONS]
    whole = tmp_path / "whole" / "run"  # As deep as the others, since its results name the corpus as seen from there.
    whole.parent.mkdir()
    with compile_quickly():
        assert main([*arguments, "--out", str(whole)]) == 0
    bytes_of_all = count_bytes(whole)
    environment = {
        **os.environ,
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "JAX_COMPILATION_CACHE_DIR": compilation_cache,
    }
    stopped = 0
    for number, fraction in enumerate(FRACTIONS):
        disk, said = tmp_path / f"disk_{number}", tmp_path / f"said_{number}"
        disk.mkdir()
        command = [sys.executable, "-m", "macsgr_jax", *arguments, "--out", str(disk / "run")]
        size = str(round(fraction * bytes_of_all))
        subprocess.run([*OUTSIDE, str(disk), str(said), size, *command], cwd=ROOT, env=environment, check=True)
        out, error, code, resumed, resumed_code = (
            said.with_suffix(f".{name}").read_text(encoding="utf-8")
            for name in ("out", "err", "code", "resumed", "resumed_code")
        )
        assert code.strip() in ("0", "2"), (fraction, error)
        if code.strip() == "2":
            stopped += 1
            assert error.startswith("error: ") and error.count("\n") == 1, (fraction, error)
            assert "No space left on device" in error and "--resume" in error, (fraction, error)
        assert "Traceback" not in out + error, (fraction, error)
        assert resumed_code.strip() == "0", (fraction, resumed)
        assert read_outcome(said.with_suffix(".run")) == read_outcome(whole), fraction
    assert stopped >= len(FRACTIONS) - 2
