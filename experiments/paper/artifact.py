"""Tables and figures of results/: one record each, computed per corpus and written as JSON, Markdown and PNG."""

import dataclasses
import datetime
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.paper.study import NetworkCache, StudyOptions
from experiments.paper.variants import list_differences
from macsgr_jax.cli.common import make_console
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_json, write_text
from macsgr_jax.presets import DEFAULT
from macsgr_jax.runs.results import describe_corpus, describe_machine
from macsgr_jax.runs.tables import as_markdown_table, as_screen_table, count_of

# Paths of one machine are replaced by these words in recorded commands.
PLACEHOLDERS = {"--corpora": "CORPORA", "--runs": "RUNS", "--results": "RESULTS"}
# Parts of the result of `Table.compute` with this prefix are drawn, and not stored.
NOT_STORED = "dots"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """One table of results/: what it shows, on which corpora, and how it is computed.

    Attributes:
        name: the stem of its files, such as table_4.
        title: the heading.
        corpora: names of the corpora that it covers.
        compute: computes the part of one corpus, given the networks and the name of the corpus: a dictionary of plain
            values, in which `head` and `rows` are the text of the table.
        remarks: lines of text under the heading.
        kind: the name of the JSON schema.
    """

    name: str
    title: str
    corpora: tuple[str, ...]
    compute: Callable[[NetworkCache, str], dict[str, Any]]
    remarks: tuple[str, ...] = ()
    kind: str = "table"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure(Table):
    """One figure of results/; its parts may have `head` and `rows` as well.

    Attributes:
        plot: draws the artifact into a PNG file.
    """

    plot: Callable[[dict[str, Any], Path], None]
    kind: str = "figure"


def run_table(table: Table, options: StudyOptions) -> None:
    """Trains the networks that are missing, computes a table or figure, and writes it into the folder of results.

    Args:
        table: the table or figure.
        options: the options of the command line.

    Raises:
        InputError: an option does not fit, a corpus is missing, or the folder cannot be written.
        Interrupted: a stop was requested; the same command resumes.
    """
    cache = NetworkCache(options)
    artifact = make_artifact(table, cache, choose_corpora(table.corpora, options.only))
    write_artifact(options.results, table, artifact)


def choose_corpora(corpora: Sequence[str], only: str) -> list[str]:
    """Selects the corpora that the command line asks for.

    Args:
        corpora: names of the corpora that a table covers.
        only: names, separated by commas; empty for all.

    Returns:
        The selected names.

    Raises:
        InputError: `only` names a corpus that the table does not cover.
    """
    wanted = [name for name in only.split(",") if name] or list(corpora)
    unknown = [name for name in wanted if name not in corpora]
    if unknown:
        raise InputError(f"--only {only}: there is no {unknown[0]} in it, only {', '.join(corpora)}")
    return wanted


def make_artifact(table: Table, cache: NetworkCache, corpora: Sequence[str]) -> dict[str, Any]:
    """Computes a table or figure.

    Args:
        table: the table or figure.
        cache: trains the networks.
        corpora: names of the corpora.

    Returns:
        Plain values: the part of each corpus, and the command, date, seeds, settings, corpora and versions.
    """
    parts = {name: table.compute(cache, name) for name in corpora}
    described = {name: describe_corpus(cache.corpus(name), None) for name in corpora}
    differences = {name: list_differences(cache.config(name), DEFAULT) for name in corpora}
    return {
        "schema": f"macsgr_jax.{table.kind}/1",
        "title": table.title,
        "remarks": list(table.remarks),
        "command": f"python -m experiments.{Path(sys.argv[0]).stem} {shlex.join(replace_paths(sys.argv[1:]))}",
        "date": datetime.date.today().isoformat(),
        "seeds": cache.seeds,
        "settings": {name: [f"{key}={value}" for key, value in of.items()] for name, of in differences.items()},
        "corpora": {
            name: {key: corpus[key] for key in ("name", "sha256", "splits")} for name, corpus in described.items()
        },
        **describe_machine(),
        "parts": parts,
    }


def replace_paths(arguments: Sequence[str]) -> list[str]:
    """Replaces the folders of this machine in a command line by CORPORA, RUNS and RESULTS.

    Args:
        arguments: the words of the command line, without the program.

    Returns:
        The words, where "--corpora /data/erc" and "--corpora=/data/erc" have become "--corpora CORPORA".
    """
    words: list[str] = []
    for argument in arguments:
        option, equals, _ = argument.partition("=")
        if words and words[-1] in PLACEHOLDERS:
            words.append(PLACEHOLDERS[words[-1]])
        elif equals and option in PLACEHOLDERS:
            words += [option, PLACEHOLDERS[option]]
        else:
            words.append(argument)
    return words


def write_artifact(folder: Path, table: Table, artifact: dict[str, Any]) -> None:
    """Writes the numbers, the tables and the picture, and prints the tables.

    Args:
        folder: the folder of results.
        table: the table or figure.
        artifact: the result of `make_artifact`.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results {folder} cannot be written ({error.strerror}): choose another folder") from None
    stored = {
        corpus: {key: value for key, value in part.items() if not key.startswith(NOT_STORED)}
        for corpus, part in artifact["parts"].items()
    }
    write_json(folder / f"{table.name}.json", {**artifact, "parts": stored})
    console, endings = make_console(), ["json"]
    if isinstance(table, Figure):
        table.plot(artifact, folder / f"{table.name}.png")
        endings.append("png")
    if has_rows(artifact):
        write_text(folder / f"{table.name}.md", render_markdown(artifact))
        endings.append("md")
    for part in artifact["parts"].values():
        if "rows" in part:
            console.print(as_screen_table(part["head"], part["rows"]))
    console.print(f"wrote {folder / table.name}: {', '.join(endings)}", highlight=False, soft_wrap=True)


def has_rows(artifact: dict[str, Any]) -> bool:
    """Returns whether an artifact has a table, and not a picture alone."""
    return any("rows" in part for part in artifact["parts"].values())


def render_markdown(artifact: dict[str, Any]) -> str:
    """Renders the tables of an artifact as a Markdown file."""
    lines = [
        f"# {artifact['title']}",
        "",
        f"Percent, mean ± standard deviation over {count_of(artifact['seeds'], 'seed')}; {artifact['date']}, made by",
        f"`{artifact['command']}`.",
        *artifact["remarks"],
        "",
        *render_parts(artifact, "##"),
    ]
    return "\n".join(lines).rstrip() + "\n"


def render_parts(artifact: dict[str, Any], level: str) -> list[str]:
    """Renders one heading and one table per corpus.

    Args:
        artifact: the artifact.
        level: the mark of a heading, such as "##".

    Returns:
        Lines of Markdown.
    """
    lines = []
    for name, part in artifact["parts"].items():
        if "rows" in part:
            table = as_markdown_table(part["head"], part["rows"])
            lines += [f"{level} {artifact['corpora'][name]['name']}", "", table, ""]
    return lines
