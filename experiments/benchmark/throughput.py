"""Speed of training and inference over the same utterances, of our network and of the PyTorch peer."""

import importlib.util
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from experiments.benchmark.jax_training import OurTraining
from experiments.benchmark.memory import peak_bytes
from experiments.benchmark.timing import OtherWork, compare_seconds, interleave, summarize_seconds
from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.errors import InputError
from macsgr_jax.overrides import override
from macsgr_jax.presets import PRESETS


class Training(Protocol):
    """The calls that are measured, of our network and of the peer; each returns when its work is done."""

    def train_epoch(self) -> dict[str, float]:
        """Trains on the training split once; returns the mean of each loss term."""

    def count_correct(self) -> int:
        """Counts the utterances of the training split that are classified correctly."""

    def padding_fraction(self) -> float:
        """Returns the fraction of the slots of a training epoch that are padding."""

    @property
    def steps(self) -> int:
        """The number of steps of a training epoch."""

    @property
    def device(self) -> str:
        """The name of the device."""


def configure(settings: Sequence[str]) -> Config:
    """Returns the default recipe with some settings; every epoch has every utterance, as the peer's does."""
    return override(PRESETS["default"], ("train.utterance_dropout=0", *settings))


def require_torch() -> None:
    """Raises InputError where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise InputError("--peer needs PyTorch, which is not installed: pip install -e '.[peer]'")


def measure_speed(prepared: PreparedCorpus, config: Config, rounds: int, with_peer: bool) -> dict[str, Any]:
    """Measures whole epochs, of our network and of the peer in turns.

    Args:
        prepared: the prepared corpus.
        config: the configuration of the training.
        rounds: the number of measured epochs of each, after one to warm up.
        with_peer: whether to measure the peer too.

    Returns:
        Plain values: the figures of each side, of the ratio, and of the machine.

    Raises:
        InputError: the peer does not implement a setting.
    """
    utterances = len(prepared.corpus.utterances_of("train"))
    ours = OurTraining(prepared, config)
    sides: dict[str, Training] = {"ours": ours}
    ours.train_epoch()
    ours.count_correct()
    peak = peak_bytes()  # Before the peer allocates its own.
    if with_peer:
        sides["peer"] = _make_peer(prepared, config)
    with OtherWork() as other_work:
        train = interleave({name: side.train_epoch for name, side in sides.items()}, rounds)
        inference = interleave({name: side.count_correct for name, side in sides.items()}, rounds)
    measured = {
        name: {
            "device": side.device,
            "steps": side.steps,
            "padding_share": side.padding_fraction(),
            "train": describe_passes(train[name], utterances, side.steps),
            "inference": describe_passes(inference[name], utterances, None),
        }
        for name, side in sides.items()
    }
    programs = {"train": ours.training, "inference": ours.inference}
    measured["ours"]["compile_seconds"] = {name: program.seconds for name, program in programs.items()}
    measured["ours"]["program_bytes"] = {name: program.bytes for name, program in programs.items()}
    measured["ours"]["peak_bytes"] = peak
    if with_peer:
        pairs = {"train": train, "inference": inference}
        measured["ratio"] = {name: compare_seconds(pair["ours"], pair["peer"]) for name, pair in pairs.items()}
    return {"utterances": utterances, "rounds": rounds, "cores_of_others": other_work.cores, **measured}


def describe_passes(seconds: np.ndarray, utterances: int, steps: int | None) -> dict[str, Any]:
    """Describes passes over the same utterances, f64[rounds] seconds each, as plain values."""
    spread = summarize_seconds(seconds)
    per_step = {} if steps is None else {"step_milliseconds": 1e3 * spread["median"] / steps}
    return {"utterances_per_second": utterances / spread["median"], "epoch_seconds": spread, **per_step}


def _make_peer(prepared: PreparedCorpus, config: Config) -> Training:
    require_torch()
    from experiments.benchmark.torch_training import PeerTraining  # torch is optional.

    return PeerTraining(prepared, config)
