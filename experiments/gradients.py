"""Shows which gradients are large in training, and what bounding sigma does to them, as a figure."""

import dataclasses
import sys
from typing import Any

import numpy as np

from experiments.paper.artifact import Figure, run_table
from experiments.paper.figure_plots import draw_gradients
from experiments.paper.gradient_norms import GradientNorms, measure_gradients
from experiments.paper.study import NetworkCache, StudyOptions
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.dataset import layout_of, prepare
from macsgr_jax.overrides import override
from macsgr_jax.presets import DEFAULT

# A learning rate that does not fall shows what a schedule and a tighter clipping hide.
SETTINGS = (
    "data.features=text_minilm,text_lsa",
    "train.clip_norm=5",
    "train.schedule=constant",
    "train.epochs=8",
)
READINGS = {"sigma unbounded": ("model.max_std=0",), "sigma below 1": ("model.max_std=1",)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gradients(StudyOptions):
    """Train on the text of MELD and measure, step by step, the gradient of each loss term in each module."""


def main(command: Gradients) -> None:
    """Makes gradients.json, gradients.md and gradients.png."""
    run_table(GRADIENTS, command)


def compare_readings(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes the norms with sigma unbounded and bounded, and a table of the largest ones."""
    loaded = cache.corpus(corpus)
    epochs = cache.quick_epochs
    readings = {}
    for name, settings in READINGS.items():
        config = override(DEFAULT, (*SETTINGS, *settings, *epochs))
        prepared = prepare(loaded, layout_of(config))
        readings[name] = [measure_gradients(prepared, config, seed) for seed in range(cache.seeds)]
    modules = readings["sigma below 1"][0].modules
    head = ["", "WAF1 at the end", "largest norm", "median norm", *(f"largest in {module}" for module in modules)]
    return {
        "head": head,
        "rows": [_describe(name, runs) for name, runs in readings.items()],
        "modules": list(modules),
        "readings": {
            name: {
                "whole": [run.whole.round(4).tolist() for run in runs],
                "by_module": [run.parts.sum(axis=1).max(axis=0).round(4).tolist() for run in runs],
                "by_term": [
                    dict(zip(run.terms, run.parts.max(axis=(0, 2)).round(4).tolist(), strict=True)) for run in runs
                ],
                "validation": [run.validation.round(4).tolist() for run in runs],
            }
            for name, runs in readings.items()
        },
    }


def _describe(name: str, runs: list[GradientNorms]) -> list[str]:
    """Returns a row of the table: over the seeds, the mean score and the largest norms."""
    last = 100 * np.array([run.validation[-1] for run in runs])
    whole = np.stack([run.whole for run in runs])
    modules = np.max([run.parts.max(axis=(0, 1)) for run in runs], axis=0)
    return [
        name,
        ", ".join(f"{score:.1f}" for score in last),
        f"{whole.max():.1f}",
        f"{np.median(whole):.1f}",
        *(f"{norm:.1f}" for norm in modules),
    ]


GRADIENTS = Figure(
    name="gradients",
    title="The gradient's norm at every step, and what bounding sigma does to it",
    corpora=("meld",),
    compute=compare_readings,
    plot=draw_gradients,
    remarks=(
        "Text of MELD (MiniLM, LSA), 8 epochs at a constant learning rate of 3e-3, norms before clipping at 5. The",
        "columns of the modules have the largest norm of a loss term's gradient in them. WAF1 of the validation split.",
    ),
)


if __name__ == "__main__":
    sys.exit(run_script("experiments.gradients", Gradients, main))
