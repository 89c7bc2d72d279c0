"""Tables of a results file, for the screen and for report.md."""

import re
import shlex
from typing import Any

from rich.table import Table

from macsgr_jax.errors import show_message
from macsgr_jax.runs.references import LINEAR

HEADS = {"waa": "WAA", "waf1": "WAF1", "macro_f1": "macro-F1", "uar": "UAR", "nll": "NLL", "ece": "ECE"}
NOT_PERCENT = ("nll",)


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Returns a number with its noun, such as "1 utterance" or "2 utterances"."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def format_mean(mean: float, std: float, digits: int = 1) -> str:
    """Returns mean ± standard deviation as text."""
    return f"{mean:.{digits}f} ± {std:.{digits}f}"


def show_score(name: str, value: dict[str, Any], otherwise: str = "no labels") -> str:
    """Returns mean ± standard deviation of a score as text, in percent where it is a fraction.

    Args:
        name: the name of the score, such as waf1.
        value: its `mean` and `std`, of a results file; null where the split has no labels, or where a run diverged.
        otherwise: the text where it is null.
    """
    if value["mean"] is None:
        return otherwise
    if name in NOT_PERCENT:
        return format_mean(value["mean"], value["std"], digits=3)
    return format_mean(100 * value["mean"], 100 * value["std"])


def score_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the main table: the test scores of every network, then the references.

    Args:
        results: a results file.

    Returns:
        Column names and cells.
    """
    rows = [
        [
            _network_name(name, network) + describe_collapsed(network["seeds"]),
            *(show_score(score, network["summary"]["test"][score]) for score in HEADS),
        ]
        for name, network in results["networks"].items()
    ]
    for name, reference in results["reference"].items():
        rows.append([name, *(_show_reference(reference, score) for score in HEADS)])
    return ["test split", *HEADS.values()], rows


def describe_collapsed(seeds: list[dict[str, Any]]) -> str:
    """Returns what to say beside a mean over seeds: how many of them collapsed; empty where none did.

    Args:
        seeds: the seeds of a network's part of the results file; files of version 0.1 do not say.
    """
    collapsed = sum(seed.get("collapsed") is not None for seed in seeds)
    return f", {collapsed} of {count_of(len(seeds), 'seed')} collapsed" if collapsed else ""


def class_rows(network: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the table by emotion: accuracy (recall) and F1 on the test split.

    Args:
        network: a network's part of the results file.

    Returns:
        Column names and cells.
    """
    support = network["seeds"][0]["test"]["classes"]
    rows = [
        [
            label,
            f"{support[label]['support']:.0f}",
            show_score("recall", values["recall"]),
            show_score("f1", values["f1"]),
        ]
        for label, values in network["summary"]["test"]["classes"].items()
    ]
    return ["emotion", "utterances", "accuracy", "F1"], rows


def describe_outcome(results: dict[str, Any]) -> list[str]:
    """Returns sentences on collapsed seeds, on what the references reach, and on the padding."""
    full = results["networks"]["full"]
    lines = [f"{100 * full['batch']['padding_share']:.1f} % of the slots of a training epoch are padding"]
    waf1 = full["summary"]["test"]["waf1"]["mean"]
    linear = [name for name in results["reference"] if name.startswith(LINEAR)]
    if waf1 is None:
        lines.insert(0, "the test split has no labels: it was predicted, and not scored")
    elif linear:
        scores = {"network": waf1}
        scores |= {name: results["reference"][name]["waf1"] for name in linear}
        lines.insert(0, "test WAF1: " + "; ".join(f"{name} {100 * waf1:.1f}" for name, waf1 in scores.items()))
    if "best possible" in results["reference"]:
        share = waf1 / results["reference"]["best possible"]["waf1"]
        lines.insert(0, f"the network's test WAF1 of {100 * waf1:.1f} is {100 * share:.1f} % of the best possible one")
    for name, network in results["networks"].items():
        for seed in network["seeds"]:
            if seed.get("collapsed") is not None:
                epoch, reason = seed["collapsed"]["epoch"], seed["collapsed"]["reason"]
                lines.append(f"seed {seed['seed']} of {name} collapsed, from epoch {epoch} on: {reason}")
    return lines


def as_screen_table(head: list[str], rows: list[list[str]]) -> Table:
    """Returns a table that rich prints."""
    table = Table()
    for index, name in enumerate(head):
        table.add_column(show_message(name), no_wrap=index == 0, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*map(show_message, row))
    return table


def as_markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """Returns a table as Markdown, in which names are text and no markup."""
    escaped = [[escape_markdown(cell) for cell in cells] for cells in [head, *rows]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [escaped[0], ["---"] * len(head), *escaped[1:]])


def escape_markdown(text: object) -> str:
    """Returns a name as text in Markdown: on one line, and none of its letters are markup, HTML or a link."""
    escaped = re.sub(r"([\\`*\[\]<>&|#!$~])", r"\\\1", show_message(text))
    return escaped.replace("://", ":\\//").replace("www.", "www\\.")


def write_report(results: dict[str, Any]) -> str:
    """Writes report.md: the tables, the figures, and how they were made.

    Args:
        results: a results file.

    Returns:
        Markdown.
    """
    corpus, full = results["corpus"], results["networks"]["full"]
    splits = ", ".join(
        f"{split} {count_of(size['dialogues'], 'dialogue')} of {count_of(size['utterances'], 'utterance')}"
        for split, size in corpus["splits"].items()
    )
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    device = results["device"]
    batch = full["batch"]
    features = "; ".join(f"{modality}: {', '.join(names)}" for modality, names in full["features"].items())
    chosen = {"best": "epoch of the best validation WAF1", "last": "last epoch"}[full["config"]["train"]["checkpoint"]]
    notices = "".join(f"- {escape_markdown(notice)}\n" for notice in corpus["notices"])
    command = show_message(shlex.join(results["command"])).replace("`", "'")
    return f"""# MA-CMU-SGRNet on {escape_markdown(corpus["name"])}

Percent, mean ± standard deviation over {count_of(len(full["seeds"]), "seed")}; NLL in nats. The weights are
those of the {chosen}; the test split was read once, after training.

{as_markdown_table(*score_rows(results))}

{as_markdown_table(*class_rows(full))}

{escape_markdown("; ".join(describe_outcome(results)))}.

![confusion matrix](confusion.png)

![learning curves](curves.png)

## What was run

- command: `{command}`
- corpus: {escape_markdown(corpus["path"] or "generated")}, sha256 {corpus["sha256"]}
- splits: {splits}
- features: {escape_markdown(features)}
- batches: {batch["steps_per_epoch"]} steps per epoch, {batch["rows_per_step"]} rows of {batch["slots_per_row"]} slots
- {full["seeds"][0]["parameters"]} parameters; {versions}; {device["count"]} x {device["kind"]} ({device["platform"]})
{notices}"""


def _show_reference(reference: dict[str, Any], score: str) -> str:
    """Returns a score of a reference as text, without a deviation; empty where it is not known."""
    if reference.get(score) is None:
        return ""
    return f"{reference[score]:.3f}" if score in NOT_PERCENT else f"{100 * reference[score]:.1f}"


def _network_name(name: str, network: dict[str, Any]) -> str:
    return f"{' + '.join(network['features'])} (full)" if name == "full" else f"{name} only"
