"""Many devices, and many processes, come to the numbers of one."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.data.corpus_file import save_corpus
from macsgr_jax.errors import InputError
from macsgr_jax.training.devices import agree, fetch, is_writer, make_mesh, place_runs, replicate, start_processes
from tests.testing.corpora import TINY, compile_quickly
from tests.testing.ten_seeds import SETTINGS, SIMPLE, assert_same

ROOT = Path(__file__).parents[2]
SECONDS = 300
OPTIONS = ("--seeds", "10", "--runs-at-once", "10", "--save-every", "100")


@pytest.fixture(scope="module")
def environment(compilation_cache: str) -> dict[str, str]:
    """Of processes that compile as quickly as this one, and share its compiled programs."""
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "JAX_COMPILATION_CACHE_DIR": compilation_cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    }


@pytest.fixture(scope="module")
def eight_devices(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """What tests/many_devices.py leaves behind."""
    folder = tmp_path_factory.mktemp("devices")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    command = [sys.executable, "-m", "tests.testing.many_devices", str(folder)]
    subprocess.run(command, cwd=ROOT, env={**environment, "XLA_FLAGS": flags}, check=True, timeout=SECONDS)
    return folder


@pytest.mark.parametrize("split_batch", [1, 2])
def test_ten_seeds_on_eight_devices_are_ten_seeds_on_one(ten_seeds: Any, eight_devices: Path, split_batch: int) -> None:
    """Ten do not divide eight or four, and two devices share batches of three rows."""
    with np.load(eight_devices / f"split_{split_batch}.npz") as found:
        assert_same(dict(found), ten_seeds.outcome, 1e-5)


@pytest.mark.parametrize("split_batch", [1, 2])
def test_devices_meet_only_where_they_share_a_batch_or_gather_scores(eight_devices: Path, split_batch: int) -> None:
    found = json.loads((eight_devices / f"split_{split_batch}.json").read_text(encoding="utf-8"))
    assert found["programs"] == 1  # The second epoch finds its input where the first one did.
    if split_batch == 1:
        assert found["loops"] == [] and set(found["main"]) == {"all-gather"}
    else:
        assert "all-reduce" in found["loops"]


class Processes:
    """Two processes of `macsgr train` that know each other; what each prints goes to a file."""

    def __init__(self, out: Path, environment: dict[str, str], *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self._logs = [out.with_name(f"{out.name}.log{rank}") for rank in range(2)]
        command = [
            sys.executable,
            "-m",
            "macsgr_jax",
            "train",
            "--out",
            str(out),
            *OPTIONS,
            *arguments,
            "--distributed",
        ]
        self.processes = []
        for rank, log in enumerate(self._logs):
            with open(log, "w", encoding="utf-8") as file:
                self.processes.append(
                    subprocess.Popen(
                        [*command, f"{address},2,{rank}"], cwd=ROOT, env=environment, stdout=file, stderr=file
                    )
                )

    def wait_for(self, path: Path) -> None:
        """Until the path exists."""
        end = time.monotonic() + SECONDS
        while not path.exists():
            assert time.monotonic() < end and not any(process.poll() for process in self.processes), self.read()
            time.sleep(0.01)

    def wait(self) -> list[int]:
        """Their exit codes."""
        return [process.wait(SECONDS) for process in self.processes]

    def read(self) -> list[str]:
        """What each printed."""
        return [log.read_text(encoding="utf-8") for log in self._logs]


@contextmanager
def start(out: Path, environment: dict[str, str], *arguments: str) -> Iterator[Processes]:
    """Two processes, which do not outlive the block."""
    running = Processes(out, environment, *arguments)
    try:
        yield running
    finally:
        for process in running.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def arguments(ten_seeds: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Those of the command for ten seeds."""
    path = tmp_path_factory.mktemp("corpus") / "small.npz"
    save_corpus(ten_seeds.prepared.corpus, path)
    return ["--corpus", str(path), *(part for setting in (*TINY, *SETTINGS, *SIMPLE) for part in ("--set", setting))]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory, arguments: Sequence[str]) -> Path:
    """The run of one process."""
    out = tmp_path_factory.mktemp("one") / "run"
    with compile_quickly():
        assert main(["train", *arguments, *OPTIONS, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def two_processes(
    tmp_path_factory: pytest.TempPathFactory, arguments: Sequence[str], environment: dict[str, str]
) -> Path:
    """The run of two processes, one of which is asked to stop in the first epoch, and which go on after that."""
    out = tmp_path_factory.mktemp("two") / "run"
    with start(out, environment, *arguments) as running:
        running.wait_for(out / "checkpoints" / "full" / "recovery_0")
        running.processes[1].send_signal(signal.SIGTERM)
        assert running.wait() == [143, 143], running.read()
        for printed in running.read():
            assert "\nfull seed_0 to seed_9: stopped after epoch 1 of 3: resume it with the same command and" in printed
    assert not (out / "results.json").exists()
    with start(out, environment, *arguments, "--resume") as running:
        assert running.wait() == [0, 0], running.read()
        first, second = running.read()
        assert "wrote" in first and "epoch 1/3" not in first and "epoch 3/3" in first
        assert "epoch" not in second  # One of them prints.
    return out


def read_results(out: Path) -> Any:
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def assert_near(found: Any, expected: Any, place: str = "results") -> None:
    """Numbers agree to 1e-5, all else is equal; how long it took and on what is left aside."""
    assert type(found) is type(expected), place
    if isinstance(expected, dict):
        assert list(found) == list(expected), place
        for key in expected.keys() - {"seconds", "command", "device"}:
            assert_near(found[key], expected[key], f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for index, values in enumerate(zip(found, expected, strict=True)):
            assert_near(*values, f"{place}[{index}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5), place
    else:
        assert found == expected, place


@pytest.mark.slow
def test_ten_seeds_of_two_processes_are_those_of_one(one_process: Path, two_processes: Path) -> None:
    found, expected = read_results(two_processes), read_results(one_process)
    assert len(expected["networks"]["full"]["seeds"]) == 10
    assert_near(found, expected)
    assert (found["device"]["count"], expected["device"]["count"]) == (2, 1)


@pytest.mark.slow
def test_predictions_of_two_processes_are_those_of_one(one_process: Path, two_processes: Path) -> None:
    tables = []
    for out in (one_process, two_processes):
        with open(out / "predictions.csv", encoding="utf-8", newline="") as file:
            tables.append(list(csv.reader(file)))
    assert len(tables[0]) == len(tables[1]) and len(tables[0]) > 10
    for one, other in zip(*tables, strict=True):
        assert one[:4] == other[:4]
        if one[0] != "seed":
            np.testing.assert_allclose(np.float64(one[4:]), np.float64(other[4:]), atol=1e-5)


@pytest.mark.slow
def test_two_processes_leave_what_one_leaves(one_process: Path, two_processes: Path) -> None:
    files = [
        {str(path.relative_to(out)) for path in out.rglob("*") if "seed_" not in str(path)}
        for out in (one_process, two_processes)
    ]
    assert files[0] == files[1]


@pytest.mark.slow
def test_two_processes_that_were_interrupted_are_two_that_were_not(
    two_processes: Path, tmp_path: Path, arguments: Sequence[str], environment: dict[str, str]
) -> None:
    """Bit for bit."""
    with start(tmp_path / "run", environment, *arguments) as running:
        assert running.wait() == [0, 0], running.read()
    found, expected = (
        re.sub(r'"seconds": .*|"127.0.0.1:.*"', "", (out / "results.json").read_text(encoding="utf-8"))
        for out in (two_processes, tmp_path / "run")
    )
    assert found.replace(str(two_processes), str(tmp_path / "run")) == expected
    assert (two_processes / "predictions.csv").read_bytes() == (tmp_path / "run" / "predictions.csv").read_bytes()


@pytest.mark.parametrize(
    "where",
    ["", "two", "127.0.0.1:1234", "127.0.0.1:1234,2", "127.0.0.1,2,0", "a:1,two,0", "a:1,2,-1", "a:1,2,2", "a:1,0,0"],
)
def test_processes_that_are_not_well_described_are_refused(where: str) -> None:
    with pytest.raises(InputError, match=f"^--distributed {re.escape(where)}: write auto under SLURM, .*,COUNT,RANK"):
        start_processes(where)


def test_a_start_that_jax_refuses_is_an_input_error() -> None:
    """Here, since the devices are there already."""
    for where in ("auto", "127.0.0.1:1234,1,0"):
        with pytest.raises(InputError, match=f"^--distributed {where}: .+: write auto under SLURM") as caught:
            start_processes(where)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("split_batch", [-1, 0, 2, 3])
def test_a_batch_is_split_among_devices_that_there_are(split_batch: int) -> None:
    with pytest.raises(InputError, match=f"--split-batch {split_batch} does not divide the 1 devices"):
        make_mesh(split_batch)


def test_one_process_agrees_with_itself_and_writes() -> None:
    assert agree(True) and not agree(False) and is_writer()


def test_what_is_placed_comes_back() -> None:
    mesh = make_mesh()
    tree = {"runs": np.arange(6.0).reshape(3, 2), "key": np.uint32([7])}
    for place in (place_runs, replicate):
        placed = place(tree, mesh)
        assert {leaf.sharding.mesh for leaf in placed.values()} == {mesh}
        found = fetch(placed)
        assert all(isinstance(leaf, np.ndarray) for leaf in found.values())
        np.testing.assert_array_equal(found["runs"], tree["runs"])
        np.testing.assert_array_equal(found["key"], tree["key"])
