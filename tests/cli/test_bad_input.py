"""Whatever the user hands in wrong ends with one sentence and exit code 2, and nothing is left behind."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.data.corpus_file import save_corpus
from tests.testing.corpora import make_corpus, write_corpus

ROOT = Path(__file__).parents[2]


def list_files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder with its contents; folders with none."""
    return {str(path): b"" if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def refuse(run_train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the training script, checks that it refuses as it should, and gives back the sentence."""

    def refuse(*arguments: str) -> str:
        before = list_files(tmp_path)
        capsys.readouterr()
        out = () if "--out" in arguments else ("--out", str(tmp_path / "run"))
        assert run_train(*arguments, *out) == 2
        error = capsys.readouterr().err
        assert list_files(tmp_path) == before
        assert error.startswith("error: ") and error.endswith("\n") and error.count("\n") == 1
        return error

    return refuse


def change(name: str, place: Any, value: Any) -> Callable[[dict[str, np.ndarray]], dict[str, Any]]:
    """A change of one value of one array of a corpus file."""

    def apply(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        changed = arrays[name].copy()
        changed[place] = value
        return {name: changed}

    return apply


@pytest.mark.parametrize(
    ("make_changes", "sentence"),
    [
        pytest.param(
            change("text_small", (9, 1), np.nan), "text_small is nan in column 1 of row 9, utterance talk2_2", id="nan"
        ),
        pytest.param(
            change("text_small", (9, 1), np.inf), "text_small is inf in column 1 of row 9, utterance talk2_2", id="inf"
        ),
        pytest.param(change("offsets", 2, 3), "dialogue 2? ?.*offsets have to increase", id="offsets"),
        pytest.param(
            change("label", 4, 3), r"label 3 at row 4, utterance talk1_0 is not one of the 3 label_names", id="label"
        ),
        pytest.param(change("label", 4, -2), "label -2 at row 4, utterance talk1_0", id="negative label"),
        pytest.param(
            lambda arrays: {"text": np.array([{}] * len(arrays["label"]), object)},
            "the array text holds Python objects, which are never unpickled",
            id="pickle",
        ),
        pytest.param(
            lambda arrays: {"label": arrays["label"].astype(np.float32)}, "the array label is float32", id="kind"
        ),
        pytest.param(lambda arrays: {"label": arrays["label"][:-1]}, "the last of offsets is 29", id="length"),
        pytest.param(
            lambda arrays: {"split": 0 * arrays["split"]}, "test is a split without utterances", id="no test split"
        ),
    ],
)
def test_a_corpus_file_with_a_mistake(
    refuse: Callable[..., str],
    tmp_path: Path,
    make_changes: Callable[[dict[str, np.ndarray]], dict[str, Any]],
    sentence: str,
) -> None:
    with np.load(write_corpus(tmp_path)) as arrays:
        changes = make_changes(dict(arrays))
    path = write_corpus(tmp_path, **changes)
    assert re.search(f"{re.escape(str(path))}: .*{sentence}", refuse("--corpus", str(path)))


def test_a_corpus_file_that_is_not_there(refuse: Callable[..., str], tmp_path: Path) -> None:
    assert "absent.npz: there is no such file" in refuse("--corpus", str(tmp_path / "absent.npz"))
    assert "this is a folder" in refuse("--corpus", str(tmp_path))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_corpus_file_that_was_cut_short(refuse: Callable[..., str], tmp_path: Path, share: float) -> None:
    path = write_corpus(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "small.npz: this file is not a readable .npz archive, or was cut short" in refuse("--corpus", str(path))


def test_a_file_of_another_kind(refuse: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("text,label\nhello,happy\n")
    assert "table.csv: this file is not a readable .npz archive" in refuse("--corpus", str(tmp_path / "table.csv"))
    np.save(tmp_path / "features.npy", np.zeros((3, 2)))
    assert "features.npy: " in refuse("--corpus", str(tmp_path / "features.npy"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--features", "text_smal"), r"no feature set 'text_smal' \(did you mean text_small"),
        (("--features", "text_small,text_small"), "the feature set text_small is given twice"),
        (("--set", "model.hiden_size=8"), r"no setting model\.hiden_size; did you mean model\.hidden_size"),
        (("--set", "model.hidden_size=big"), r"--set model\.hidden_size=big: .*valid integer"),
        (("--set", "model.hidden_size"), r"--set model\.hidden_size: write it as NAME=VALUE"),
        (("--set", "train.weight_decay=nan"), r"--set train\.weight_decay=nan: "),
        (("--set", "model.fusion_heads=3"), r"model\.fusion_heads = 3 does not divide"),
        (("--set", "data.slots_per_row=5"), r"data\.slots_per_row = 5 is too short for dialogue talk2"),
        (("--epochs", "-1"), r"train\.epochs=-1: .*greater than or equal to 0"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--first-seed", "-1"), "--first-seed at least 0"),
    ],
)
def test_an_option_with_a_mistake(
    refuse: Callable[..., str], tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    assert re.search(sentence, refuse("--corpus", str(write_corpus(tmp_path)), *arguments))


def test_too_few_dialogues_to_hold_one_out_for_validation(refuse: Callable[..., str], tmp_path: Path) -> None:
    corpus = make_corpus(lengths=(4, 3), splits=("train", "test"))
    assert "1 training dialogue is too few" in refuse("--corpus", str(write_corpus(tmp_path, corpus)))


def test_a_place_that_cannot_be_written(refuse: Callable[..., str], tmp_path: Path) -> None:
    """Below a regular file, as everything else can be written by root."""
    path = write_corpus(tmp_path)
    for out in (path, path / "run", path / "deeper" / "run"):
        error = refuse("--corpus", str(path), "--out", str(out))
        assert f"--out {out} cannot be written" in error and "choose another folder" in error


def test_a_mistake_does_not_delete_the_run_that_was_to_be_replaced(refuse: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "results.json").write_text("{}")
    path = write_corpus(tmp_path)
    for mistake in (("--features", "video_none"), ("--set", "data.slots_per_row=5")):
        refuse("--corpus", str(path), "--overwrite", *mistake)
    assert (tmp_path / "run" / "results.json").read_text() == "{}"


@pytest.fixture
def refuse_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the evaluation script, checks that it refuses as it should, and gives back the sentence."""

    def refuse_evaluation(*arguments: str) -> str:
        before = list_files(tmp_path)
        capsys.readouterr()
        assert main(["evaluate", *arguments]) == 2
        printed = capsys.readouterr()
        assert list_files(tmp_path) == before and printed.out == ""
        assert printed.err.startswith("error: ") and printed.err.endswith("\n") and printed.err.count("\n") == 1
        return printed.err

    return refuse_evaluation


@pytest.fixture
def copied(trained: Any, tmp_path: Path) -> Path:
    """A run, to be damaged."""
    shutil.copy(trained.corpus_file, tmp_path)
    return Path(shutil.copytree(trained.out, tmp_path / "copied"))


def test_evaluating_a_folder_that_is_no_run(refuse_evaluation: Callable[..., str], tmp_path: Path) -> None:
    assert "is not the folder of a run: give what was --out of" in refuse_evaluation(str(tmp_path))
    assert "is not the folder of a run" in refuse_evaluation(str(tmp_path / "absent"))


def test_evaluating_a_network_that_was_not_trained(refuse_evaluation: Callable[..., str], copied: Path) -> None:
    assert "has no network video: choose from audio, full, text" in refuse_evaluation(str(copied), "--network", "video")


def test_evaluating_with_another_corpus(trained: Any, refuse_evaluation: Callable[..., str], tmp_path: Path) -> None:
    trained.corpus.features["text_synthetic"][0] += 1
    try:
        save_corpus(trained.corpus, tmp_path / "talks.npz")
    finally:
        trained.corpus.features["text_synthetic"][0] -= 1
    error = refuse_evaluation(str(trained.out), "--corpus", str(tmp_path / "talks.npz"))
    assert "is not the one of the training (sha256 " in error and "give the same file with --corpus" in error


def test_evaluating_when_the_corpus_is_gone(refuse_evaluation: Callable[..., str], copied: Path) -> None:
    description = copied / "checkpoints" / "full" / "description.json"
    description.write_text(re.sub(r'"path": ".*"', '"path": "gone.npz"', description.read_text(encoding="utf-8")))
    assert "gone.npz: say with --corpus where it is now" in refuse_evaluation(str(copied))


def test_evaluating_damaged_checkpoints(refuse_evaluation: Callable[..., str], copied: Path) -> None:
    folder = copied / "checkpoints" / "full"
    for path in (folder / "seed_1").rglob("_METADATA"):
        path.write_bytes(b"damaged")
    assert "seed_1 cannot be read" in refuse_evaluation(str(copied))
    shutil.rmtree(folder / "seed_0")
    shutil.rmtree(folder / "seed_1")
    assert f"{folder} holds no checkpoint of any seed" in refuse_evaluation(str(copied))
    description = folder / "description.json"
    description.write_text(description.read_text(encoding="utf-8").replace("hidden_size", "hiden_size"))
    assert "model.hiden_size" in refuse_evaluation(str(copied))
    description.write_text("{")
    assert "description.json is damaged" in refuse_evaluation(str(copied))


def test_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "macsgr_jax", "train", "--corpus", "absent.npz", "--out", str(tmp_path / "run")]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 2 and finished.stdout == ""
    assert finished.stderr == "error: absent.npz: there is no such file; give the path of a corpus in .npz form.\n"
    assert not (tmp_path / "run").exists()


def test_a_closed_output_ends_without_a_traceback() -> None:
    command = [sys.executable, "-m", "macsgr_jax", "sweep", "--help"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()  # As `head` does once it has its lines.
        assert process.stderr.read() == ""
    assert process.returncode == 141
