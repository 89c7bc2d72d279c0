"""One self-contained HTML page of all that lies in results/, and the README's results section, from the same files."""

import base64
import dataclasses
import json
import sys
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from experiments.paper.reported_numbers import SCORES
from experiments.paper.variants import FULL
from experiments.tables import show, show_quoted
from macsgr_jax.cli.common import make_console, run_script
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_text
from macsgr_jax.runs.tables import as_markdown_table

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
ORDER = ("table_", "baselines", "ensemble", "protocol_", "readings", "figure_")
HEADLINE = [
    *("WAF1, test split", "network", "validation split trained on too", "that, with words", "that, of all seeds"),
    *("best simple model, trained on both", "paper"),
]
# What the README quotes with all of its corpora.
QUOTED = (
    *("table_4", "table_5", "baselines", "ensemble"),
    *("protocol_sessions", "protocol_refit", "protocol_selection", "protocol_missing"),
)
# The row of each table that the README quotes, by the corpus.
SUMMARY = {"iemocap": "table_1", "meld": "table_2", "mosi": "table_3"}
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid #8886; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; background: white; }
code { overflow-wrap: anywhere; }
.made { font-size: 0.85rem; opacity: 0.8; }
"""


@dataclasses.dataclass(frozen=True)
class Report:
    """Put all tables and figures of a folder onto one page, and the main figures into the README.

    Attributes:
        results: The folder that the other commands wrote to.
        out: The page.
        readme: Whose results section is rewritten; none by default.
    """

    results: Path = Path("results")
    out: Path = Path("results/report.html")
    readme: Path | None = None


def main(command: Report) -> None:
    """results/*.json -> report.html and README.md."""
    found = read_results(command.results)
    page = render_page(found, command.results)
    readme = None if command.readme is None else rewrite_readme(command.readme, found)
    write_text(command.out, page)
    if command.readme is not None and readme is not None:
        write_text(command.readme, readme)
    console = make_console()
    console.print(f"wrote {command.out}: {', '.join(found)}", highlight=False, soft_wrap=True)


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Every JSON file of a folder by its stem: tables first, figures last.

    Raises:
        InputError: there is none, or one is damaged.
    """
    found = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: (_rank(path.stem), path.stem)):
        try:
            found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is damaged ({error}): make it again") from None
    if not found:
        raise InputError(f"{folder} holds no results: run experiments.tables or experiments.figures first")
    return found


def compare_corpora(found: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What there is to know first: the network on each corpus, what was added to it, the best simple model, the paper.

    Args:
        found: stem -> numbers; read are ensemble and protocol_refit.

    Returns:
        `head` and `rows` as text; None where either is missing. Of the simple models the one that the test split likes
        best stands there, which is kind to them.
    """
    combined, refit = (found.get(stem, {"parts": {}})["parts"] for stem in ("ensemble", "protocol_refit"))
    rows = []
    for corpus in (name for name in combined if name in refit):
        models, networks = combined[corpus]["models"], refit[corpus]["networks"]
        simple = {name: np.mean(scores["waf1"]) for name, scores in networks.items() if not name.startswith(FULL)}
        best = max(simple, key=simple.__getitem__)
        scores = (models["network"], *(models[name]["refit"] for name in ("network", "network + words", "ensemble")))
        rows.append(
            [
                found["ensemble"]["corpora"][corpus]["name"],
                *(show(one["waf1"]) for one in scores),
                f"{100 * simple[best]:.1f} ({best})",
                show_quoted(SCORES[corpus]["full"][1]),
            ]
        )
    return {"head": HEADLINE, "rows": rows} if rows else None


def render_page(found: dict[str, dict[str, Any]], folder: Path) -> str:
    """The page, with its pictures in it.

    Args:
        found: stem -> numbers.
        folder: of the pictures.

    Returns:
        HTML.
    """
    links = " · ".join(f'<a href="#{stem}">{escape(_title(stem, found[stem]))}</a>' for stem in found)
    headline = compare_corpora(found)
    summary = _render_table(headline) if headline else ""
    sections = "".join(render_section(stem, numbers, folder) for stem, numbers in found.items())
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>MA-CMU-SGRNet in JAX: results</title>
<style>{STYLE}</style>
<h1>MA-CMU-SGRNet in JAX: results</h1>
<p>Percent on the test split where nothing else is said. The paper's numbers were measured on other features.</p>
{summary}
<nav><p>{links}</p></nav>
{sections}</html>
"""


def render_section(stem: str, numbers: dict[str, Any], folder: Path) -> str:
    """A table or a figure, and what made it."""
    lines = [f'<section id="{stem}">', f"<h2>{escape(_title(stem, numbers))}</h2>"]
    for corpus, part in numbers["parts"].items():
        if "rows" in part:
            lines += [f"<h3>{escape(numbers['corpora'][corpus]['name'])}</h3>", _render_table(part)]
    picture = folder / f"{stem}.png"
    if picture.is_file():
        data = base64.b64encode(picture.read_bytes()).decode()
        lines.append(f'<img alt="{escape(numbers["title"])}" src="data:image/png;base64,{data}">')
    corpora = ", ".join(f"{one['name']} (sha256 {one['sha256'][:12]}...)" for one in numbers["corpora"].values())
    versions = ", ".join(f"{name} {numbers['versions'][name]}" for name in ("python", "jax", "flax"))
    made = f"{numbers['date']}, {numbers['seeds']} seeds, {corpora}, {versions}, {numbers['device']['kind']}"
    lines += [f'<p class="made"><code>{escape(numbers["command"])}</code><br>{escape(made)}</p>', "</section>"]
    return "\n".join(lines) + "\n"


def summarize_results(found: dict[str, dict[str, Any]]) -> str:
    """The README's results section: all corpora together, each one, then ablations and protocol, as Markdown."""
    headline = compare_corpora(found)
    lines = [as_markdown_table(headline["head"], headline["rows"]), ""] if headline else []
    for corpus, stem in SUMMARY.items():
        if stem in found and corpus in found[stem]["parts"]:
            numbers = found[stem]
            part = numbers["parts"][corpus]
            lines += [f"**{_title(stem, numbers)}** ({_describe(numbers)})", ""]
            lines += [as_markdown_table(part["head"], part["rows"]), ""]
    for stem in QUOTED:
        for corpus, part in found.get(stem, {"parts": {}})["parts"].items():
            numbers = found[stem]
            lines += [f"**{_title(stem, numbers)}, {numbers['corpora'][corpus]['name']}** ({_describe(numbers)})", ""]
            lines += [as_markdown_table(part["head"], part["rows"]), ""]
    return "\n".join(lines).rstrip()


def rewrite_readme(path: Path, found: dict[str, dict[str, Any]]) -> str:
    """The README with the results section made anew.

    Raises:
        InputError: it cannot be read, or the section is not marked in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"--readme {path} cannot be read ({error.strerror}): give the path of README.md") from None
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise InputError(
            f"{path} does not have one line {BEGIN} and one line {END} after it: put them around the results"
        )
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{summarize_results(found)}\n{END}{rest.split(END)[1]}"


def _describe(numbers: dict[str, Any]) -> str:
    return f"`{numbers['command']}`, {numbers['seeds']} seeds, {numbers['date']}"


def _title(stem: str, numbers: dict[str, Any]) -> str:
    kind, _, number = stem.partition("_")
    numeral = ("", "I", "II", "III", "IV", "V")
    if kind == "table":
        return f"Table {numeral[int(number)]}: {numbers['title']}"
    return f"Fig. {number}: {numbers['title']}" if kind == "figure" else str(numbers["title"])


def _render_table(part: dict[str, Any]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in part["head"])
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in part["rows"])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _rank(stem: str) -> int:
    return next((place for place, prefix in enumerate(ORDER) if stem.startswith(prefix)), len(ORDER))


if __name__ == "__main__":
    sys.exit(run_script("experiments.report", Report, main))
