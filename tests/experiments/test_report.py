"""The page and the README say what the files of results/ say."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from experiments.report import (
    BEGIN,
    END,
    Report,
    compare_corpora,
    main,
    read_results,
    render_page,
    rewrite_readme,
    summarize_results,
)
from macsgr_jax.cli.common import run_script

ROOT = Path(__file__).parents[2]
NUMBERS = {
    "title": "Ablations <b>",
    "command": "python -m experiments.tables --table 4",
    "date": "2026-01-02",
    "seeds": 3,
    "corpora": {"iemocap": {"name": "iemocap", "sha256": "0123456789abcdef"}},
    "versions": {"python": "3", "jax": "1", "flax": "2"},
    "device": {"kind": "cpu"},
    "parts": {"iemocap": {"head": ["", "WAF1"], "rows": [["w/o UW†", "64.2 ± 0.7"]]}},
}


class Reader(HTMLParser):
    """The cells of tables, the ids, and what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._in_cell = tag in ("td", "th")
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.cells.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = False


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "table_4.json").write_text(json.dumps(NUMBERS))
    (folder / "figure_5.json").write_text(json.dumps({**NUMBERS, "parts": {"iemocap": {}}}))
    (folder / "figure_5.png").write_bytes(b"\x89PNG of a figure")
    return folder


def test_the_page_holds_everything_and_loads_nothing(results: Path) -> None:
    page = render_page(read_results(results), results)
    reader = read(page)
    assert reader.ids == ["table_4", "figure_5"]
    assert reader.cells == ["WAF1", "w/o UW†", "64.2 ± 0.7"]
    assert reader.links == ["#table_4", "#figure_5", "data:image/png;base64,iVBORyBvZiBhIGZpZ3VyZQ=="]
    assert "Table IV: Ablations &lt;b&gt;" in page and "Fig. 5" in page and "0123456789ab..." in page


def test_the_corpora_stand_together_first(results: Path) -> None:
    models = {
        "network": {"waf1": [0.60, 0.62], "refit": {"waf1": [0.64, 0.66]}},
        "network + words": {"refit": {"waf1": [0.70, 0.72]}},
        "ensemble": {"refit": {"waf1": [0.681]}},
        "words": {"refit": {"waf1": [0.5]}},
    }
    networks = {"full": [0.65], "full, training split alone": [0.61], "linear": [0.63], "majority": [0.2]}
    parts = {"networks": {name: {"waf1": scores} for name, scores in networks.items()}, "head": [], "rows": []}
    for stem, part in (("ensemble", {"models": models, "head": [], "rows": []}), ("protocol_refit", parts)):
        (results / f"{stem}.json").write_text(json.dumps({**NUMBERS, "parts": {"iemocap": part}}))
    found = read_results(results)
    row = ["iemocap", "61.0 ± 1.4", "65.0 ± 1.4", "71.0 ± 1.4", "68.1", "63.0 (linear)", "71.6"]
    part = compare_corpora(found)
    assert part is not None and part["rows"] == [row] and len(part["head"]) == len(row)
    assert read(render_page(found, results)).cells[: 2 * len(row)] == [*part["head"], *row]
    assert summarize_results(found).splitlines()[2] == "| " + " | ".join(row) + " |"


def test_the_readme_is_rewritten_between_its_marks(results: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# A\n\n{BEGIN}\nold\n{END}\n\n## B\n")
    arguments = ["--results", str(results), "--out", str(tmp_path / "page.html"), "--readme", str(readme)]
    assert run_script("x", Report, main, arguments) == 0
    text = readme.read_text()
    assert text.startswith(f"# A\n\n{BEGIN}\n**Table IV") and text.endswith(f"{END}\n\n## B\n")
    assert "| w/o UW† | 64.2 ± 0.7 |" in text and "old" not in text
    assert run_script("x", Report, main, arguments) == 0 and readme.read_text() == text


@pytest.mark.parametrize("text", ["# A\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{BEGIN}\n{END}\n"])
def test_a_readme_without_marks_is_left_alone(
    text: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    arguments = ["--results", str(results), "--out", str(tmp_path / "page.html"), "--readme", str(readme)]
    assert run_script("x", Report, main, arguments) == 2
    assert "put them around the results" in capsys.readouterr().err
    assert readme.read_text() == text and not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(("content", "message"), [(None, "holds no results"), ("{", "is damaged")])
def test_results_that_cannot_be_read(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "table_1.json").write_text(content)
    assert run_script("x", Report, main, ["--results", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "page.html").exists()


def test_the_committed_readme_and_page_are_those_of_the_committed_results() -> None:
    found = read_results(ROOT / "results")
    readme = ROOT / "README.md"
    assert rewrite_readme(readme, found) == readme.read_text(encoding="utf-8"), "run make report"
    page = (ROOT / "results" / "report.html").read_text(encoding="utf-8")
    assert page == render_page(found, ROOT / "results"), "run make report"


def test_committed_tables_are_those_of_their_numbers() -> None:
    found: dict[str, Any] = read_results(ROOT / "results")
    for stem, numbers in found.items():
        for part in numbers["parts"].values():
            text = ROOT / "results" / f"{stem}.md"
            for row in part.get("rows", []):
                assert "| " + " | ".join(row) + " |" in text.read_text(encoding="utf-8")
        assert re.match(r"python -m experiments\.\w+ ", numbers["command"])
        assert numbers["seeds"] >= 2 or stem.startswith("choice")
