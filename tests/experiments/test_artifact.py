"""Tables as records: a new one is a single record, and keeps what an earlier command wrote about other corpora."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.paper import figure_plots
from experiments.paper.artifact import Figure, Table, choose_corpora, replace_paths, run_table
from experiments.paper.stored_artifact import read_artifact
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
    table = Table(
        name="table_6",
        title="Sizes",
        corpora=("meld", "mosi"),
        compute=count_utterances,
        remarks=("All.",),
        drawn=("dots",),
    )
    monkeypatch.setattr(
        sys, "argv", ["/x/tables.py", "--corpora", str(study_corpora), f"--results={tmp_path}", "--quick"]
    )
    run_table(table, StudyOptions(study_corpora, tmp_path / "runs", tmp_path, only="meld", quick=True, set=SETTINGS))
    text = (tmp_path / "table_6.json").read_text(encoding="utf-8")
    artifact = json.loads(text)
    made = artifact["made"]["meld"]
    assert made["command"] == "python -m experiments.tables --corpora CORPORA --results RESULTS --quick"
    assert str(tmp_path) not in text and str(study_corpora) not in text
    assert artifact["parts"] == {"meld": {"head": ["", "utterances"], "rows": [["all", "50"]], "utterances": 50}}
    assert set(made["settings"]) >= {"data.features=audio_small,text_small", "loss.lambda_alignment=0.2"}
    assert made["seeds"] == 1 and artifact["remarks"] == ["All."] and artifact["schema"] == "macsgr_jax.table/2"
    markdown = (tmp_path / "table_6.md").read_text(encoding="utf-8")
    assert "over 1 seed; " in markdown and "All.\n\n## meld\n\n|  | utterances |" in markdown
    report(Report(results=tmp_path))
    assert "## Table VI: Sizes\n" in (tmp_path / "README.md").read_text(encoding="utf-8")


Count = Callable[..., dict[str, Any]]
SIZES = Table(name="sizes", title="Sizes", corpora=("iemocap", "meld", "mosei", "mosi"), compute=count_utterances)
MOVE_AWAY = "make it again for all of its corpora, without --only, or move it away"


@pytest.fixture
def count(study_corpora: Path, tmp_path: Path) -> Count:
    """Returns a function that makes a table, by default SIZES, of some corpora, and returns what its JSON has."""

    def call(only: str, table: Table = SIZES, seeds: int = 10) -> dict[str, Any]:
        run_table(table, StudyOptions(study_corpora, tmp_path / "runs", tmp_path, only=only, seeds=seeds, set=SETTINGS))
        return read_artifact(tmp_path / f"{table.name}.json")

    return call


def backdate(path: Path, corpus: str) -> None:
    """Lets the part of a corpus be of another day and of two utterances."""
    artifact = json.loads(path.read_text(encoding="utf-8"))
    artifact["made"][corpus]["date"] = "2026-01-02"
    artifact["parts"][corpus].update(rows=[["all", "2"]], utterances=2)
    path.write_text(json.dumps(artifact), encoding="utf-8")


def test_other_corpora_are_kept(count: Count, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A corpus is added to those of the file, in the table's order, and each keeps what made it."""
    count("mosi", seeds=3)
    backdate(tmp_path / "sizes.json", "mosi")
    assert "kept from before" not in capsys.readouterr().out
    artifact = count("iemocap,mosei")
    assert list(artifact["parts"]) == list(artifact["made"]) == ["iemocap", "mosei", "mosi"]
    assert {name: part["utterances"] for name, part in artifact["parts"].items()} == {
        "iemocap": 50,
        "mosei": 50,
        "mosi": 2,
    }
    assert {name: made["seeds"] for name, made in artifact["made"].items()} == {"iemocap": 10, "mosei": 10, "mosi": 3}
    assert artifact["made"]["mosi"]["date"] == "2026-01-02" < artifact["made"]["iemocap"]["date"]
    printed = capsys.readouterr().out
    assert "kept from before: mosi (2026-01-02)\n" in printed and printed.count("utterances") == 2
    markdown = (tmp_path / "sizes.md").read_text(encoding="utf-8")
    assert "over the seeds.\n\n- iemocap: 10 seeds; 20" in markdown and "- mosi: 3 seeds; 2026-01-02, `" in markdown
    assert markdown.index("## iemocap") < markdown.index("## mosei") < markdown.index("## mosi")


