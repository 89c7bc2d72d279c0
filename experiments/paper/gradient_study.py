"""Which gradients are large in training, and what bounding sigma does to them."""

from typing import Any

import numpy as np

from experiments.paper.gradient_norms import GradientNorms, measure_gradients
from experiments.paper.study import NetworkCache
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


REMARKS = (
    "Text of MELD (MiniLM, LSA), 8 epochs at a constant learning rate of 3e-3, norms before clipping at 5. The",
    "columns of the modules have the largest norm of a loss term's gradient in them. WAF1 of the validation split.",
)
