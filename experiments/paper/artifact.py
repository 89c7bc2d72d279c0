"""Tables and figures of results/: one record each, computed per corpus and written as JSON, Markdown and PNG."""

import dataclasses
import datetime
import functools
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.paper.stored_artifact import Kept, name_schema, read_kept
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
        drawn: names of values of a part that a picture shows and the JSON file leaves out. Without them the picture
            cannot be drawn again, so that all its corpora are computed by one command.
    """

    name: str
    title: str
    corpora: tuple[str, ...]
    compute: Callable[[NetworkCache, str], dict[str, Any]]
    remarks: tuple[str, ...] = ()
    kind: str = "table"
    drawn: tuple[str, ...] = ()


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

    What the folder has of the corpora that are not asked for is kept.

    Args:
        table: the table or figure.
        options: the options of the command line.

    Raises:
        InputError: an option does not fit, a corpus is missing, the folder cannot be written, or what is in it can
            neither be kept nor replaced.
        Interrupted: a stop was requested; the same command resumes.
    """
    cache = NetworkCache(options)
    wanted = choose_corpora(table.corpora, options.only)
    path = options.results / f"{table.name}.json"
    find_kept = functools.partial(read_kept, path, table.kind, table.corpora, wanted, table.drawn)
    find_kept()  # What cannot be kept is told before hours of training.
    computed = make_artifact(table, cache, wanted)
    kept = find_kept()  # Meanwhile another command may have added a corpus.
    print_parts(computed)
    write_artifact(options.results, table, merge_artifact(computed, kept, table.corpora))
    if kept.note:
        make_console().print(kept.note, highlight=False, soft_wrap=True)


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
        Plain values: `parts`, the part of each corpus, and `made`, its command, date, seeds, settings, corpus, versions
        and device.
    """
    parts = {name: table.compute(cache, name) for name in corpora}
    return {
        "schema": name_schema(table.kind),
        "title": table.title,
        "remarks": list(table.remarks),
        "made": {name: describe_provenance(cache, name) for name in corpora},
        "parts": parts,
    }


def describe_provenance(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Describes what makes the part of a corpus, as `stored_artifact.Provenance`."""
    described = describe_corpus(cache.corpus(corpus), None)
    settings = list_differences(cache.config(corpus), DEFAULT)
    return {
        "command": f"python -m experiments.{Path(sys.argv[0]).stem} {shlex.join(replace_paths(sys.argv[1:]))}",
        "date": datetime.date.today().isoformat(),
        "seeds": cache.seeds,
        "settings": [f"{name}={value}" for name, value in settings.items()],
        "corpus": {key: described[key] for key in ("name", "sha256", "splits")},
        **describe_machine(),
    }


def merge_artifact(computed: dict[str, Any], kept: Kept, corpora: Sequence[str]) -> dict[str, Any]:
    """Puts computed parts and kept ones together.

    Args:
        computed: the result of `make_artifact`.
        kept: the parts of other corpora, from before.
        corpora: names of all corpora, in the order that the parts are to have.

    Returns:
        The whole artifact.
    """
    made, parts = kept.made | computed["made"], kept.parts | computed["parts"]
    order = [name for name in corpora if name in parts]
    return {**computed, "made": {name: made[name] for name in order}, "parts": {name: parts[name] for name in order}}


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
    """Writes the numbers, the tables and the picture.

    Args:
        folder: the folder of results.
        table: the table or figure.
        artifact: the result of `merge_artifact`.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results {folder} cannot be written ({error.strerror}): choose another folder") from None
    stored = {
        corpus: {key: value for key, value in part.items() if key not in table.drawn}
        for corpus, part in artifact["parts"].items()
    }
    write_json(folder / f"{table.name}.json", {**artifact, "parts": stored})
    endings = ["json"]
    if isinstance(table, Figure):
        table.plot(artifact, folder / f"{table.name}.png")
        endings.append("png")
    if has_rows(artifact):
        write_text(folder / f"{table.name}.md", render_markdown(artifact))
        endings.append("md")
    make_console().print(f"wrote {folder / table.name}: {', '.join(endings)}", highlight=False, soft_wrap=True)


def print_parts(artifact: dict[str, Any]) -> None:
    """Prints the table of each corpus."""
    console = make_console()
    for part in artifact["parts"].values():
        if "rows" in part:
            console.print(as_screen_table(part["head"], part["rows"]))


def has_rows(artifact: dict[str, Any]) -> bool:
    """Returns whether an artifact has a table, and not a picture alone."""
    return any("rows" in part for part in artifact["parts"].values())


def has_one_origin(artifact: dict[str, Any]) -> bool:
    """Returns whether one command on one machine made the parts of all corpora."""
    shared = ("command", "date", "seeds", "versions", "device")
    first, *others = ([made[key] for key in shared] for made in artifact["made"].values())
    return all(other == first for other in others)


def render_markdown(artifact: dict[str, Any]) -> str:
    """Renders the tables of an artifact as a Markdown file."""
    all_made = list(artifact["made"].values())
    scores = "Percent, mean ± standard deviation over"
    if has_one_origin(artifact):
        made = all_made[0]
        lines = [
            f"{scores} {count_of(made['seeds'], 'seed')}; {made['date']}, made by",
            f"`{made['command']}`.",
            *artifact["remarks"],
        ]
    else:
        lines = [f"{scores} the seeds.", *artifact["remarks"], ""]
        lines += [
            f"- {made['corpus']['name']}: {count_of(made['seeds'], 'seed')}; {made['date']}, `{made['command']}`"
            for made in all_made
        ]
    return "\n".join([f"# {artifact['title']}", "", *lines, "", *render_parts(artifact, "##")]).rstrip() + "\n"


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
            lines += [f"{level} {artifact['made'][name]['corpus']['name']}", "", table, ""]
    return lines
