"""README.md of the results has what the JSON files have, and --check finds what differs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.report import BEGIN, END, Report, main, read_artifacts, tabulate_headline, title_of, to_roman
from macsgr_jax.cli.common import run_script

ROOT = Path(__file__).parents[2]
MADE = {
    "command": "python -m experiments.tables --table 4",
    "date": "2026-01-02",
    "seeds": 3,
    "settings": [],
    "corpus": {"name": "iemocap", "sha256": "0123456789abcdef", "splits": {}},
    "versions": {"python": "3", "jax": "1", "flax": "2"},
    "device": {"kind": "cpu"},
}
ARTIFACT: dict[str, Any] = {
    "schema": "macsgr_jax.table/2",
    "title": "Ablations",
    "remarks": ["First line,", "second line."],
    "made": {"iemocap": MADE},
    "parts": {"iemocap": {"head": ["", "WAF1"], "rows": [["w/o UW†", "64.2 ± 0.7"]]}},
}
# A corpus that was added on another day, by another command.
ADDED = {
    **MADE,
    "command": "python -m experiments.tables --only meld",
    "date": "2026-03-04",
    "seeds": 1,
    "corpus": {"name": "meld", "sha256": "fedcba9876543210", "splits": {}},
}
HEADLINE_ROW = "| iemocap | 61.0 ± 1.4 | 58.0 ± 1.4 | 65.0 ± 1.4 | 68.1 | 60.5 ± 0.7 | 63.0 (linear) | 71.6 |"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Returns a folder of results with a table and a figure."""
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "table_4.json").write_text(json.dumps(ARTIFACT))
    (folder / "figure_5.json").write_text(json.dumps({**ARTIFACT, "parts": {"iemocap": {}}}))
    (folder / "figure_5.png").write_bytes(b"\x89PNG of a figure")
    return folder


def write_headline(results: Path, made: dict[str, Any] = ARTIFACT["made"]) -> None:
    """Writes the files that the headline is made of; each corpus has the same scores."""
    models = {
        "network": {"waf1": [0.60, 0.62], "refit": {"waf1": [0.64, 0.66]}},
        "ensemble": {"refit": {"waf1": [0.681]}},
    }
    networks = {"full": [0.65], "full, training split alone": [0.61], "linear": [0.63], "majority": [0.2]}
    parts: dict[str, Any] = {
        "ensemble": {"models": models},
        "protocol_refit": {"networks": {name: {"waf1": scores} for name, scores in networks.items()}},
        "baselines": {"models": {"recurrence and classifier": {"waf1": [0.6, 0.61]}}},
        "protocol_features": {"models": {"full network": {"waf1": [0.57, 0.59]}}},
    }
    for name, part in parts.items():
        parts_of_corpora = dict.fromkeys(made, part)
        (results / f"{name}.json").write_text(json.dumps({**ARTIFACT, "made": made, "parts": parts_of_corpora}))


def run(*arguments: str) -> int:
    """Runs the script in this process."""
    return run_script("x", Report, main, arguments)


def test_readme(results: Path) -> None:
    """README.md has every table with its command and corpora, and every figure."""
    assert run("--results", str(results)) == 0
    text = (results / "README.md").read_text(encoding="utf-8")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == ["Table IV: Ablations", "Fig. 5: Ablations"]
    assert "`python -m experiments.tables --table 4`\n\n2026-01-02, 3 seeds, iemocap (sha256 0123456789ab...)" in text
    assert "First line,\nsecond line.\n\n### iemocap\n\n|  | WAF1 |\n| --- | --- |\n| w/o UW† | 64.2 ± 0.7 |\n" in text
    assert "![Ablations](figure_5.png)" in text and "](table_4.png)" not in text and BEGIN not in text
    table = (results / "table_4.md").read_text(encoding="utf-8")
    assert table.startswith("# Ablations\n") and "| w/o UW† | 64.2 ± 0.7 |" in table
    assert not (results / "figure_5.md").exists()


def test_headline(results: Path) -> None:
    """The headline comes first: the network, what was added to it, the baselines, the paper."""
    write_headline(results)
    assert tabulate_headline(read_artifacts(results)).splitlines()[2] == HEADLINE_ROW
    assert run("--results", str(results)) == 0
    text = (results / "README.md").read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index(HEADLINE_ROW) < text.index(END) < text.index("## ")


