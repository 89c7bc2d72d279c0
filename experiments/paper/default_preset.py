"""Scores of the default preset on corpora of every kind, each with text, speech and both."""

from typing import Any

import numpy as np

from experiments.paper.formatting import format_percent
from experiments.paper.study import NetworkCache, TrainedNetwork
from macsgr_jax.overrides import setting_names
from macsgr_jax.presets import DEFAULT
from macsgr_jax.runs.references import LINEAR, LINEAR_IN_CONTEXT, MAJORITY, compute_references

BOTH = "both"
# Corpus -> part -> feature sets. CMU-MOSI's speech knows the training labels (docs/lab_notes.md): it shows here only
# that training does not collapse.
FEATURES: dict[str, dict[str, tuple[str, ...]]] = {
    "synthetic": {"text": ("text_synthetic",), "speech": ("audio_synthetic",)},
    "iemocap": {"text": ("text_minilm", "text_lsa"), "speech": ("audio_mfcc", "audio_prosody")},
    "meld": {"text": ("text_minilm", "text_lsa"), "speech": ("audio_prosody", "audio_timing")},
    "mosei": {"text": ("text_mpnet",), "speech": ("audio_timing",)},
    "mosi": {"text": ("text_mpnet",), "speech": ("audio_feat",)},
    "dailydialog": {"text": ("text_use",)},
}
REFERENCES = (MAJORITY, LINEAR, LINEAR_IN_CONTEXT)
# The worst seed may lie this far below the mean.
SPREAD = 0.03


def list_parts(corpus: str) -> dict[str, tuple[str, ...]]:
    """Returns the feature sets of each part of a corpus, and of all parts together."""
    parts = FEATURES[corpus]
    return parts if len(parts) == 1 else {**parts, BOTH: sum(parts.values(), ())}


def score_parts(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes a table with one row per part: validation scores of the network and of the reference rows."""
    rows, parts = [], {}
    for part, features in list_parts(corpus).items():
        trained = train_part(cache, corpus, part)
        seeds, references = trained.network["seeds"], compute_references(trained.prepared, trained.config)
        last = [seed["curves"]["validation_waf1"][-1] for seed in seeds]
        collapsed = [seed["seed"] for seed in seeds if seed["collapsed"]]
        simple = {name: references[name]["validation"]["waf1"] for name in references}
        best = max(simple.values())
        parts[part] = {
            "features": list(features),
            "validation_waf1": last,
            "collapsed": collapsed,
            "references": simple,
        }
        rows.append(
            [
                part,
                format_percent(last),
                f"{100 * min(last):.1f}",
                str(len(collapsed)),
                *(f"{100 * simple[name]:.1f}" if name in simple else "" for name in REFERENCES),
                f"{100 * (np.mean(last) - best):+.1f}",
                "yes" if min(last) >= np.mean(last) - SPREAD else "no",
            ]
        )
    return {"head": HEAD, "rows": rows, "parts": parts}


def train_part(
    cache: NetworkCache, corpus: str, part: str, variant: str = "", settings: tuple[str, ...] = ()
) -> TrainedNetwork:
    """Trains the default preset, with further settings under the name of a variant, on one part of a corpus."""
    features = f"data.features={','.join(list_parts(corpus)[part])}"
    return cache.train(corpus, f"default {part} {variant}".strip(), (*default_settings(), features, *settings))


def default_settings() -> tuple[str, ...]:
    """Returns the settings of the default preset, which replace those of a corpus's own preset."""
    return tuple(f"{name}={value}" for name, _, value in setting_names(DEFAULT) if not name.startswith("data."))


HEAD = [
    "features",
    "network",
    "worst seed",
    "collapsed",
    *REFERENCES,
    "network - best simple one",
    "worst within 3 points",
]

REMARKS = (
    "WAF1 of the validation split after the last epoch; no test split. linear: logistic regression on the same",
    "features, its penalty chosen by the same split. collapsed: seeds that predict a single emotion.",
)
