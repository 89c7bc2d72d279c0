"""Tables as records: a new one is a single record; recorded commands name no folder of the machine."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.paper.artifact import Table, choose_corpora, replace_paths, run_table
from experiments.paper.study import NetworkCache, StudyOptions
from experiments.report import Report
from experiments.report import main as report
from macsgr_jax.errors import InputError
from tests.testing.tiny_study import SETTINGS


def count_utterances(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes a table that needs no network."""
    utterances = cache.corpus(corpus).num_utterances
    return {"head": ["", "utterances"], "rows": [["all", str(utterances)]], "utterances": utterances, "dots": "drawn"}


def test_new_table_is_one_record(study_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that no file knows gets its JSON, its Markdown and its place in the report from its record alone."""
    table = Table(name="table_6", title="Sizes", corpora=("meld", "mosi"), compute=count_utterances, remarks=("All.",))
    monkeypatch.setattr(
        sys, "argv", ["/x/tables.py", "--corpora", str(study_corpora), f"--results={tmp_path}", "--quick"]
    )
    run_table(table, StudyOptions(study_corpora, tmp_path / "runs", tmp_path, only="meld", quick=True, set=SETTINGS))
    text = (tmp_path / "table_6.json").read_text(encoding="utf-8")
    artifact = json.loads(text)
    assert artifact["command"] == "python -m experiments.tables --corpora CORPORA --results RESULTS --quick"
    assert str(tmp_path) not in text and str(study_corpora) not in text
    assert artifact["parts"] == {"meld": {"head": ["", "utterances"], "rows": [["all", "50"]], "utterances": 50}}
    assert set(artifact["settings"]["meld"]) >= {"data.features=audio_small,text_small", "loss.lambda_alignment=0.2"}
    assert artifact["seeds"] == 1 and artifact["remarks"] == ["All."]
    markdown = (tmp_path / "table_6.md").read_text(encoding="utf-8")
    assert "over 1 seed; " in markdown and "All.\n\n## meld\n\n|  | utterances |" in markdown
    report(Report(results=tmp_path))
    assert "## Table VI: Sizes\n" in (tmp_path / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--corpora", "../data", "--table", "1"], ["--corpora", "CORPORA", "--table", "1"]),
        (["--corpora=/data", "--runs=r", "--seeds=2"], ["--corpora", "CORPORA", "--runs", "RUNS", "--seeds=2"]),
        (["--set", "a=b", "--results", "out"], ["--set", "a=b", "--results", "RESULTS"]),
    ],
)
def test_paths_are_replaced(arguments: list[str], expected: list[str]) -> None:
    """Recorded commands hold the names of the folders, and not the paths of one machine."""
    assert replace_paths(arguments) == expected


def test_choice_of_corpora() -> None:
    """--only selects from the corpora that a table covers, and names what it does not cover."""
    assert choose_corpora(("iemocap", "meld"), "") == ["iemocap", "meld"]
    assert choose_corpora(("iemocap", "meld"), "meld,") == ["meld"]
    with pytest.raises(InputError, match="--only mosi: there is no mosi in it, only iemocap, meld"):
        choose_corpora(("iemocap", "meld"), "mosi")
