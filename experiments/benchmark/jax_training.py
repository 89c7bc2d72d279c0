"""A training of our network as the benchmark measures it: compiled ahead of time, an epoch a call."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.hparams import make_hparams, without_traced
from macsgr_jax.models import build_network
from macsgr_jax.training.step import evaluate, init_state, train_epoch


class Compiled(NamedTuple):
    """A compiled program.

    Attributes:
        call: the program; its static arguments are bound.
        seconds: that compiling it took.
        bytes: memory that it needs: arguments, results and what lies between; None where the compiler does not say.
    """

    call: Any
    seconds: float
    bytes: int | None


def compile_program(function: Any, *arguments: Any, **static: Any) -> Compiled:
    """Compile a jitted function for arguments, or for their shapes."""
    start = time.perf_counter()
    call = function.lower(*arguments, **static).compile()
    seconds = time.perf_counter() - start
    memory = call.memory_analysis()
    if memory is None:
        return Compiled(call, seconds, None)
    needed = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return Compiled(call, seconds, int(needed - memory.alias_size_in_bytes))


class OurTraining:
    """One run with packed rows, as `macsgr_jax.cli.train` trains it, without validation and checkpoints.

    Args:
        prepared: the data.
        config: the settings.
        seed: of weights and data order.

    Attributes:
        training: the compiled epoch.
        inference: the compiled evaluation of the training split.
    """

    def __init__(self, prepared: PreparedCorpus, config: Config, seed: int = 0) -> None:
        self._task, self._order = prepared, np.random.default_rng(seed)
        self._hparams = make_hparams(config, sorted(prepared.utterances.features))
        self._rows, self._ordered = self._draw(), jnp.asarray(prepared.evaluation_rows("train"))
        network = build_network(config.model, prepared.corpus.num_classes)
        static = {"network": network, "config": without_traced(config)}
        start = (jax.random.key(seed), prepared.utterances, self._rows[0], self._hparams)
        self._state = init_state(*start, **static, steps_per_epoch=prepared.steps_per_epoch)
        self.training = compile_program(
            train_epoch, self._state, prepared.utterances, self._rows, self._hparams, **static
        )
        self.inference = compile_program(
            evaluate, self._state.params, prepared.utterances, self._ordered, network=network
        )

    def train_epoch(self) -> dict[str, float]:
        """One pass over the training split in a random order; the mean of each loss term."""
        self._state, terms = self.training.call(self._state, self._task.utterances, self._rows, self._hparams)
        self._rows = self._draw()  # While the device works, as in `macsgr_jax.training.loop`.
        jax.block_until_ready(self._state)
        return {name: float(np.asarray(values).mean()) for name, values in terms.items()}

    def count_correct(self) -> int:
        """How many utterances of the training split the network names rightly."""
        counts = self.inference.call(self._state.params, self._task.utterances, self._ordered)
        return int(np.trace(np.asarray(counts.confusion)))

    def padding_share(self) -> float:
        """Share of the slots of a training epoch that are padding."""
        return self._task.padding_fraction()

    @property
    def steps(self) -> int:
        """Steps of a training epoch."""
        return self._task.steps_per_epoch

    @property
    def device(self) -> str:
        """Where it runs."""
        return jax.local_devices()[0].device_kind

    def _draw(self) -> jax.Array:
        return jnp.asarray(self._task.epoch_rows(self._order))
