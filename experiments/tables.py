"""The paper's tables, on the corpora of a folder: networks over several seeds, and tests of significance."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.paper.artifact import measure, publish
from experiments.paper.reported_numbers import SCORES, TABLE_1, TABLE_2, TABLE_5
from experiments.paper.study import Study, StudyOptions, Trained
from experiments.paper.variants import ABLATIONS, FULL, list_modalities
from macsgr_jax.cli.common import run_script
from macsgr_jax.errors import InputError
from macsgr_jax.metrics import summarize
from macsgr_jax.significance import (
    adjust,
    compare_over_dialogues,
    compare_over_seeds,
    count_by_dialogue,
    score_seeds,
)

ALPHA = 0.05
REMARKS = (
    "The paper's numbers were measured on other features.",
    "p: two-sided, after Holm's correction in the corpus; over seeds by the paired t-test, over dialogues by a",
    "paired bootstrap of 10,000 resamples. † and ‡: full is better over seeds, over dialogues, p < 0.05.",
)
TITLES = {
    1: "IEMOCAP by emotion",
    2: "MELD by emotion",
    3: "CMU-MOSI, with the utterances of sentiment 0 as positive (Has0) and without them (Non0)",
    4: "Ablations",
    5: "Modalities",
}
CORPORA = {1: ("iemocap",), 2: ("meld",), 3: ("mosi",), 4: ("iemocap", "meld", "mosi"), 5: ("iemocap", "meld", "mosi")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tables(StudyOptions):
    """Make a table of the paper from conversations: train what is not trained yet, test, compare, write.

    Attributes:
        table: Which of the paper's tables.
    """

    table: Literal[1, 2, 3, 4, 5]


def main(command: Tables) -> None:
    """Networks -> scores and tests -> table_N.json -> table_N.md."""
    study = Study(command)
    corpora = study.choose(CORPORA[command.table])
    make: Callable[[Study, str], dict[str, Any]] = {
        1: tabulate_emotions,
        2: tabulate_emotions,
        3: tabulate_sentiment,
        4: tabulate_ablations,
        5: tabulate_modalities,
    }[command.table]
    numbers = measure(study, corpora, "table", TITLES[command.table], make)
    publish(study.results, f"table_{command.table}", numbers, REMARKS if command.table > 3 else REMARKS[:1])


def tabulate_emotions(study: Study, corpus: str) -> dict[str, Any]:
    """Tables I and II: accuracy and F1 of every emotion, then the averages."""
    trained = study.train(corpus, FULL)
    quoted: dict[str, tuple[float | None, float]] = (
        dict(TABLE_1) if corpus == "iemocap" else {emotion: (None, f1) for emotion, f1 in TABLE_2.items()}
    )
    rows, numbers = [], {}
    for emotion in trained.corpus.label_names:
        found = {
            score: [seed["test"]["classes"][emotion][score] for seed in trained.network["seeds"]]
            for score in ("recall", "f1")
        }
        numbers[emotion] = found
        paper = quoted.get(emotion, (None, None))
        rows.append([emotion, show(found["recall"]), show(found["f1"]), *map(show_quoted, paper)])
    averages = {score: trained.scores(score) for score in ("waa", "waf1", "macro_f1", "uar", "ece")}
    waa, waf1 = SCORES[corpus][FULL]
    rows.append(["WAA, WAF1", show(averages["waa"]), show(averages["waf1"]), show_quoted(waa), show_quoted(waf1)])
    rows.append(["UAR, macro-F1", show(averages["uar"]), show(averages["macro_f1"]), "", ""])
    head = ["", "accuracy", "F1", "paper: accuracy", "paper: F1"]
    return {"head": head, "rows": rows, "emotions": numbers, "averages": averages}


def tabulate_sentiment(study: Study, corpus: str) -> dict[str, Any]:
    """Table III: both conventions for the utterances without a sentiment."""
    study.corpus(corpus)  # Says what is wrong with the file, if anything is.
    sentiment = read_sentiment(study.path(corpus))
    trained = study.train(corpus, FULL)
    sentiment = sentiment[trained.utterances]
    rows, numbers = [], {}
    for name, kept in (("Has0", np.ones(sentiment.shape, bool)), ("Non0", sentiment != 0)):
        right = trained.predicted[:, kept] == trained.labels[kept]
        waf1 = score_seeds(trained.predicted[:, kept], trained.labels[kept], trained.corpus.num_classes)
        numbers[name] = {
            "utterances": int(kept.sum()),
            "waa": right.mean(axis=1).tolist(),
            "waf1": waf1.tolist(),
        }
        rows.append([name, str(kept.sum()), show(numbers[name]["waa"]), show(numbers[name]["waf1"])])
    rows.append(["paper, on CMU-MOSEI", "", *map(show_quoted, SCORES[corpus][FULL])])
    return {"head": ["", "utterances", "WAA", "WAF1"], "rows": rows, "conventions": numbers}


def read_sentiment(path: Path) -> np.ndarray:
    """f32[U], the annotated sentiment, whose sign is the label.

    Raises:
        InputError: the file has none.
    """
    with np.load(path, allow_pickle=False) as arrays:
        if "sentiment" not in arrays:
            raise InputError(f"{path}: the array sentiment is missing; Table III needs it: floats [U], 0 is neutral")
        sentiment: np.ndarray = arrays["sentiment"]
        return sentiment


def tabulate_ablations(study: Study, corpus: str) -> dict[str, Any]:
    """Table IV, with the two ablations of the text."""
    return compare_with_full(study, corpus, ABLATIONS, SCORES[corpus])


def tabulate_modalities(study: Study, corpus: str) -> dict[str, Any]:
    """Table V."""
    return compare_with_full(
        study, corpus, list_modalities(study.corpus(corpus), study.data(corpus).features), TABLE_5[corpus]
    )


def compare_with_full(
    study: Study, corpus: str, variants: dict[str, tuple[str, ...]], quoted: dict[str, tuple[float, float]]
) -> dict[str, Any]:
    """A row a network, each tested against the full one.

    Args:
        study: trains.
        corpus: such as iemocap.
        variants: name -> settings.
        quoted: the paper's WAA and WAF1.

    Returns:
        The part of a table: `head` and `rows` as text, `networks` as numbers.
    """
    full = study.train(corpus, FULL)
    trained = {name: study.train(corpus, name, settings) for name, settings in variants.items()}
    tests = compare(full, list(trained.values()))
    head = [
        "",
        "WAA",
        "WAF1",
        "full - this, WAF1",
        "p over seeds",
        "95 % over dialogues",
        "p over dialogues",
        "paper: WAF1",
    ]
    rows, numbers = [], {}
    for (name, network), test in zip(trained.items(), tests, strict=True):
        worse = test["difference"] > 0
        mark = "".join(
            sign
            for sign, p in (("†", test["seeds_p"]), ("‡", test["dialogues_p"]))
            if worse and p is not None and p < ALPHA
        )
        rows.append(
            [
                name + mark,
                show(network.scores("waa")),
                show(network.scores("waf1")),
                f"{100 * test['difference']:+.1f}",
                show_p(test["seeds_p"]),
                f"{100 * test['low']:+.1f} to {100 * test['high']:+.1f}",
                show_p(test["dialogues_p"]),
                show_quoted(quoted[name][1]) if name in quoted else "",
            ]
        )
        numbers[name] = {score: network.scores(score) for score in ("waa", "waf1", "macro_f1")} | {"against_full": test}
    rows.append(
        ["full", show(full.scores("waa")), show(full.scores("waf1")), "", "", "", "", show_quoted(quoted[FULL][1])]
    )
    numbers[FULL] = {score: full.scores(score) for score in ("waa", "waf1", "macro_f1")}
    return {"head": head, "rows": rows, "networks": numbers}


def compare(full: Trained, others: Sequence[Trained]) -> list[dict[str, Any]]:
    """The full network against each of the others; p values after Holm's correction; over seeds only of several."""
    classes = full.corpus.num_classes
    counts = [count_by_dialogue(one.predicted, one.labels, one.dialogue, classes) for one in (full, *others)]
    over_dialogues = [compare_over_dialogues(counts[0], other) for other in counts[1:]]
    dialogues_p = adjust([test.p_value for test in over_dialogues])
    seeds_p: list[float | None] = [None] * len(others)
    if len(full.scores("waf1")) > 1:
        seeds_p = list(adjust([compare_over_seeds(full.scores("waf1"), one.scores("waf1")).p_value for one in others]))
    return [
        {"difference": test.difference, "low": test.low, "high": test.high, "seeds_p": of_seeds, "dialogues_p": p_value}
        for test, of_seeds, p_value in zip(over_dialogues, seeds_p, dialogues_p, strict=True)
    ]


def show(values: Sequence[float]) -> str:
    """Mean and deviation of shares, in percent."""
    mean, deviation = summarize(values)
    return f"{100 * mean:.1f} ± {100 * deviation:.1f}" if len(values) > 1 else f"{100 * mean:.1f}"


def show_quoted(value: float | None) -> str:
    """A number of the paper."""
    return "" if value is None else f"{value:.1f}"


def show_p(value: float | None) -> str:
    """A p value."""
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(run_script("experiments.tables", Tables, main))
