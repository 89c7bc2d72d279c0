"""Training and inference of one network over the same utterances, beside the PyTorch peer's if that is asked for."""

import importlib.util
from typing import Any, Protocol

import numpy as np

from experiments.benchmark.jax_training import OurTraining
from experiments.benchmark.memory import peak_bytes
from experiments.benchmark.timing import OtherWork, compare_seconds, interleave, summarize_seconds
from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.errors import InputError


class Training(Protocol):
    """What is measured of ours and of the peer's alike; each call returns when its work is done."""

    def train_epoch(self) -> dict[str, float]:
        """One pass over the training split; the mean of each loss term."""

    def count_correct(self) -> int:
        """How many utterances of the training split the network names rightly."""

    def padding_share(self) -> float:
        """Share of the slots of a training epoch that are padding."""

    @property
    def steps(self) -> int:
        """Steps of a training epoch."""

    @property
    def device(self) -> str:
        """Where it runs."""


def require_torch() -> None:
    """Raise InputError where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise InputError("--peer needs PyTorch, which is not installed: pip install -e '.[peer]'")


def measure_speed(prepared: PreparedCorpus, config: Config, rounds: int, with_peer: bool) -> dict[str, Any]:
    """Whole epochs, ours and the peer's in turns.

    Args:
        prepared: the data.
        config: the settings.
        rounds: epochs of each that count; one more warms up.
        with_peer: measure the peer too.

    Returns:
        Plain values: of each side, of the ratio, and of the machine.

    Raises:
        InputError: the peer does not know a setting.
    """
    utterances = len(prepared.corpus.utterances_of("train"))
    ours = OurTraining(prepared, config)
    sides: dict[str, Training] = {"ours": ours}
    ours.train_epoch(), ours.count_correct()
    peak = peak_bytes()  # Before the peer takes its own.
    if with_peer:
        sides["peer"] = _make_peer(prepared, config)
    with OtherWork() as other_work:
        train = interleave({name: side.train_epoch for name, side in sides.items()}, rounds)
        inference = interleave({name: side.count_correct for name, side in sides.items()}, rounds)
    measured = {
        name: {
            "device": side.device,
            "steps": side.steps,
            "padding_share": side.padding_share(),
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
    """Passes over the same utterances: f64[rounds] seconds to plain values."""
    spread = summarize_seconds(seconds)
    per_step = {} if steps is None else {"step_milliseconds": 1e3 * spread["median"] / steps}
    return {"utterances_per_second": utterances / spread["median"], "epoch_seconds": spread, **per_step}


def _make_peer(prepared: PreparedCorpus, config: Config) -> Training:
    require_torch()
    from experiments.benchmark.torch_training import PeerTraining  # torch is optional.

    return PeerTraining(prepared, config)
