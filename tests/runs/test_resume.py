"""A training that is interrupted goes on with --resume and ends as if it had not been; all else is refused."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from macsgr_jax.runs import execution as runs
from macsgr_jax.training.checkpoint import RecoveryCheckpoints
from tests.testing.corpora import write_corpus

SEED_0, SEED_1 = "recovery_0", "recovery_1"


def list_files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder with its contents; folders with none."""
    return {str(path): b"" if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


def read_outcome(out: Path) -> tuple[Any, ...]:
    """All that a run found, but for the time it took."""
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    for network in results["networks"].values():
        for seed in network["seeds"]:
            assert seed.pop("seconds") > 0
    del results["command"], results["corpus"]["path"]  # As seen from the folder of the run.
    report = (out / "report.md").read_text(encoding="utf-8")
    return results, (out / "predictions.csv").read_text(encoding="utf-8"), re.sub(r"(command|corpus): .*", "", report)


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has a signal sent as the checkpoint of an epoch is written."""

    def stop_at(folder: str, epoch: int, number: signal.Signals = signal.SIGTERM) -> None:
        save = RecoveryCheckpoints.save

        def save_and_signal(self: RecoveryCheckpoints, saved: int, state: Any) -> None:
            save(self, saved, state)
            if (self._folder.name, saved) == (folder, epoch):
                signal.raise_signal(number)

        monkeypatch.setattr(runs.RecoveryCheckpoints, "save", save_and_signal)

    return stop_at


@pytest.fixture(scope="module")
def train(trained: Any, run_train: Callable[..., int]) -> Callable[..., int]:
    """The training script for two seeds of the full network, with a checkpoint an epoch, into a folder."""

    def train(out: Path, *more: str) -> int:
        fixed = ["--corpus", str(trained.corpus_file), "--seeds", "2", "--save-every", "1"]
        return run_train(*fixed, "--out", str(out), *more)

    return train


@pytest.fixture(scope="module")
def uninterrupted(train: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert train(out) == 0
    return out


@pytest.fixture(scope="module")
def stopped(train: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Asked to stop in the third epoch of the first seed; not to be changed."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_at.__wrapped__(patch)(SEED_0, 2)
        assert train(out) == 143
    return out


@pytest.fixture
def copied(stopped: Path, tmp_path: Path) -> Path:
    """To go on with, or to be damaged."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_the_epoch_end_and_the_run_goes_on_after_it(
    train: Callable[..., int],
    stop_at: Callable[..., None],
    uninterrupted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    out = tmp_path / "run"
    stop_at(SEED_1, 1, number)
    assert train(out) == code
    printed = capsys.readouterr()
    assert printed.err == "full seed_1: stopped after epoch 2 of 4: resume it with the same command and --resume\n"
    assert "full seed_1 epoch 2/4" in printed.out and "full seed_1 epoch 3/4" not in printed.out
    assert not (out / "results.json").exists()
    assert train(out, "--resume") == 0
    assert re.findall(r"full seed_\d epoch \d", capsys.readouterr().out) == [f"full seed_1 epoch {e}" for e in (3, 4)]
    assert read_outcome(out) == read_outcome(uninterrupted)
    assert {path.name for path in out.rglob("*") if "recovery" in path.name} == set()


def test_a_signal_before_the_first_epoch(
    train: Callable[..., int], uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("macsgr_jax.runs.train.describe_start", lambda *_: signal.raise_signal(signal.SIGTERM))
        assert train(tmp_path / "run") == 143
    assert capsys.readouterr().err.startswith("full seed_0: stopped before its first epoch: resume it with ")
    assert train(tmp_path / "run", "--resume") == 0
    assert read_outcome(tmp_path / "run") == read_outcome(uninterrupted)


def test_a_signal_in_the_last_epoch_comes_too_late(
    train: Callable[..., int], uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is to write the results, and that is done."""
    measure = runs.fetch
    monkeypatch.setattr(runs, "fetch", lambda tree: signal.raise_signal(signal.SIGTERM) or measure(tree))
    assert train(tmp_path / "run", "--seeds", "1") == 0
    assert (tmp_path / "run" / "results.json").is_file()


@pytest.mark.slow
def test_checkpoints_are_as_far_apart_as_asked(
    train: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None after the last epoch, whose weights are written."""
    saved: list[tuple[str, int]] = []
    monkeypatch.setattr(
        runs.RecoveryCheckpoints, "save", lambda self, epoch, state: saved.append((self._folder.name, epoch))
    )
    for every, expected in (("1", [1, 2, 3]), ("2", [2]), ("3", [3]), ("4", [])):
        assert train(tmp_path / every, "--seeds", "1", "--save-every", every) == 0
        assert saved == [(SEED_0, epoch) for epoch in expected]
        saved.clear()


def damage(checkpoint: Path, how: str) -> None:
    """Of all its data files, since orbax does not read the whole of each."""
    for path in [path for path in (checkpoint / "state").rglob("d/*") if path.is_file()]:
        content = path.read_bytes()
        middle = len(content) // 2
        path.unlink()
        if how != "deleted":
            flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            path.write_bytes(flipped if how == "flipped" else content[:middle])


@pytest.mark.parametrize("how", ["flipped", "cut short", "deleted"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    train: Callable[..., int], uninterrupted: Path, copied: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    recovery = copied / "checkpoints" / "full" / SEED_0
    assert sorted(path.name for path in recovery.iterdir()) == ["2", "3"]
    damage(recovery / "3", how)
    assert train(copied, "--resume") == 0
    printed = capsys.readouterr().out
    assert f"note: the checkpoint {recovery / '3'} is damaged (" in printed
    assert "full seed_0 epoch 3/4" in printed and "full seed_0 epoch 2/4" not in printed
    assert read_outcome(copied) == read_outcome(uninterrupted)


def test_where_all_checkpoints_are_damaged_the_run_does_not_go_on(
    train: Callable[..., int], copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for epoch in ("2", "3"):
        damage(copied / "checkpoints" / "full" / SEED_0 / epoch, "cut short")
    before = list_files(copied)
    assert train(copied, "--resume") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the checkpoint ") and error.count("\n") == 1
    assert f"{SEED_0}/2 is damaged (" in error and "there is no earlier one: train again with --overwrite" in error
    kept = {path: content for path, content in before.items() if "/full/" not in path or SEED_0 in path}
    assert kept.items() <= list_files(copied).items()


def test_resuming_begins_where_there_is_nothing(train: Callable[..., int], uninterrupted: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "deeper" / "run", "--resume") == 0
    assert read_outcome(tmp_path / "deeper" / "run") == read_outcome(uninterrupted)


def test_resuming_what_is_finished_shows_it_and_changes_nothing(
    train: Callable[..., int], uninterrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list_files(uninterrupted)
    capsys.readouterr()
    assert train(uninterrupted, "--resume") == 0
    printed = capsys.readouterr().out
    assert "audio + text (full)" in printed and "wrote" in printed and " epoch 4/4" not in printed
    waf1 = json.loads((uninterrupted / "results.json").read_text())["networks"]["full"]["summary"]["test"]["waf1"]
    assert f"{100 * waf1['mean']:.1f} ± {100 * waf1['std']:.1f}" in printed
    assert list_files(uninterrupted) == before


@pytest.mark.parametrize("state", ["stopped", "uninterrupted"])
def test_without_a_word_nothing_is_changed(
    train: Callable[..., int], request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    out = request.getfixturevalue(state)
    before = list_files(out)
    capsys.readouterr()
    assert train(out) == 2
    finished = state == "uninterrupted"
    sentence = "a finished run: choose" if finished else "an interrupted run: resume it with --resume, choose"
    assert capsys.readouterr().err == (
        f"error: --out {out} is not empty, it holds {sentence} another folder, or replace a run with --overwrite\n"
    )
    assert train(out, "--resume", "--overwrite") == 2
    assert "--resume and --overwrite contradict each other" in capsys.readouterr().err
    assert list_files(out) == before


def test_another_configuration_is_refused_field_by_field(
    trained: Any, train: Callable[..., int], stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list_files(stopped)
    other = ["--seeds", "3", "--epochs", "5", "--set", "model.dropout=0.1", "--set", "loss.gamma_latent=0.2"]
    assert train(stopped, "--resume", *other, "--runs-at-once", "2") == 2
    assert capsys.readouterr().err == (
        f"error: --resume: {stopped} holds another run: networks.full.loss.gamma_latent was 0.3 and is 0.2;"
        " networks.full.model.dropout was 0.5 and is 0.1; networks.full.train.epochs was 4 and is 5;"
        " seeds was [0, 1] and is [0, 1, 2]. Give the same options, or another --out\n"
    )
    assert train(stopped, "--resume", "--corpus", str(write_corpus(tmp_path))) == 2
    assert re.search(r"another run: corpus_sha256 was \w{64} and is \w{64}\. Give", capsys.readouterr().err)
    assert train(stopped, "--resume", "--single-modalities") == 2
    assert "networks.audio.data.features was absent and is ['audio_synthetic']" in capsys.readouterr().err
    assert list_files(stopped) == before


def test_what_was_half_written_is_removed(train: Callable[..., int], uninterrupted: Path, copied: Path) -> None:
    full = copied / "checkpoints" / "full"
    leftovers = [copied / ".results-abcd1234.json", full / ".part_0-abcd1234.npz", full / ".description-a_cd1234.json"]
    for path in leftovers:
        path.write_text("half")
    (full / SEED_0 / "4.orbax-checkpoint-tmp").mkdir()
    assert train(copied, "--resume") == 0
    names = [
        {str(path.relative_to(out)) for path in out.rglob("*") if len(path.name) != 32}  # Of random names.
        for out in (copied, uninterrupted)
    ]
    assert names[0] == names[1]


def test_a_run_that_was_interrupted_can_be_replaced(
    train: Callable[..., int], uninterrupted: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(copied, "--overwrite") == 0
    assert "full seed_0 epoch 1/4" in capsys.readouterr().out
    assert read_outcome(copied) == read_outcome(uninterrupted)
