"""The command `macsgr info`."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from macsgr_jax.cli.common import make_console
from macsgr_jax.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console


@dataclasses.dataclass(frozen=True)
class Info:
    """Show the contents of a corpus file, or the settings and scores of a run.

    Attributes:
        path: A corpus file (.npz), or the folder that was given to `macsgr train` or `macsgr sweep` as --out.
        json: Print JSON instead of tables.
    """

    path: tyro.conf.Positional[Path]
    json: bool = False


def main(command: Info) -> None:
    """Describes the corpus or the run, and prints the description."""
    from macsgr_jax.data.corpus_file import load_corpus
    from macsgr_jax.files import is_folder
    from macsgr_jax.runs.info import describe_contents, describe_run

    is_run = is_folder(command.path)
    if is_run:
        from macsgr_jax.inference.published import is_published

        if is_published(command.path):
            raise InputError(f"{command.path} is a published model: `macsgr models {command.path}` describes it")
    described = describe_run(command.path) if is_run else describe_contents(load_corpus(str(command.path)))
    if command.json:
        print(json.dumps(described, indent=2))
    elif is_run:
        show_run(make_console(), described)
    else:
        show_corpus(make_console(), described)


def show_corpus(console: "Console", described: dict[str, Any]) -> None:
    """Prints the description of a corpus."""
    from macsgr_jax.runs.tables import as_screen_table, count_of

    utterances, speakers = described["utterances"], described["speakers"]
    console.print(f"{described['name']}: {count_of(utterances, 'utterance')} of {count_of(speakers, 'speaker')}")
    console.print(f"sha256 {described['sha256']}", soft_wrap=True)
    splits = described["splits"]
    lengths = {split: size["lengths"] or ("", "", "") for split, size in splits.items()}
    rows = [
        [
            split,
            str(size["dialogues"]),
            str(size["utterances"]),
            *(f"{length:g}" if length else "" for length in lengths[split]),
        ]
        for split, size in splits.items()
    ]
    console.print(as_screen_table(["split", "dialogues", "utterances", "shortest", "median", "longest"], rows))
    rows = [[emotion, *map(str, counts.values())] for emotion, counts in described["emotions"].items()]
    if any(size["unlabelled"] for size in splits.values()):
        rows.append(["without a label", *(str(size["unlabelled"]) for size in splits.values())])
    console.print(as_screen_table(["emotion", *splits], rows))
    rows = [
        [name, str(feature["columns"]), f"{100 * feature['coverage']:.1f} %", _describe_extractor(feature["made_by"])]
        for name, feature in described["features"].items()
    ]
    console.print(as_screen_table(["feature set", "columns", "measured", "made by"], rows))
    for notice in described["notices"]:
        console.print(f"note: {notice}", soft_wrap=True)


def show_run(console: "Console", described: dict[str, Any]) -> None:
    """Prints the description of a run or of a sweep."""
    from macsgr_jax.runs.tables import HEADS, as_screen_table, count_of, show_score

    seeds = ", ".join(map(str, described["seeds"])) if isinstance(described["seeds"], list) else described["seeds"]
    by = f", by version {described['version']}" if "version" in described else ""
    console.print(f"{described['state']} run{by}; seeds {seeds}")
    if "corpus" in described:
        corpus = described["corpus"]
        console.print(
            f"corpus {corpus['name']}: {corpus['path'] or 'generated'}, sha256 {corpus['sha256']}", soft_wrap=True
        )
    for name, network in described["networks"].items():
        settings = " ".join(f"{setting}={value}" for setting, value in network["settings"].items())
        console.print(f"{name}: preset {network['preset']}" + (f" with {settings}" if settings else ""), soft_wrap=True)
    for name, network in described["networks"].items():
        if network.get("collapsed"):
            console.print(f"{name}: collapsed in training: seed {', '.join(map(str, network['collapsed']))}")
    scored = {name: network["test"] for name, network in described["networks"].items() if "test" in network}
    if "points" in described:
        console.print(f"{described['kind']} of {count_of(described['points'], 'setting')}")
    if "chosen" in described:
        setting = ", ".join(f"{name}={value}" for name, value in described["chosen"]["setting"].items())
        console.print(f"chosen by {described['select']}: {setting}", soft_wrap=True)
        if "test" in described["chosen"]:
            scored["chosen"] = described["chosen"]["test"]
        else:
            score = described["select"].removeprefix("validation.")
            console.print(f"{described['select']} {show_score(score, described['chosen']['validation'][score])}")
    if scored:
        rows = [[name, *(show_score(score, test[score]) for score in HEADS)] for name, test in scored.items()]
        console.print(as_screen_table(["test split", *HEADS.values()], rows))


def _describe_extractor(description: dict[str, Any] | None) -> str:
    """Returns the kind of an extractor with its settings."""
    if description is None:
        return "unknown"
    return ", ".join(str(value) if name == "kind" else f"{name} {value}" for name, value in description.items())
