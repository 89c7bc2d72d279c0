"""From the checkpoints of a run to a file that says what the run's predictions.csv says."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.overrides import from_json
from tests.cli.test_bad_input import list_files
from tests.testing.corpora import compile_quickly


def run_export(*arguments: str) -> int:
    """The script in this process; the exit code."""
    return main(["export", *arguments])


def call(folder: Path, corpus: Corpus, dialogues: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [u, C] and weights [u, M] of the u utterances of some dialogues, one dialogue a row."""
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    model = jax.export.deserialize(bytearray((folder / described["file"]).read_bytes()))
    places = [np.arange(corpus.offsets[dialogue], corpus.offsets[dialogue + 1]) for dialogue in dialogues]
    index = np.full((len(places), max(map(len, places))), -1)
    for row, utterances in enumerate(places):
        index[row, : len(utterances)] = utterances
    names = [one["name"] for one in described["feature_sets"]]
    with compile_quickly():
        probabilities, weights = model.call(
            {name: corpus.features[name][index] for name in names},
            {name: corpus.measured[name][index] for name in names},
            corpus.speakers[index],
            np.zeros_like(index),
            index >= 0,
        )
    return np.asarray(probabilities)[index >= 0], np.asarray(weights)[:, index >= 0].T


def test_the_file_says_what_the_run_said(trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From nothing but the checkpoints, for the second of two seeds."""
    shutil.copytree(trained.out / "checkpoints", tmp_path / "moved" / "checkpoints")
    out = tmp_path / "deep" / "model"
    capsys.readouterr()
    assert run_export(str(tmp_path / "moved"), "-o", str(out), "--seed", "1") == 0
    content = (out / "model.jax_export").read_bytes()
    assert capsys.readouterr().out == f"wrote {out}, {len(content) / 1e6:.1f} MB\n"

    with open(trained.out / "predictions.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["seed"] == "1"]
    tests = trained.corpus.dialogues_of("test").tolist()
    probabilities, weights = call(out, trained.corpus, tests)
    labels = trained.corpus.label_names
    temperature = json.loads((trained.out / "checkpoints/full/temperatures.json").read_text(encoding="utf-8"))["1"]
    cool = np.array([[float(row[f"p_{name}"]) for name in labels] for row in rows]) ** (1 / temperature)
    np.testing.assert_allclose(probabilities, cool / cool.sum(axis=1, keepdims=True), atol=1e-4)
    modalities = ("audio", "text")
    np.testing.assert_allclose(weights, [[float(row[f"weight_{m}"]) for m in modalities] for row in rows], atol=1e-5)

    described = json.loads((out / "model.json").read_text(encoding="utf-8"))
    results = json.loads((trained.out / "results.json").read_text(encoding="utf-8"))
    assert described["labels"] == list(labels) and described["modalities"] == list(modalities)
    assert (described["network"], described["seed"], described["temperature"]) == ("full", 1, temperature)
    assert described["epoch"] == results["networks"]["full"]["seeds"][1]["epoch"]
    assert described["corpus"] == {name: results["corpus"][name] for name in ("name", "sha256")}
    assert described["config"] == results["networks"]["full"]["config"]
    assert described["versions"] == results["versions"]
    assert described["sha256"] == hashlib.sha256(content).hexdigest()
    assert isinstance(from_json(described["config"]), Config)


def test_a_network_of_one_modality(trained: Any, tmp_path: Path) -> None:
    """It asks for nothing of the other one; an earlier export is replaced when asked."""
    out = tmp_path / "model"
    assert run_export(str(trained.out), "--out", str(out)) == 0
    assert run_export(str(trained.out), "--out", str(out), "--network", "text", "--overwrite") == 0
    described = json.loads((out / "model.json").read_text(encoding="utf-8"))
    assert described["network"] == "text" and described["modalities"] == ["text"]
    assert {one["modality"] for one in described["feature_sets"]} == {"text"}
    probabilities, weights = call(out, trained.corpus, [0])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (weights == 1).all()


@pytest.fixture
def refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the script, checks that it refuses as it should, and gives back the sentence."""

    def refuse(*arguments: str) -> str:
        before = list_files(tmp_path)
        capsys.readouterr()
        assert run_export(*arguments) == 2
        printed = capsys.readouterr()
        assert list_files(tmp_path) == before and printed.out == ""
        assert printed.err.startswith("error: ") and printed.err.endswith("\n") and printed.err.count("\n") == 1
        return printed.err

    return refuse


def test_a_folder_that_is_no_run(trained: Any, refuse: Callable[..., str], tmp_path: Path) -> None:
    out = str(tmp_path / "model")
    assert "is not the folder of a run" in refuse(str(tmp_path), "-o", out)
    assert "is not the folder of a run" in refuse(str(tmp_path / "absent"), "-o", out)
    assert "has no network video: choose from audio, full, text" in refuse(
        str(trained.out), "-o", out, "--network", "video"
    )
    sentence = "holds no checkpoint of seed 7: it has 0, 1; choose with --seed"
    assert sentence in refuse(str(trained.out), "-o", out, "--seed", "7")


def test_a_place_that_is_taken(trained: Any, refuse: Callable[..., str], tmp_path: Path) -> None:
    run, out = str(trained.out), tmp_path / "model"
    out.mkdir()
    (out / "model.json").write_text("{}")
    assert f"{out} holds an export: choose another folder, or replace it with --overwrite" in refuse(
        run, "-o", str(out)
    )
    (out / "notes.txt").touch()
    for overwrite in ((), ("--overwrite",)):
        error = refuse(run, "-o", str(out), *overwrite)
        assert f"{out} is not empty, it holds notes.txt: choose another folder" in error
    assert "notes.txt is a file: give the path of a folder" in refuse(run, "-o", str(out / "notes.txt"))
    assert "cannot be written" in refuse(run, "-o", str(out / "notes.txt" / "model"))
