"""Trains the network as the benchmark measures it: compiled ahead of time, one epoch per call."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.models import build_network
from macsgr_jax.training.step import evaluate, init_state, train_epoch


class Compiled(NamedTuple):
    """A compiled program.

    Attributes:
        call: the program; its static arguments are bound.
        seconds: the compilation time.
        bytes: the memory of its arguments, results and temporaries; None where the compiler does not report it.
    """

    call: Any
    seconds: float
    bytes: int | None


def compile_program(function: Any, *arguments: Any, **static: Any) -> Compiled:
    """Compiles a jitted function for arguments, or for their shapes."""
    start = time.perf_counter()
    call = function.lower(*arguments, **static).compile()
    seconds = time.perf_counter() - start
    memory = call.memory_analysis()
    if memory is None:
        return Compiled(call, seconds, None)
    needed = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return Compiled(call, seconds, int(needed - memory.alias_size_in_bytes))


class OurTraining:
    """One run with packed rows, as `macsgr train` trains it, without validation and checkpoints.

    Args:
        prepared: the prepared corpus.
        config: the configuration of the training.
        seed: the seed of weights and data order.

    Attributes:
        training: the compiled epoch.
        inference: the compiled evaluation of the training split.
    """

    def __init__(self, prepared: PreparedCorpus, config: Config, seed: int = 0) -> None:
        self._prepared, self._order = prepared, np.random.default_rng(seed)
        self._config = jax.tree.map(jnp.float32, config)
        self._rows, self._ordered = self._draw(), jnp.asarray(prepared.evaluation_rows("train"))
        network = build_network(config.model, prepared.corpus.num_classes)
        start = (jax.random.key(seed), prepared.utterances, self._rows[0], self._config)
        self._state = init_state(*start, network=network)
        self.training = compile_program(
            train_epoch, self._state, prepared.utterances, self._rows, self._config, network=network
        )
        self.inference = compile_program(
            evaluate, self._state.params, prepared.utterances, self._ordered, network=network
        )

    def train_epoch(self) -> dict[str, float]:
        """Trains on the training split once, in a random order; returns the mean of each loss term."""
        self._state, terms = self.training.call(self._state, self._prepared.utterances, self._rows, self._config)
        self._rows = self._draw()  # While the device works, as in `macsgr_jax.training.loop`.
        jax.block_until_ready(self._state)
        return {name: float(np.asarray(values).mean()) for name, values in terms.items()}

    def count_correct(self) -> int:
        """Counts the utterances of the training split that are classified correctly."""
        counts = self.inference.call(self._state.params, self._prepared.utterances, self._ordered)
        return int(np.trace(np.asarray(counts.confusion)))

    def padding_fraction(self) -> float:
        """Returns the fraction of the slots of a training epoch that are padding."""
        return self._prepared.padding_fraction()

    @property
    def steps(self) -> int:
        """The number of steps of a training epoch."""
        return self._prepared.steps_per_epoch

    @property
    def device(self) -> str:
        """The name of the device."""
        return jax.local_devices()[0].device_kind

    def _draw(self) -> jax.Array:
        return jnp.asarray(self._prepared.epoch_rows(self._order))
