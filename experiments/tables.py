"""Makes the paper's tables, on the corpora of a folder: networks over several seeds, and tests of significance."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np

from experiments.paper.artifact import Table, run_table
from experiments.paper.comparison import OTHER_FEATURES, REMARKS, compare_with_full
from experiments.paper.formatting import format_percent, format_reported
from experiments.paper.reported_numbers import SCORES, TABLE_1, TABLE_2, TABLE_5
from experiments.paper.study import NetworkCache, StudyOptions
from experiments.paper.variants import ABLATIONS, CORPORA, FULL, list_modalities
from macsgr_jax.cli.common import run_script
from macsgr_jax.errors import InputError
from macsgr_jax.significance import score_seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tables(StudyOptions):
    """Make a table of the paper: train the networks that are missing, test, compare, write.

    Attributes:
        table: The number of the paper's table, 1 to 5.
    """

    table: int


def main(command: Tables) -> None:
    """Makes table_N.json and table_N.md."""
    if command.table not in TABLES:
        raise InputError(f"--table {command.table}: choose from {', '.join(map(str, TABLES))}")
    run_table(TABLES[command.table], command)


def tabulate_emotions(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes Tables I and II: accuracy and F1 of every emotion, then the averages."""
    trained = cache.train(corpus, FULL)
    reported: dict[str, tuple[float | None, float]] = (
        dict(TABLE_1) if corpus == "iemocap" else {emotion: (None, f1) for emotion, f1 in TABLE_2.items()}
    )
    rows, numbers = [], {}
    for emotion in trained.corpus.label_names:
        scores = {
            score: [seed["test"]["classes"][emotion][score] for seed in trained.network["seeds"]]
            for score in ("recall", "f1")
        }
        numbers[emotion] = scores
        paper = reported.get(emotion, (None, None))
        rows.append([emotion, *map(format_percent, scores.values()), *map(format_reported, paper)])
    averages = {score: trained.scores(score) for score in ("waa", "waf1", "macro_f1", "uar", "ece")}
    cells = {score: format_percent(values) for score, values in averages.items()}
    rows.append(["WAA, WAF1", cells["waa"], cells["waf1"], *map(format_reported, SCORES[corpus][FULL])])
    rows.append(["UAR, macro-F1", cells["uar"], cells["macro_f1"], "", ""])
    head = ["", "accuracy", "F1", "paper: accuracy", "paper: F1"]
    return {"head": head, "rows": rows, "emotions": numbers, "averages": averages}


def tabulate_sentiment(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes Table III: both conventions for the utterances without a sentiment."""
    cache.corpus(corpus)  # Raises InputError with a sentence where the file is damaged.
    sentiment = read_sentiment(cache.path(corpus))
    trained = cache.train(corpus, FULL)
    sentiment = sentiment[trained.utterances]
    rows, numbers = [], {}
    for name, kept in (("Has0", np.ones(sentiment.shape, bool)), ("Non0", sentiment != 0)):
        predicted, labels = trained.predicted[:, kept], trained.labels[kept]
        waa = (predicted == labels).mean(axis=1).tolist()
        waf1 = score_seeds(predicted, labels, trained.corpus.num_classes).tolist()
        numbers[name] = {"utterances": int(kept.sum()), "waa": waa, "waf1": waf1}
        rows.append([name, str(kept.sum()), format_percent(waa), format_percent(waf1)])
    rows.append(["paper, on CMU-MOSEI", "", *map(format_reported, SCORES[corpus][FULL])])
    return {"head": ["", "utterances", "WAA", "WAF1"], "rows": rows, "conventions": numbers}


def read_sentiment(path: Path) -> np.ndarray:
    """Reads f32[U], the annotated sentiment, whose sign is the label.

    Raises:
        InputError: the file has none.
    """
    with np.load(path, allow_pickle=False) as arrays:
        if "sentiment" not in arrays:
            raise InputError(f"{path}: the array sentiment is missing; Table III needs it: floats [U], 0 is neutral")
        sentiment: np.ndarray = arrays["sentiment"]
        return sentiment


def tabulate_ablations(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes Table IV, with the two ablations of the text."""
    return compare_with_full(cache, corpus, ABLATIONS, SCORES[corpus])


def tabulate_modalities(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes Table V."""
    variants = list_modalities(cache.corpus(corpus), cache.config(corpus).data.features)
    return compare_with_full(cache, corpus, variants, TABLE_5[corpus])


TABLES = {
    1: Table(
        name="table_1",
        title="IEMOCAP by emotion",
        corpora=("iemocap",),
        compute=tabulate_emotions,
        remarks=(OTHER_FEATURES,),
    ),
    2: Table(
        name="table_2",
        title="MELD by emotion",
        corpora=("meld",),
        compute=tabulate_emotions,
        remarks=(OTHER_FEATURES,),
    ),
    3: Table(
        name="table_3",
        title="Sentiment, with the utterances of sentiment 0 as positive (Has0) and without them (Non0)",
        corpora=("mosei", "mosi"),
        compute=tabulate_sentiment,
        remarks=(OTHER_FEATURES,),
    ),
    4: Table(name="table_4", title="Ablations", corpora=CORPORA, compute=tabulate_ablations, remarks=REMARKS),
    5: Table(name="table_5", title="Modalities", corpora=CORPORA, compute=tabulate_modalities, remarks=REMARKS),
}


if __name__ == "__main__":
    sys.exit(run_script("experiments.tables", Tables, main))
