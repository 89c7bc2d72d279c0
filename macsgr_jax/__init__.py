"""MA-CMU-SGRNet in JAX: emotions of every utterance of a conversation, from speech and text."""

from macsgr_jax import losses, metrics
from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus, choose_features, hold_out_validation
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.errors import InputError
from macsgr_jax.hparams import HParams, make_hparams
from macsgr_jax.models import Network, build_network
from macsgr_jax.overrides import override
from macsgr_jax.presets import PRESETS
from macsgr_jax.training.loop import DivergenceError, EpochReport, Runs, train_runs
from macsgr_jax.training.step import evaluate, gather_batch, init_state, predict, train_epoch, train_step
from macsgr_jax.types import Batch, Gaussian, NetworkOutput, Utterances

__all__ = [
    "PRESETS",
    "Batch",
    "Config",
    "Corpus",
    "DivergenceError",
    "EpochReport",
    "Gaussian",
    "HParams",
    "InputError",
    "NetworkOutput",
    "Network",
    "Runs",
    "PreparedCorpus",
    "Utterances",
    "build_network",
    "choose_features",
    "evaluate",
    "gather_batch",
    "hold_out_validation",
    "init_state",
    "load_corpus",
    "losses",
    "make_hparams",
    "metrics",
    "override",
    "predict",
    "prepare",
    "train_runs",
    "save_corpus",
    "train_epoch",
    "train_step",
]
