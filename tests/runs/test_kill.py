"""What is killed and run again ends as if it had not been killed, bit for bit, and leaves nothing temporary behind."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.data.corpus_file import save_corpus
from tests.testing.corpora import TINY, compile_quickly, make_corpus
from tests.testing.sounds import make_tone, write_sound
from tests.testing.ten_seeds import SIMPLE

ROOT = Path(__file__).parents[2]
SETTINGS = [part for setting in (*TINY, *SIMPLE, "train.checkpoint=best") for part in ("--set", setting)]
OPTIONS = ["--seeds", "2", "--epochs", "4", "--save-every", "1", *SETTINGS]
RENAME, REMOVAL = "os.rename", "shutil.rmtree"  # By the first, whatever is written becomes whole.
RANDOM_MOMENTS = 20  # Of each command: half of them in time, half between two changes of files.
TURNS = ("the rain came", "nobody saw it", "it rained again")


class Killed(NamedTuple):
    """What became of a command: its exit code or negative signal, seconds, changes of files, and what it printed."""

    code: int
    seconds: float
    changes: int | None
    printed: str


Run = Callable[..., Killed]


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
def run(compilation_cache: str) -> Iterator[Run]:
    """Runs a command in a process of its own, in a folder, and may kill it."""
    environment = {
        **os.environ,
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "JAX_COMPILATION_CACHE_DIR": compilation_cache,
        # The programs are there; one that is killed while it writes another would leave half of it to the other tests.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9",
    }
    command = [sys.executable, "-m", "tests.testing.killed_commands"]
    script = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert script.stdin and script.stdout

    def run(folder: Path, *arguments: str, kill: Any = None, **environment: str) -> Killed:
        log = folder.with_name(f"{folder.name}.log")
        order = {"arguments": arguments, "folder": str(folder), "log": str(log)}
        print(json.dumps(order | {"environment": environment, "kill": kill}), file=script.stdin, flush=True)
        return Killed(*json.loads(script.stdout.readline()), log.read_text(encoding="utf-8"))

    with script:
        yield run
        script.stdin.close()


@pytest.fixture(scope="module")
def train(run: Run, arguments: Sequence[str]) -> Callable[..., Any]:
    """Trains into a folder: the exit code, the seconds, and what was printed."""

    def train(out: Path, *more: str, kill: Any = None) -> tuple[int, float, str]:
        killed = run(out.parent, "train", *arguments, "--out", str(out), *more, kill=kill)
        return killed.code, killed.seconds, killed.printed

    return train


def read_outcome(out: Path) -> tuple[str, ...]:
    """All that a run or a sweep found, but for the time it took, and the names of all it left."""
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    del results["command"]
    plain = re.sub(r'"seconds": [^,}]*', "", json.dumps(results, indent=1))
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if len(path.name) != 32)  # Of random names.
    tables = [
        path.read_text(encoding="utf-8") for name in ("predictions.csv", "runs.csv") if (path := out / name).exists()
    ]
    return plain, *tables, *names


def test_a_training_that_is_killed_again_and_again(
    train: Callable[..., Any], uninterrupted: Path, tmp_path: Path
) -> None:
    """Before it is begun on disk, within a checkpoint, as weights become whole, as the results do, and after that."""
    out = tmp_path / "run"
    full = out / "checkpoints" / "full"

    assert train(out, "--resume", kill=[RENAME, r"/run\.json$"])[0] == -9
    assert [path.name[:5] for path in out.iterdir()] == [".run-"]

    assert train(out, "--resume", kill=[RENAME, r"recovery_0/3\.orbax-checkpoint-tmp/state$"])[0] == -9
    assert {path.name for path in (full / "recovery_0").iterdir()} == {"1", "2", "3.orbax-checkpoint-tmp"}
    assert train(out)[0] == 2

    code, _, printed = train(out, "--resume", kill=[REMOVAL, "/recovery_0$"])
    assert code == -9 and "seed_0 epoch 2/4" not in printed and "seed_0 epoch 3/4" in printed
    assert (full / "part_0.npz").is_file() and (full / "recovery_0").is_dir()

    code, _, printed = train(out, "--resume", kill=[RENAME, r"/seed_1/\d$"])
    assert code == -9 and "seed_0" not in printed and "seed_1 epoch 1/4" in printed
    assert not (full / "part_1.npz").is_file() and not (full / "recovery_0").exists()

    code, _, printed = train(out, "--resume", kill=[RENAME, r"/results\.json$"])
    assert code == -9 and re.findall(r"full seed_\d epoch \d/4", printed) == ["full seed_1 epoch 4/4"]
    assert (out / "report.md").is_file() and len(list(out.glob(".results-*.json"))) == 1

    assert train(out, "--resume", kill=[RENAME, r"/confusion\.png$"])[0] == -9
    assert len(list(out.glob(".confusion-*.png"))) == 1

    code, _, printed = train(out, "--resume")
    assert code == 0 and "epoch" not in printed.split("━")[0]
    assert read_outcome(out) == read_outcome(uninterrupted)


def choose_moments(whole: Killed, seed: int) -> list[Any]:
    """Moments at random to kill what took so many seconds and made so many changes when it was not killed."""
    draw = random.Random(seed)
    assert whole.code == 0 and whole.changes, whole.printed
    in_time = [draw.uniform(0, whole.seconds) for _ in range(RANDOM_MOMENTS // 2)]
    return [*in_time, *(["change", draw.randint(1, whole.changes)] for _ in range(RANDOM_MOMENTS - len(in_time)))]


def check_at_random_moments(
    run: Run, folder: Path, command: Sequence[str], corpus: str, seed: int, more: Sequence[Any] = ()
) -> None:
    """Kills a training or a sweep at random moments, and `more`; resumes it, and compares it with one left alone."""
    folder.mkdir()
    command = [*command, "--corpus", corpus, "--out", "run"]
    whole = run(folder, *command)
    moments = [*more, *choose_moments(whole, seed)]
    expected = read_outcome(folder / "run")
    killed = 0
    for number, moment in enumerate(moments):
        again = folder.parent / f"{folder.name}_{number}"
        again.mkdir()
        first = run(again, *command, kill=moment)
        assert first.code in (-9, 0), first.printed  # Another load on the machine: it may be faster than before.
        killed += first.code == -9
        if (again / "run" / "results.json").exists():  # Whole, then.
            json.loads((again / "run" / "results.json").read_text(encoding="utf-8"))
        second = run(again, *command, "--resume")
        assert second.code == 0, (moment, second.printed)
        assert "Traceback" not in second.printed and "Warning" not in second.printed, second.printed
        assert read_outcome(again / "run") == expected, (moment, second.printed)
        assert [path.name for path in again.iterdir()] == ["run"]
    assert killed > RANDOM_MOMENTS / 2


@pytest.mark.slow
def test_a_training_that_is_killed_at_random_moments(
    run: Run, uninterrupted: Path, arguments: Sequence[str], tmp_path: Path
) -> None:
    check_at_random_moments(run, tmp_path / "train", ["train", *OPTIONS], arguments[1], 0)


@pytest.mark.slow
def test_a_sweep_that_is_killed_at_random_moments(run: Run, arguments: Sequence[str], tmp_path: Path) -> None:
    """Two settings, each a program of its own, with two seeds."""
    more = [[REMOVAL, "/group_0$"], [RENAME, r"/sweep\.png$"]]
    command = ["sweep", "--grid", "window_past=1,2", *OPTIONS, "--epochs", "2"]
    check_at_random_moments(run, tmp_path / "sweep", command, arguments[1], 1, more)


def write_conversations(folder: Path) -> Path:
    """Recorded conversations for training, and a folder of them to predict."""
    for split, names in (("train", "abc"), ("validation", "d"), ("test", "e")):
        (folder / split).mkdir(parents=True)
        for name in names:
            rows = [
                f"{'AB'[row % 2]},{row},{row + 0.5},{text},{'sad' if row else 'calm'}" for row, text in enumerate(TURNS)
            ]
            (folder / split / f"{name}.csv").write_text("\n".join(["speaker,start,end,text,label", *rows, ""]))
            tones = [make_tone(1.0, 100 + 50 * row + ord(name)) for row in range(3)]
            write_sound(folder / split / f"{name}.wav", np.concatenate(tones))
    return folder


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("opensmile")
    return write_conversations(tmp_path_factory.mktemp("talks") / "talks")


def check_file_at_random_moments(
    run: Run, folder: Path, command: Sequence[str], out: str, seed: int, **environment: str
) -> None:
    """Kills a command that writes one file, with its own empty cache folder, and runs it again."""
    folder.mkdir()
    whole = run(folder, *command, XDG_CACHE_HOME=str(folder / "cache"), **environment)
    moments = choose_moments(whole, seed)
    expected, cached = (folder / out).read_bytes(), list_names(folder / "cache")
    killed = 0
    for number, moment in enumerate(moments):
        again = folder.parent / f"{folder.name}_{number}"
        again.mkdir()
        cache = {"XDG_CACHE_HOME": str(again / "cache"), **environment}
        first = run(again, *command, kill=moment, **cache)
        assert first.code in (-9, 0), first.printed
        killed += first.code == -9
        assert not (again / out).exists() or (again / out).read_bytes() == expected
        second = run(again, *command, "--overwrite", **cache)
        assert second.code == 0, (moment, second.printed)
        assert "Traceback" not in second.printed and "Warning" not in second.printed, second.printed
        assert (again / out).read_bytes() == expected, moment
        assert {path.name for path in again.iterdir()} == {out, "cache"}
        assert list_names(again / "cache") == cached, moment
    assert killed > RANDOM_MOMENTS / 2


def list_names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.slow
def test_an_import_that_is_killed_at_random_moments(run: Run, talks: Path, tmp_path: Path) -> None:
    features = ["--features", "text_lsa,audio_egemaps", "--jobs", "1"]
    command = ["import", "conversations", str(talks), "corpus.npz", *features]
    check_file_at_random_moments(run, tmp_path / "import", command, "corpus.npz", 2)


@pytest.mark.slow
def test_a_prediction_that_is_killed_at_random_moments(run: Run, talks: Path, tmp_path: Path) -> None:
    """Its features and its compiled programs are kept in folders that the kill may leave half written."""
    (tmp_path / "model").mkdir()
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    features = ["--features", "text_lsa,audio_egemaps"]
    made = run(tmp_path / "model", "import", "conversations", str(talks), "corpus.npz", *features, **cache)
    assert made.code == 0, made.printed
    settings = [part for setting in (*TINY, *SIMPLE[1:]) for part in ("--set", setting)]
    made = run(
        tmp_path / "model", "train", "--corpus", "corpus.npz", "--out", "run", "--epochs", "1", *settings, **cache
    )
    assert made.code == 0, made.printed
    command = ["predict", str(talks / "test"), "--model", str(tmp_path / "model" / "run"), "--out", "p.jsonl"]
    check_file_at_random_moments(run, tmp_path / "predict", [*command, "--jobs", "1"], "p.jsonl", 3)
