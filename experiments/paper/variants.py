"""The networks of the paper's tables and figures: names, and the settings in which each differs from the full one."""

import itertools

from macsgr_jax.data.corpus import Corpus, choose_features

FULL = "full"

# Fixed by leaving out Sessions 1 to 4 of IEMOCAP in turn, by the validation split of MELD, and by leaving out quarters
# of the training videos of MOSI (experiments/NOTES.md).
CORPUS_SETTINGS: dict[str, tuple[str, ...]] = {
    "iemocap": ("data.features=text_minilm,text_lsa,audio_mfcc,audio_prosody",),
    "meld": (
        "data.features=text_minilm,text_lsa,text_use,audio_prosody",
        "loss.class_balance=0.4",
        "loss.lambda_alignment=0.2",
        "train.epochs=20",
        "train.warmup_epochs=2",
        "train.utterance_dropout=0.2",
    ),
    "mosi": ("train.epochs=20", "train.weight_decay=0.1", "model.input_dropout=0.6"),
}

# Where the simplest settings within one standard error of the best were taken, not the best.
SIMPLEST = ("mosi",)

# Table IV, and the two ablations that the paper's text names besides.
ABLATIONS: dict[str, tuple[str, ...]] = {
    "w/o UW": ("model.uncertainty_weighting=false",),
    "w/o CMI": ("model.cross_modal_interaction=false",),
    "w/o SyE": ("model.syntactic_encoder=false",),
    "w/o SeE": ("model.semantic_encoder=false",),
    "w/o SEW": ("model.semantic_edge_weights=false",),
    "w/o SPE": ("model.semantic_position_encoding=false",),
}

ALIGNMENTS = {"IA": "instance", "PA": "prototype", "LSA": "latent"}

# A recurrent network and a classifier, without what is the paper's own.
PLAIN = (
    "loss.instance_alignment=false",
    "loss.prototype_alignment=false",
    "loss.latent_alignment=false",
    "model.uncertainty_weighting=false",
    "model.cross_modal_interaction=false",
    "model.syntactic_encoder=false",
    "model.semantic_encoder=false",
)

# How IEMOCAP's dialogues are named.
SESSIONS = ("Ses01", "Ses02", "Ses03", "Ses04", "Ses05")

# Fig. 8.
LAMBDAS = tuple(f"{tenth / 10:.1f}" for tenth in range(1, 10))


def list_alignments() -> dict[str, tuple[str, ...]]:
    """Fig. 5: every combination of the three alignments; the one with all of them is the full network."""
    combinations = {}
    for switches in itertools.product((False, True), repeat=len(ALIGNMENTS)):
        chosen = dict(zip(ALIGNMENTS, switches, strict=True))
        name = "+".join(short for short, on in chosen.items() if on) or "none"
        settings = tuple(f"loss.{ALIGNMENTS[short]}_alignment=false" for short, on in chosen.items() if not on)
        combinations[FULL if all(switches) else name] = settings
    return combinations


def list_modalities(corpus: Corpus, features: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Table V: each modality alone, without any alignment, as the paper has it; and for three, each pair."""
    chosen = choose_features(corpus, features)
    variants = {}
    for count in range(1, len(chosen)):
        for modalities in itertools.combinations(sorted(chosen, reverse=True), count):
            names = ",".join(name for modality in modalities for name in chosen[modality])
            alone = ("loss.instance_alignment=false",) if count == 1 else ()
            variants["+".join(modalities)] = (f"data.features={names}", *alone)
    return variants


def list_lambdas() -> dict[str, tuple[str, ...]]:
    """Fig. 8: a network a value of lambda."""
    return {f"lambda {value}": (f"loss.lambda_alignment={value}",) for value in LAMBDAS}
