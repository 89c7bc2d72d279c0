"""MA-CMU-SGRNet in JAX: the emotion of every utterance of a conversation, from speech and text.

The public names below are imported when they are first used, so that `macsgr --help` does not wait for JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from macsgr_jax import losses, metrics
    from macsgr_jax.config import Config
    from macsgr_jax.data.corpus import Corpus, choose_features, hold_out_validation
    from macsgr_jax.data.corpus_file import load_corpus, save_corpus
    from macsgr_jax.data.dataset import PreparedCorpus, prepare
    from macsgr_jax.errors import InputError
    from macsgr_jax.models import Network, build_network
    from macsgr_jax.overrides import override
    from macsgr_jax.presets import PRESETS
    from macsgr_jax.runs.predictor import EmotionPredictor, Predictions, load_predictor
    from macsgr_jax.training.loop import DivergenceError, Epoch, EpochReport, Runs, train_runs
    from macsgr_jax.training.step import evaluate, gather_batch, init_state, predict, train_epoch, train_step
    from macsgr_jax.types import Batch, Gaussian, NetworkOutput, Utterances

# Where each public name is defined, in the order in which data flow.
_MODULES = {
    "macsgr_jax.config": ("Config",),
    "macsgr_jax.presets": ("PRESETS",),
    "macsgr_jax.overrides": ("override",),
    "macsgr_jax.errors": ("InputError",),
    "macsgr_jax.data.corpus": ("Corpus", "choose_features", "hold_out_validation"),
    "macsgr_jax.data.corpus_file": ("load_corpus", "save_corpus"),
    "macsgr_jax.data.dataset": ("PreparedCorpus", "prepare"),
    "macsgr_jax.types": ("Batch", "Gaussian", "NetworkOutput", "Utterances"),
    "macsgr_jax.models": ("Network", "build_network"),
    "macsgr_jax.training.step": ("evaluate", "gather_batch", "init_state", "predict", "train_epoch", "train_step"),
    "macsgr_jax.training.loop": ("DivergenceError", "Epoch", "EpochReport", "Runs", "train_runs"),
    "macsgr_jax.runs.predictor": ("EmotionPredictor", "Predictions", "load_predictor"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [  # They are found by __getattr__.
    "PRESETS",
    "Batch",
    "Config",
    "Corpus",
    "DivergenceError",
    "EmotionPredictor",
    "Epoch",
    "EpochReport",
    "Gaussian",
    "InputError",
    "Network",
    "NetworkOutput",
    "Predictions",
    "PreparedCorpus",
    "Runs",
    "Utterances",
    "build_network",
    "choose_features",
    "evaluate",
    "gather_batch",
    "hold_out_validation",
    "init_state",
    "load_corpus",
    "load_predictor",
    "losses",
    "metrics",
    "override",
    "predict",
    "prepare",
    "save_corpus",
    "train_epoch",
    "train_runs",
    "train_step",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    if name in ("losses", "metrics"):
        return importlib.import_module(f"macsgr_jax.{name}")
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists the public names, imported or not."""
    return sorted([*globals(), *__all__])
