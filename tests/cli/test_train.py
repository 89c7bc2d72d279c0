"""How the training script behaves: again, over an earlier run, on the synthetic corpus, and when it has to stop."""

import copy
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.config import Config
from macsgr_jax.data import synthetic
from macsgr_jax.data.corpus import UNLABELLED, Corpus
from macsgr_jax.data.corpus_file import save_corpus
from macsgr_jax.data.synthetic_posterior import best_scores
from macsgr_jax.overrides import setting_names

ROOT = Path(__file__).parents[2]


def read_results(out: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return results


def test_the_same_command_gives_the_same_results(trained: Any, run_train: Callable[..., int], tmp_path: Path) -> None:
    """All but the seconds; and a seed's results do not depend on which other seeds and networks are trained."""
    arguments = ["--corpus", str(trained.corpus_file), "--out", str(tmp_path / "again")]
    assert run_train(*arguments, "--seeds", "2", "--single-modalities") == 0
    before, after = copy.deepcopy((read_results(trained.out), read_results(tmp_path / "again")))
    for results in (before, after):
        assert results["corpus"].pop("path").endswith("talks.npz")  # As seen from the folder of the run.
        for network in results["networks"].values():
            for one in network["seeds"]:
                assert one.pop("seconds") > 0
    assert before == after
    assert (trained.out / "predictions.csv").read_text() == (tmp_path / "again" / "predictions.csv").read_text()
    assert run_train(*arguments, "--seeds", "1", "--first-seed", "1", "--overwrite") == 0
    (alone,) = read_results(tmp_path / "again")["networks"]["full"]["seeds"]
    del alone["seconds"]
    assert alone == before["networks"]["full"]["seeds"][1]
    assert before["networks"]["full"]["seeds"][0]["curves"] != alone["curves"]


def test_an_earlier_run_is_only_replaced_when_asked(
    trained: Any, run_train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    (out / "checkpoints" / "old").mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    (out / "report.md").write_text("old")
    arguments = ["--corpus", str(trained.corpus_file), "--seeds", "1", "--out", str(out)]
    assert run_train(*arguments) == 2
    assert "choose another folder, or replace a run with --overwrite" in capsys.readouterr().err
    assert (out / "report.md").read_text() == "old" and (out / "checkpoints" / "old").is_dir()
    assert run_train(*arguments, "--overwrite") == 0
    assert (out / "report.md").read_text() != "old" and not (out / "checkpoints" / "old").exists()
    assert (out / "notes.txt").read_text() == "mine"


def test_the_synthetic_corpus_stands_beside_its_best_possible_scores(
    run_train: Callable[..., int], small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "generate", lambda: small_corpus)
    arguments = ["--corpus", "synthetic", "--seeds", "1", "--out", str(tmp_path / "run"), "--no-references"]
    assert run_train(*arguments) == 0
    results = read_results(tmp_path / "run")
    best = best_scores(small_corpus)
    assert results["reference"] == {
        name: {"waa": best[view].accuracy, "waf1": best[view].weighted_f1}
        for name, view in (
            ("best possible", "both"),
            ("best possible without context", "no_context"),
            ("best possible, text only", "text"),
            ("best possible, audio only", "audio"),
        )
    }
    assert results["corpus"]["path"] is None and results["corpus"]["sha256"] == small_corpus.sha256
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert f"| best possible | {100 * best['both'].accuracy:.1f} | {100 * best['both'].weighted_f1:.1f} |" in report


def test_a_corpus_with_unlabelled_utterances(
    run_train: Callable[..., int], small_corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training utterances without a label are context; a test split without labels is predicted and not scored."""
    corpus = dataclasses.replace(small_corpus, labels=small_corpus.labels.copy())
    corpus.labels[corpus.utterances_of("train")[::3]] = UNLABELLED
    corpus.labels[corpus.utterances_of("test")] = UNLABELLED
    save_corpus(corpus, tmp_path / "talks.npz")
    out = tmp_path / "run"
    assert run_train("--corpus", str(tmp_path / "talks.npz"), "--seeds", "1", "--out", str(out)) == 0
    printed = capsys.readouterr().out
    labels = [np.bincount(corpus.labels[corpus.labelled_of(split)], minlength=6) for split in ("train", "validation")]
    for split, counts in zip(("train", "validation"), labels, strict=True):
        told = ", ".join(f"{count} {label}" for count, label in zip(counts, corpus.label_names, strict=True))
        dialogues, utterances = len(corpus.dialogues_of(split)), len(corpus.utterances_of(split))
        assert f"{split}: {dialogues} dialogues of {utterances} utterances: {told}" in printed
    assert "note: Utterances without a label are context, and in no loss and no score: " in printed
    assert "note: The split test has no labels" in printed and "note: Fewer than 10 utterances have the" in printed
    assert "the test split has no labels: it was predicted, and not scored" in printed and "no labels" in printed
    results = read_results(out)
    (seed,) = results["networks"]["full"]["seeds"]
    assert seed["test"]["waf1"] is None and seed["validation"]["waf1"] > 0
    assert results["networks"]["full"]["summary"]["test"]["nll"] == {"mean": None, "std": None}
    predictions = (out / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert len(predictions) == 1 + len(corpus.utterances_of("test")) and predictions[1].split(",")[2] == ""
    assert "| no labels |" in (out / "report.md").read_text(encoding="utf-8")
    for command in (["evaluate", str(out)], ["info", str(out)]):
        assert main(command) == 0
        assert "no labels" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "talks.npz")]) == 0
    assert "without a label" in capsys.readouterr().out


def test_a_training_that_diverges_ends_with_a_sentence_and_its_own_exit_code(
    trained: Any,
    run_train: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--corpus", str(trained.corpus_file), "--seeds", "1", "--out", str(tmp_path / "run")]
    arguments += ["--set", "train.learning_rate=1e30"]  # Traced: nothing is compiled anew.
    assert run_train(*arguments) == 3
    error = capsys.readouterr().err
    assert re.fullmatch(r"error: seed 0: the \w+ loss is \S+ at .*epoch [12]: lower train\.learning_rate.*\n", error)
    assert not (tmp_path / "run" / "results.json").exists()


def test_an_interrupt_ends_with_a_sentence(
    trained: Any,
    run_train: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("macsgr_jax.runs.train.train_network", interrupt)
    assert run_train("--corpus", str(trained.corpus_file), "--out", str(tmp_path / "run")) == 130
    assert capsys.readouterr().err == "interrupted: what was finished is kept\n"


def test_help_lists_the_options_and_every_setting() -> None:
    command = [sys.executable, "-m", "macsgr_jax", "train", "--help"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stderr == ""
    for option in ("--out", "--corpus", "--features", "--preset", "--set", "--seeds", "--single-modalities"):
        assert option in finished.stdout
    for name, _, _ in setting_names(Config()):
        assert f"{name}=" in finished.stdout