def test_corpus_made_on_another_day(results: Path) -> None:
    """Where one command did not make all corpora, each has a line of its own; the headline has all of them."""
    both = {"iemocap": MADE, "meld": ADDED}
    part = ARTIFACT["parts"]["iemocap"]
    (results / "table_4.json").write_text(json.dumps({**ARTIFACT, "made": both, "parts": dict.fromkeys(both, part)}))
    write_headline(results, both)
    rows = tabulate_headline(read_artifacts(results)).splitlines()[2:]
    assert rows == [HEADLINE_ROW, HEADLINE_ROW.replace("iemocap", "meld").replace("71.6", "62.3")]
    assert run("--results", str(results)) == 0
    text = (results / "README.md").read_text(encoding="utf-8")
    assert (
        "## Table IV: Ablations\n\n"
        "- iemocap (sha256 0123456789ab...): 2026-01-02, 3 seeds, python 3, jax 1, flax 2, cpu;"
        " `python -m experiments.tables --table 4`\n"
        "- meld (sha256 fedcba987654...): 2026-03-04, 1 seed, python 3, jax 1, flax 2, cpu;"
        " `python -m experiments.tables --only meld`\n\n"
        "Numbers in [table_4.json](table_4.json).\n\nFirst line,\nsecond line.\n\n### iemocap\n"
    ) in text
    assert text.index(HEADLINE_ROW) < text.index("### iemocap") < text.index("### meld")
    table = (results / "table_4.md").read_text(encoding="utf-8")
    assert "over the seeds.\nFirst line,\nsecond line.\n\n- iemocap: 3 seeds; 2026-01-02, `python" in table
    assert "`\n- meld: 1 seed; 2026-03-04, `python -m experiments.tables --only meld`\n\n## iemocap\n" in table


def test_corpora_made_at_once(results: Path) -> None:
    """What is the same for all corpora is said once."""
    both = {"iemocap": MADE, "meld": {**MADE, "settings": ["train.epochs=9"], "corpus": ADDED["corpus"]}}
    part = ARTIFACT["parts"]["iemocap"]
    (results / "table_4.json").write_text(json.dumps({**ARTIFACT, "made": both, "parts": dict.fromkeys(both, part)}))
    assert run("--results", str(results)) == 0
    text = (results / "README.md").read_text(encoding="utf-8")
    assert "3 seeds, iemocap (sha256 0123456789ab...), meld (sha256 fedcba987654...), python 3, jax 1" in text
    assert "over 3 seeds; 2026-01-02, made by\n`python" in (results / "table_4.md").read_text(encoding="utf-8")


def test_check(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check writes nothing, and names the files that differ."""
    with pytest.raises(SystemExit, match="1"):
        run("--results", str(results), "--check")
    assert not (results / "README.md").exists() and "README.md differs" in capsys.readouterr().out
    assert run("--results", str(results)) == 0
    assert run("--results", str(results), "--check") == 0
    capsys.readouterr()
    (results / "table_4.md").write_text("changed")
    with pytest.raises(SystemExit, match="1"):
        run("--results", str(results), "--check")
    output = capsys.readouterr().out
    assert "table_4.md differs" in output and "README.md" not in output
    assert (results / "table_4.md").read_text() == "changed"


def test_headline_of_another_file(results: Path, tmp_path: Path) -> None:
    """--readme replaces the headline in another file between its marks, and nothing else."""
    write_headline(results)
    readme = tmp_path / "README.md"
    readme.write_text(f"# A\n\n{BEGIN}\nold\n{END}\n\n## B\n")
    arguments = ("--results", str(results), "--readme", str(readme))
    assert run(*arguments) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# A\n\n{BEGIN}\n| ") and text.endswith(f"\n{END}\n\n## B\n")
    assert HEADLINE_ROW in text and "old" not in text
    assert run(*arguments, "--check") == 0


@pytest.mark.parametrize("text", ["# A\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{BEGIN}\n{END}\n"])
def test_file_without_marks(text: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without the marks is left alone, and nothing else is written."""
    readme = tmp_path / "README.md"
    readme.write_text(text)
    assert run("--results", str(results), "--readme", str(readme)) == 2
    assert "put them around the table" in capsys.readouterr().err
    assert readme.read_text() == text and not (results / "README.md").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no results"),
        ("{", "is damaged"),
        (
            json.dumps({**ARTIFACT, "schema": "macsgr_jax.table/1"}),
            "has the schema macsgr_jax.table/1, and version 2",
        ),
        (json.dumps({**ARTIFACT, "made": {}}), "is damaged"),
        (json.dumps({**ARTIFACT, "made": {"iemocap": {**MADE, "device": {}}}}), "made.iemocap.device.kind"),
    ],
)
def test_unreadable_results(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without results, or with a damaged file or one of an earlier version, is refused with one sentence."""
    if content is not None:
        (tmp_path / "table_1.json").write_text(content)
    assert run("--results", str(tmp_path)) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "README.md").exists()


def test_titles() -> None:
    """Every table has a numeral, whatever its number."""
    numerals = {1: "I", 4: "IV", 5: "V", 6: "VI", 9: "IX", 14: "XIV", 40: "XL", 1990: "MCMXC"}
    assert {number: to_roman(number) for number in numerals} == numerals
    assert title_of("table_6", ARTIFACT) == "Table VI: Ablations"
    assert title_of("figure_12", ARTIFACT) == "Fig. 12: Ablations"
    assert title_of("protocol_refit", ARTIFACT) == "Ablations"


def test_committed_results_name_no_path() -> None:
    """The committed results name commands of scripts that exist, and no folder outside the repository."""
    for name, artifact in read_artifacts(ROOT / "results").items():
        assert "../" not in json.dumps(artifact), name
        for corpus, made in artifact["made"].items():
            match = re.match(r"python -m experiments\.(\w+) --", made["command"])
            assert match and (ROOT / "experiments" / f"{match[1]}.py").is_file(), (name, corpus)
            assert made["seeds"] >= 2 or name.startswith("cross_validation")
