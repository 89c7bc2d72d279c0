"""Makes the paper's figures, on the corpora of a folder, each with its numbers in a JSON file beside the picture."""

import dataclasses
import sys
from typing import Any

import numpy as np
from sklearn.manifold import TSNE

from experiments.paper.artifact import Figure, run_table
from experiments.paper.comparison import compare_networks
from experiments.paper.figure_plots import (
    draw_alignments,
    draw_confusions,
    draw_fusion,
    draw_lambdas,
    draw_nodes,
)
from experiments.paper.node_clusters import chance_purity, compute_nodes, measure_clusters
from experiments.paper.study import NetworkCache, StudyOptions
from experiments.paper.variants import ABLATIONS, CORPORA, FULL, LAMBDAS, list_alignments, list_lambdas
from macsgr_jax.cli.common import run_script
from macsgr_jax.errors import InputError

PERPLEXITY = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures(StudyOptions):
    """Make a figure of the paper: train the networks that are missing, test, draw.

    Attributes:
        figure: The number of the paper's figure, 4 to 8.
    """

    figure: int


def main(command: Figures) -> None:
    """Makes figure_N.json and figure_N.png."""
    if command.figure not in FIGURES:
        raise InputError(f"--figure {command.figure}: choose from {', '.join(map(str, FIGURES))}")
    run_table(FIGURES[command.figure], command)


def count_confusion(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes Fig. 4: confusion counts, summed over the seeds."""
    trained = cache.train(corpus, FULL)
    counts = np.sum([seed["test"]["confusion"] for seed in trained.network["seeds"]], axis=0)
    return {"labels": list(trained.corpus.label_names), "confusion": counts.tolist()}


def score_alignments(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes Fig. 5: every combination of the alignments, each but the full one tested against it."""
    networks = {name: cache.train(corpus, name, settings) for name, settings in list_alignments().items()}
    others = [name for name in networks if name != FULL]
    tests = compare_networks(networks[FULL], [networks[name] for name in others])
    return {
        "networks": {name: {score: one.scores(score) for score in ("waa", "waf1")} for name, one in networks.items()},
        "against_full": dict(zip(others, tests, strict=True)),
    }


def score_fusion(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes Fig. 6: F1 of every emotion and WAF1."""
    variants = {name: ABLATIONS[name] for name in ("w/o UW", "w/o CMI")} | {FULL: ()}
    scores = {}
    for name, settings in variants.items():
        trained = cache.train(corpus, name, settings)
        by_emotion = {
            emotion: [seed["test"]["classes"][emotion]["f1"] for seed in trained.network["seeds"]]
            for emotion in trained.corpus.label_names
        }
        scores[name] = by_emotion | {"WAF1": trained.scores("waf1")}
    return {"networks": scores}


def place_nodes(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes Fig. 7: t-SNE of the first seed's nodes; silhouette and purity of every seed's nodes."""
    full = cache.train(corpus, FULL)
    ablated = {name: cache.train(corpus, name, ABLATIONS[name]) for name in ("w/o SyE", "w/o SeE")}
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
        "dots": dots,
        "dots_labels": full.labels,
    }


def score_lambdas(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes Fig. 8: WAA and WAF1 by lambda."""
    networks = [cache.train(corpus, name, settings) for name, settings in list_lambdas().items()]
    return {
        "lambdas": [float(value) for value in LAMBDAS],
        **{score: [one.scores(score) for one in networks] for score in ("waa", "waf1")},
    }


FIGURES = {
    4: Figure(
        name="figure_4",
        title="Confusion on the test split",
        corpora=CORPORA,
        compute=count_confusion,
        plot=draw_confusions,
    ),
    5: Figure(
        name="figure_5",
        title="The three alignments on and off",
        corpora=CORPORA,
        compute=score_alignments,
        plot=draw_alignments,
    ),
    6: Figure(
        name="figure_6",
        title="With and without uncertainty weights and cross-modal interaction",
        corpora=CORPORA,
        compute=score_fusion,
        plot=draw_fusion,
    ),
    7: Figure(
        name="figure_7",
        title="Nodes before and after the refinement",
        corpora=CORPORA,
        compute=place_nodes,
        plot=draw_nodes,
        # Thousands of numbers, which the picture shows and the JSON file leaves out.
        drawn=("dots", "dots_labels"),
    ),
    8: Figure(
        name="figure_8",
        title="The weight of the alignments, lambda",
        corpora=CORPORA,
        compute=score_lambdas,
        plot=draw_lambdas,
    ),
}


if __name__ == "__main__":
    sys.exit(run_script("experiments.figures", Figures, main))
