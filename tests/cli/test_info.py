"""`macsgr info` describes corpus files and runs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import macsgr_jax
from macsgr_jax.cli.main import main
from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.runs.info import describe_contents, describe_run
from tests.testing.corpora import write_corpus

SPOKEN = Path(__file__).parents[2] / "examples" / "spoken" / "spoken.npz"


def test_contents_of_a_corpus(tmp_path: Path) -> None:
    """Counts by emotion and split, lengths, speakers and coverage are those of the arrays."""
    path = write_corpus(tmp_path)
    with np.load(path) as arrays:
        features = arrays["text_small"].copy()
    features[3] = np.nan
    corpus = load_corpus(write_corpus(tmp_path))
    corpus.measured["text_small"][3] = False
    described = describe_contents(corpus)
    assert (described["utterances"], described["speakers"], described["sha256"]) == (29, 2, corpus.sha256)
    for index, emotion in enumerate(corpus.label_names):
        for split in SPLITS:
            count = np.sum(corpus.labels[corpus.utterances_of(split)] == index)
            assert described["emotions"][emotion][split] == count
    assert described["splits"]["train"] == {"dialogues": 4, "utterances": 18, "unlabelled": 0, "lengths": [3, 4.5, 6]}
    assert described["features"]["text_small"] == {"columns": 4, "coverage": 28 / 29, "made_by": None}
    assert described["features"]["audio_small"]["coverage"] == 1


def test_a_corpus_on_screen_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(SPOKEN)]) == 0
    printed = capsys.readouterr().out
    corpus = load_corpus(SPOKEN)
    assert "spoken: 1200 utterances of 4 speakers" in printed and corpus.sha256 in printed
    assert "eGeMAPSv02" in printed and all(emotion in printed for emotion in corpus.label_names)
    assert main(["info", str(SPOKEN), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == describe_contents(corpus)


def test_a_finished_run(trained: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Version, seeds, settings that differ from the preset, and scores are those of results.json."""
    results = json.loads((trained.out / "results.json").read_text(encoding="utf-8"))
    described = describe_run(trained.out)
    assert described["state"] == "finished" and described["version"] == macsgr_jax.__version__
    assert described["seeds"] == [0, 1] and described["corpus"] == results["corpus"]
    full = described["networks"]["full"]
    assert full["preset"] == "default" and full["settings"]["model.hidden_size"] == 8
    assert full["settings"]["train.epochs"] == 4 and "model.dropout" not in full["settings"]
    assert full["test"]["waf1"] == results["networks"]["full"]["summary"]["test"]["waf1"]
    assert main(["info", str(trained.out)]) == 0
    printed = capsys.readouterr().out
    waf1 = full["test"]["waf1"]
    assert f"{100 * waf1['mean']:.1f} ± {100 * waf1['std']:.1f}" in printed and "model.hidden_size=8" in printed


def test_runs_of_version_0_1_and_interrupted_ones(trained: Any, tmp_path: Path) -> None:
    out = Path(shutil.copytree(trained.out, tmp_path / "old"))
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    del results["version"]
    config = results["networks"]["full"]["config"]
    config["loss"]["gate"] = config["loss"].pop("gate_positives")
    (out / "results.json").write_text(json.dumps(results), encoding="utf-8")
    described = describe_run(out)
    assert described["version"] == "0.1" and described["networks"]["full"]["settings"]["model.hidden_size"] == 8
    config["loss"]["unheard_of"] = 1
    (out / "results.json").write_text(json.dumps(results), encoding="utf-8")
    with pytest.raises(macsgr_jax.InputError, match=r"was written by version 0\.1 of macsgr_jax: .*loss\.unheard_of"):
        describe_run(out)
    (out / "results.json").unlink()
    described = describe_run(out)
    assert described["state"] == "interrupted" and described["seeds"] == [0, 1]
    identity = json.loads((out / "run.json").read_text(encoding="utf-8"))
    identity |= {"config": identity.pop("networks")["full"], "points": [{"train.epochs": "3"}], "select": "waf1"}
    for kind, found in (({}, "sweep"), ({"kind": "search"}, "search")):
        (out / "run.json").write_text(json.dumps(identity | kind), encoding="utf-8")
        assert describe_run(out)["kind"] == found


def test_what_is_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path)]) == 2
    assert "is not the folder of a run: give what was --out of" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "absent.npz")]) == 2
    assert "there is no such file" in capsys.readouterr().err
