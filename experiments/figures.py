"""The paper's figures, on the corpora of a folder, each with its numbers in a JSON file beside the picture."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from sklearn.manifold import TSNE

from experiments.paper.artifact import measure, publish
from experiments.paper.figure_plots import DRAW
from experiments.paper.node_clusters import chance_purity, compute_nodes, measure_clusters
from experiments.paper.study import Study, StudyOptions
from experiments.paper.variants import ABLATIONS, FULL, LAMBDAS, list_alignments, list_lambdas
from experiments.tables import compare
from macsgr_jax.cli.common import run_script

TITLES = {
    4: "Confusion on the test split",
    5: "The three alignments on and off",
    6: "With and without uncertainty weights and cross-modal interaction",
    7: "Nodes before and after the refinement",
    8: "The weight of the alignments, lambda",
}
CORPORA = ("iemocap", "meld", "mosi")
PERPLEXITY = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures(StudyOptions):
    """Make a figure of the paper from conversations: train what is not trained yet, test, draw.

    Attributes:
        figure: Which of the paper's figures.
    """

    figure: Literal[4, 5, 6, 7, 8]


def main(command: Figures) -> None:
    """Networks -> figure_N.json -> figure_N.png."""
    study = Study(command)
    corpora = study.choose(CORPORA)
    make: Callable[[Study, str], dict[str, Any]] = {
        4: count_confusion,
        5: score_alignments,
        6: score_fusion,
        7: place_nodes,
        8: score_lambdas,
    }[command.figure]
    numbers = measure(study, corpora, "figure", TITLES[command.figure], make)
    publish(study.results, f"figure_{command.figure}", numbers, draw=DRAW[command.figure])


def count_confusion(study: Study, corpus: str) -> dict[str, Any]:
    """Fig. 4: confusion counts, summed over the seeds."""
    trained = study.train(corpus, FULL)
    counts = np.sum([seed["test"]["confusion"] for seed in trained.network["seeds"]], axis=0)
    return {"labels": list(trained.corpus.label_names), "confusion": counts.tolist()}


def score_alignments(study: Study, corpus: str) -> dict[str, Any]:
    """Fig. 5: every combination, each but the full one tested against it."""
    trained = {name: study.train(corpus, name, settings) for name, settings in list_alignments().items()}
    others = [name for name in trained if name != FULL]
    tests = compare(trained[FULL], [trained[name] for name in others])
    return {
        "networks": {name: {score: one.scores(score) for score in ("waa", "waf1")} for name, one in trained.items()},
        "against_full": dict(zip(others, tests, strict=True)),
    }


def score_fusion(study: Study, corpus: str) -> dict[str, Any]:
    """Fig. 6: F1 of every emotion and WAF1."""
    variants = {name: ABLATIONS[name] for name in ("w/o UW", "w/o CMI")} | {FULL: ()}
    scores = {}
    for name, settings in variants.items():
        trained = study.train(corpus, name, settings)
        seeds = trained.network["seeds"]
        by_emotion = {
            emotion: [seed["test"]["classes"][emotion]["f1"] for seed in seeds]
            for emotion in trained.corpus.label_names
        }
        scores[name] = by_emotion | {"WAF1": trained.scores("waf1")}
    return {"networks": scores}


def place_nodes(study: Study, corpus: str) -> dict[str, Any]:
    """Fig. 7: t-SNE of the first seed's nodes; silhouette and purity of every seed's."""
    full = study.train(corpus, FULL)
    ablated = {name: study.train(corpus, name, ABLATIONS[name]) for name in ("w/o SyE", "w/o SeE")}
    of_full = compute_nodes(full)
    stages = {
        "before refinement": [nodes.before for nodes in of_full],
        **{name: [nodes.after for nodes in compute_nodes(one)] for name, one in ablated.items()},
        "full": [nodes.after for nodes in of_full],
    }
    perplexity = min(PERPLEXITY, (len(full.labels) - 1) / 3)
    measured: dict[str, Any] = {}
    dots = {}
    for stage, of_seeds in stages.items():
        clusters = [measure_clusters(nodes, full.labels) for nodes in of_seeds]
        measured[stage] = {name: [one[name] for one in clusters] for name in clusters[0]}
        embedding = TSNE(metric="cosine", init="random", perplexity=perplexity, random_state=0)
        dots[stage] = embedding.fit_transform(of_seeds[0])
    return {
        "labels": list(full.corpus.label_names),
        "stages": measured,
        "chance_purity": chance_purity(full.labels),
        # Thousands of numbers, which the picture holds and the JSON file does not.
        "dots": dots,
        "dots_labels": full.labels,
    }


def score_lambdas(study: Study, corpus: str) -> dict[str, Any]:
    """Fig. 8: WAA and WAF1 by lambda."""
    trained = [study.train(corpus, name, settings) for name, settings in list_lambdas().items()]
    return {
        "lambdas": [float(value) for value in LAMBDAS],
        **{score: [one.scores(score) for one in trained] for score in ("waa", "waf1")},
    }


if __name__ == "__main__":
    sys.exit(run_script("experiments.figures", Figures, main))
