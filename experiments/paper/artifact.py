"""What every table and figure leaves behind: its numbers with the command, corpora, date and versions, and its text."""

import datetime
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.paper.study import Study
from macsgr_jax.cli.common import make_console
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_json, write_text
from macsgr_jax.runs.results import describe_corpus, describe_machine
from macsgr_jax.runs.tables import as_markdown_table, as_screen_table


def measure(
    study: Study, corpora: Sequence[str], kind: str, title: str, part: Callable[[Study, str], dict[str, Any]]
) -> dict[str, Any]:
    """The numbers of a table or figure.

    Args:
        study: trains.
        corpora: that it is about.
        kind: table, figure, baselines or protocol.
        title: above it.
        part: makes the numbers of one corpus; `head` and `rows` of them are text.

    Returns:
        Plain values; paths of the machine are left out.
    """
    parts = {name: part(study, name) for name in corpora}
    described = {name: describe_corpus(study.corpus(name), None) for name in corpora}
    return {
        "schema": f"macsgr_jax.{kind}/1",
        "title": title,
        "command": f"python -m experiments.{Path(sys.argv[0]).stem} {shlex.join(sys.argv[1:])}",
        "date": datetime.date.today().isoformat(),
        "seeds": study.seeds,
        "settings": {name: list(study.settings(name)) for name in corpora},
        "corpora": {
            name: {key: corpus[key] for key in ("name", "sha256", "splits")} for name, corpus in described.items()
        },
        **describe_machine(),
        "parts": parts,
    }


def publish(
    folder: Path,
    name: str,
    numbers: dict[str, Any],
    remarks: Sequence[str] = (),
    draw: Callable[[dict[str, Any], Path], None] | None = None,
) -> None:
    """Write the numbers, the tables and the picture, and show the tables.

    Args:
        folder: results.
        name: of the files, without their endings.
        numbers: of `measure`; what begins with "dots" is drawn and not kept.
        remarks: lines under the title of the tables.
        draw: makes the picture.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results {folder} cannot be written ({error.strerror}): choose another folder") from None
    kept = {
        corpus: {key: value for key, value in part.items() if not key.startswith("dots")}
        for corpus, part in numbers["parts"].items()
    }
    write_json(folder / f"{name}.json", {**numbers, "parts": kept})
    console, endings = make_console(), ["json"]
    if draw is not None:
        draw(numbers, folder / f"{name}.png")
        endings.append("png")
    tables = {corpus: part for corpus, part in numbers["parts"].items() if "rows" in part}
    if tables:
        write_text(folder / f"{name}.md", render(numbers, remarks))
        endings.append("md")
    for part in tables.values():
        console.print(as_screen_table(part["head"], part["rows"]))
    console.print(f"wrote {folder / name}: {', '.join(endings)}", highlight=False, soft_wrap=True)


def render(numbers: dict[str, Any], remarks: Sequence[str] = ()) -> str:
    """The Markdown of the numbers."""
    seeds = numbers["seeds"]
    lines = [
        f"# {numbers['title']}",
        "",
        f"Percent, mean ± standard deviation over {seeds} seed{'s' * (seeds > 1)}; {numbers['date']}, made by",
        f"`{numbers['command']}`.",
        *remarks,
    ]
    for name, part in numbers["parts"].items():
        lines += ["", f"## {numbers['corpora'][name]['name']}", "", as_markdown_table(part["head"], part["rows"])]
    return "\n".join(lines) + "\n"