def test_a_corpus_is_replaced(count: Count, tmp_path: Path) -> None:
    """The part of a corpus that is asked for is computed anew, with its seeds and date; the others stay."""
    count("iemocap,meld", seeds=3)
    for corpus in ("iemocap", "meld"):
        backdate(tmp_path / "sizes.json", corpus)
    artifact = count("meld")
    assert [artifact["parts"][name]["utterances"] for name in ("iemocap", "meld")] == [2, 50]
    assert [artifact["made"][name]["seeds"] for name in ("iemocap", "meld")] == [3, 10]
    assert artifact["made"]["iemocap"]["date"] == "2026-01-02" < artifact["made"]["meld"]["date"]


def test_what_another_command_adds_meanwhile_is_kept(count: Count) -> None:
    """Two commands that compute two corpora of one table at the same time lose nothing of each other."""

    def compute_beside_another(cache: NetworkCache, corpus: str) -> dict[str, Any]:
        count("meld")
        return count_utterances(cache, corpus)

    table = dataclasses.replace(SIZES, compute=compute_beside_another)
    assert list(count("iemocap", table)["parts"]) == ["iemocap", "meld"]


def test_a_failure_loses_nothing(count: Count, tmp_path: Path) -> None:
    """A command that fails while it computes leaves the file as it is."""

    def fail(cache: NetworkCache, corpus: str) -> dict[str, Any]:
        raise InputError("no")

    count("meld")
    before = (tmp_path / "sizes.json").read_bytes()
    with pytest.raises(InputError, match="no"):
        count("", dataclasses.replace(SIZES, compute=fail))
    assert (tmp_path / "sizes.json").read_bytes() == before


def test_a_corpus_that_is_no_longer_covered(count: Count, capsys: pytest.CaptureFixture[str]) -> None:
    """It is left out, and said."""
    count("mosei,mosi")
    artifact = count("iemocap", dataclasses.replace(SIZES, corpora=("iemocap", "mosi")))
    assert list(artifact["parts"]) == ["iemocap", "mosi"]
    assert "; left out, since it is no longer covered: mosei\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged ("),
        ("[]", "is damaged ("),
        ('{"schema": "macsgr_jax.table/1", "parts": {"mosi": {}}}', "has the schema macsgr_jax.table/1, and version"),
        ('{"schema": "macsgr_jax.table/2", "parts": {"mosi": {}}}', "is damaged (title"),
        (None, "made and parts are not of the same corpora): "),
    ],
)
def test_files_that_cannot_be_kept(
    content: str | None, message: str, count: Count, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is computed, they are refused; a command that makes all corpora replaces them."""
    path = tmp_path / "sizes.json"
    if content is None:
        artifact = count("mosi")
        content = json.dumps({**artifact, "parts": {}})
    path.write_text(content)
    with pytest.raises(InputError) as raised:
        count("mosi", dataclasses.replace(SIZES, compute=lambda cache, corpus: pytest.fail("computed")))
    assert str(raised.value).startswith(str(path)) and message in str(raised.value)
    assert str(raised.value).endswith(MOVE_AWAY) and path.read_text() == content
    assert list(count("")["parts"]) == list(SIZES.corpora)
    assert f"replaced {path}, which was damaged or had the schema of another version\n" in capsys.readouterr().out


@pytest.mark.parametrize("only", ["meld", ""])
def test_a_file_of_another_table(only: str, count: Count) -> None:
    """Parts of another kind are neither mixed into a table nor replaced by it."""
    count("mosi", dataclasses.replace(SIZES, kind="choice"))
    with pytest.raises(InputError, match=r"sizes.json has the schema macsgr_jax.choice/2 of another table: give"):
        count(only)


def test_figures(count: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture shows the kept corpora too; one that shows what the file leaves out is refused, not drawn in part."""
    drawn: list[list[str]] = []
    figure = Figure(
        name="figure_1",
        title="Sizes",
        corpora=SIZES.corpora,
        compute=count_utterances,
        plot=lambda artifact, path: drawn.append(list(artifact["parts"])),
    )
    count("meld", figure)
    count("iemocap", figure)
    assert drawn == [["meld"], ["iemocap", "meld"]]
    with pytest.raises(InputError, match=r"figure_1.json holds iemocap, meld too, but not the dots that its picture"):
        count("mosi", dataclasses.replace(figure, drawn=("dots",)))
    assert list(count("meld,mosi,iemocap", dataclasses.replace(figure, drawn=("dots",)))["parts"])[-1] == "mosi"


def test_seeds_of_a_figure(count: Count) -> None:
    """The title of a picture has the seeds once, or of each corpus where they differ."""
    assert figure_plots.describe_seeds(count("meld", seeds=1)) == "1 seed"
    assert figure_plots.describe_seeds(count("iemocap", seeds=1)) == "1 seed"
    assert figure_plots.describe_seeds(count("mosi", seeds=3)) == "IEMOCAP 1 seed, MELD 1 seed, MOSI 3 seeds"


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
