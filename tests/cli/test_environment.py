"""Variables of the environment that JAX reads: a right result, or one sentence that says what to do."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from macsgr_jax.cli.compiled_programs import remove_half_written
from macsgr_jax.training.devices import CLUSTERS, SLURM, describe_cluster

ROOT = Path(__file__).parents[2]


def run(cache: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own, with the variables of this one and some more."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "OMPI_"))}
    environment |= {"PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": cache} | variables
    command = [sys.executable, "-m", "macsgr_jax", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_64_bits_are_not_used(trained: Any, compilation_cache: str) -> None:
    finished = run(compilation_cache, "evaluate", str(trained.out), "--json", JAX_ENABLE_X64="1")
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == "note: JAX_ENABLE_X64 is ignored: the network computes in 32 bits\n"
    results = json.loads((trained.out / "results.json").read_text(encoding="utf-8"))
    for seed in results["networks"]["full"]["seeds"]:
        assert json.loads(finished.stdout)[str(seed["seed"])]["nll"] == pytest.approx(seed["test"]["nll"], abs=1e-5)


def test_a_platform_without_a_device_is_one_sentence(tmp_path: Path, compilation_cache: str) -> None:
    finished = run(compilation_cache, "train", "--out", str(tmp_path / "run"), JAX_PLATFORMS="cuda")
    assert finished.returncode == 2 and not (tmp_path / "run").exists()
    (line,) = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert "JAX finds no device of JAX_PLATFORMS=cuda: unset it, or install JAX for that device" in line
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            ("SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_STEP_NODELIST"),
            "of SLURM's variables SLURM_PROCID, SLURM_LOCALID are",
        ),
        ((), "this process was not started by SLURM, Kubernetes, Open MPI or on a TPU pod"),
        (SLURM, ""),
        (CLUSTERS[:1], ""),
    ],
)
def test_a_cluster_that_is_half_there_is_described(
    variables: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*SLURM, *CLUSTERS):
        monkeypatch.delenv(name, raising=False)
    for name in variables:
        monkeypatch.setenv(name, "1")
    described = describe_cluster()
    assert described.startswith(sentence) and bool(described) == bool(sentence)


PROGRAM = zlib.compress(bytes(range(256)) * 20)


def test_programs_that_a_killed_process_left_half_written_are_removed(tmp_path: Path) -> None:
    """At the next start, and no others; and what was whole at one look is not read again at the next."""
    for name, content in {"a-cache": PROGRAM, "b-cache": PROGRAM[:-5], "c-cache": b"", "other": b"x"}.items():
        (tmp_path / name).write_bytes(content)
    remove_half_written(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".looked", "a-cache", "other"}
    old = (tmp_path / ".looked").stat().st_mtime - 100
    for name in ("old-cache", "new-cache"):
        (tmp_path / name).write_bytes(PROGRAM[:-5])
    os.utime(tmp_path / "old-cache", (old, old))
    remove_half_written(tmp_path)
    assert (tmp_path / "old-cache").exists() and not (tmp_path / "new-cache").exists()
    remove_half_written(tmp_path / "absent")


def test_jax_still_keeps_half_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this fails, `remove_half_written` is no longer needed."""
    from jax._src.lru_cache import LRUCache

    cache = LRUCache(str(tmp_path), max_size=-1)
    path = type(cache.path / "any")
    write = path.write_bytes

    def write_half(self: Path, content: bytes) -> int:
        write(self, content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(path, "write_bytes", write_half)
        cache.put("program", PROGRAM)
    cache.put("program", PROGRAM)
    assert cache.get("program") == PROGRAM[: len(PROGRAM) // 2]
