"""Corpora and variants of the network in the paper's tables and figures."""

import itertools

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus, choose_features
from macsgr_jax.overrides import setting_names

# Each corpus has the preset of its name (macsgr_jax.presets).
CORPORA = ("iemocap", "meld", "mosei", "mosi")

# Corpora whose preset is the simplest within one standard error of the best, and not the best.
SIMPLEST = ("mosi",)

FULL = "full"

# Name of the variant -> settings in which it differs from the full network: Table IV, and the two ablations that the
ABLATIONS: dict[str, tuple[str, ...]] = {
    "w/o UW": ("model.uncertainty_weighting=false",),
    "w/o CMI": ("model.cross_modal_interaction=false",),
    "w/o SyE": ("model.syntactic_encoder=false",),
    "w/o SeE": ("model.semantic_encoder=false",),
    "w/o SEW": ("model.semantic_edge_weights=false",),
    "w/o SPE": ("model.semantic_position_encoding=false",),
}

ALIGNMENTS = {"IA": "instance", "PA": "prototype", "LSA": "latent"}

# A recurrent network and a classifier, without the components that the paper proposes.
PLAIN_NAME = "plain"
PLAIN = (
    "loss.instance_alignment=false",
    "loss.prototype_alignment=false",
    "loss.latent_alignment=false",
    "model.uncertainty_weighting=false",
    "model.cross_modal_interaction=false",
    "model.syntactic_encoder=false",
    "model.semantic_encoder=false",
)

# Prefixes of the names of IEMOCAP's dialogues.
SESSIONS = ("Ses01", "Ses02", "Ses03", "Ses04", "Ses05")

# Fig. 8.
LAMBDAS = tuple(f"{tenth / 10:.1f}" for tenth in range(1, 10))


def list_alignments() -> dict[str, tuple[str, ...]]:
    """Returns every combination of the three alignments (Fig. 5); the combination of all three is the full network."""
    combinations = {}
    for switches in itertools.product((False, True), repeat=len(ALIGNMENTS)):
        enabled = dict(zip(ALIGNMENTS, switches, strict=True))
        name = "+".join(short for short, on in enabled.items() if on) or "none"
        settings = tuple(f"loss.{ALIGNMENTS[short]}_alignment=false" for short, on in enabled.items() if not on)
        combinations[FULL if all(switches) else name] = settings
    return combinations


def list_modalities(corpus: Corpus, features: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Returns each modality alone, without any alignment as in the paper's Table V, and each pair of three modalities.

    Args:
        corpus: the corpus.
        features: names of the feature sets of the full network; empty for all.

    Returns:
        Name of the variant -> settings.
    """
    chosen = choose_features(corpus, features)
    variants = {}
    for count in range(1, len(chosen)):
        for modalities in itertools.combinations(sorted(chosen, reverse=True), count):
            names = ",".join(name for modality in modalities for name in chosen[modality])
            alone = ("loss.instance_alignment=false",) if count == 1 else ()
            variants["+".join(modalities)] = (f"data.features={names}", *alone)
    return variants


def list_lambdas() -> dict[str, tuple[str, ...]]:
    """Returns one network per value of lambda (Fig. 8)."""
    return {f"lambda {value}": (f"loss.lambda_alignment={value}",) for value in LAMBDAS}


def list_differences(config: Config, base: Config) -> dict[str, str]:
    """Returns the settings in which a configuration differs from another: dotted name -> value as text for --set."""
    values = {name: value for name, _, value in setting_names(base)}
    return {name: _as_text(value) for name, _, value in setting_names(config) if value != values[name]}


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
