"""A training that is killed goes on with --resume, and ends with the numbers of one that was not, bit for bit."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.data.corpus_file import save_corpus
from tests.testing.corpora import TINY, compile_quickly, make_corpus
from tests.testing.ten_seeds import SIMPLE

ROOT = Path(__file__).parents[2]
SETTINGS = [part for setting in (*TINY, *SIMPLE, "train.checkpoint=best") for part in ("--set", setting)]
OPTIONS = ["--seeds", "2", "--epochs", "4", "--save-every", "1", *SETTINGS]
RENAME = "os.rename"  # Whatever is written becomes whole by it.
RANDOM_MOMENTS = 20


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = tmp_path_factory.mktemp("corpus") / "small.npz"
    save_corpus(make_corpus(), path)
    return ["--corpus", str(path), *OPTIONS]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, arguments: Sequence[str]) -> Path:
    """The run that was not killed; its programs are in the cache after it."""
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    with compile_quickly():
        assert main(["train", *arguments, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def train(compilation_cache: str, arguments: Sequence[str]) -> Iterator[Callable[..., Any]]:
    """Trains in a process of its own into a folder: the exit code, the seconds, and what was printed."""
    environment = {
        **os.environ,
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "JAX_COMPILATION_CACHE_DIR": compilation_cache,
        # The programs are there; one that is killed while it writes another would leave half of it to the other tests.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9",
    }
    command = [sys.executable, "-m", "tests.testing.killed_trainings"]
    script = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert script.stdin and script.stdout

    def train(out: Path, *more: str, kill: Any = None) -> tuple[int, float, str]:
        log = out.with_suffix(".log")
        order = {"arguments": [*arguments, "--out", str(out), *more], "log": str(log), "kill": kill}
        print(json.dumps(order), file=script.stdin, flush=True)
        code, seconds = json.loads(script.stdout.readline())
        return code, seconds, log.read_text(encoding="utf-8")

    with script:
        yield train
        script.stdin.close()


def read_outcome(out: Path) -> tuple[str, ...]:
    """All that a run found, but for the time it took, and the names of all it left."""
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    del results["command"]
    plain = re.sub(r'"seconds": [^,}]*', "", json.dumps(results, indent=1))
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if len(path.name) != 32)  # Of random names.
    return plain, (out / "predictions.csv").read_text(encoding="utf-8"), *names


def test_a_training_that_is_killed_again_and_again(
    train: Callable[..., Any], uninterrupted: Path, tmp_path: Path
) -> None:
    """Before it is begun on disk, within a checkpoint, as weights become whole, and as the results do."""
    out = tmp_path / "run"
    full = out / "checkpoints" / "full"

    assert train(out, "--resume", kill=[RENAME, r"/run\.json$"])[0] == -9
    assert [path.name[:5] for path in out.iterdir()] == [".run-"]

    assert train(out, "--resume", kill=[RENAME, r"recovery_0/3\.orbax-checkpoint-tmp/state$"])[0] == -9
    assert {path.name for path in (full / "recovery_0").iterdir()} == {"1", "2", "3.orbax-checkpoint-tmp"}
    assert train(out)[0] == 2

    code, _, printed = train(out, "--resume", kill=[RENAME, r"/seed_1/\d$"])
    assert code == -9 and "seed_0 epoch 2/4" not in printed and "seed_0 epoch 3/4" in printed
    assert (full / "part_0.npz").is_file() and not (full / "part_1.npz").is_file()

    code, _, printed = train(out, "--resume", kill=[RENAME, r"/results\.json$"])
    assert code == -9 and re.findall(r"full seed_\d epoch \d/4", printed) == ["full seed_1 epoch 4/4"]
    assert (out / "report.md").is_file() and len(list(out.glob(".results-*.json"))) == 1

    code, _, printed = train(out, "--resume")
    assert code == 0 and "epoch" not in printed.split("━")[0]
    assert read_outcome(out) == read_outcome(uninterrupted)


@pytest.mark.slow
def test_a_training_that_is_killed_at_random_moments(
    train: Callable[..., Any], uninterrupted: Path, tmp_path: Path
) -> None:
    code, seconds, _ = train(tmp_path / "whole")
    assert code == 0
    moments = random.Random(0)
    killed = 0
    for moment in range(RANDOM_MOMENTS):
        out = tmp_path / f"run_{moment}"
        code, _, printed = train(out, kill=moments.uniform(0, seconds))
        assert code in (-9, 0), printed  # Another load on the machine: it may be faster than before.
        killed += code == -9
        code, _, printed = train(out, "--resume")
        assert code == 0, printed
        assert read_outcome(out) == read_outcome(uninterrupted), printed
    assert killed > RANDOM_MOMENTS / 2
