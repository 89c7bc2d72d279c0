"""A corpus made ready for a configuration: standardised, split, laid out in rows and put on the device."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.batching import (
    choose_rows_per_step,
    count_steps,
    drop_utterances,
    epoch_rows,
    evaluation_rows,
    padding_share,
)
from macsgr_jax.data.corpus import Corpus, choose_features, hold_out_validation
from macsgr_jax.data.standardize import Standardizer, fit_standardizer, standardize
from macsgr_jax.errors import InputError
from macsgr_jax.types import Utterances


@dataclasses.dataclass(frozen=True)
class Task:
    """What a run needs to know of its data.

    Attributes:
        corpus: with a validation split.
        standardizer: fitted on the training split.
        utterances: the whole corpus on the device.
        slots: N, slots of a row.
        rows_per_step: B, rows of a batch.
        utterance_dropout: share of the utterances left out of a training epoch.
    """

    corpus: Corpus
    standardizer: Standardizer
    utterances: Utterances
    slots: int
    rows_per_step: int
    utterance_dropout: float = 0.0

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a training epoch."""
        return count_steps(self.corpus.offsets, self.corpus.dialogues_of("train"), self.slots, self.rows_per_step)

    def epoch_rows(self, rng: np.random.Generator) -> np.ndarray:
        """The training split in a random order: i32[steps, B, N], -1 where padded."""
        rows = self._whole_rows(rng)
        return drop_utterances(rows, self.utterance_dropout, rng) if self.utterance_dropout else rows

    def evaluation_rows(self, split: str) -> np.ndarray:
        """A split, tightly packed: i32[steps, B, N], -1 where padded."""
        return evaluation_rows(self.corpus.offsets, self.corpus.dialogues_of(split), self.slots, self.rows_per_step)

    def padding_share(self) -> float:
        """Share of the slots of a training epoch that are padding, when every utterance is in it."""
        return padding_share(self._whole_rows(np.random.default_rng(0)))

    def _whole_rows(self, rng: np.random.Generator) -> np.ndarray:
        dialogues = self.corpus.dialogues_of("train")
        return epoch_rows(self.corpus.offsets, dialogues, self.slots, self.rows_per_step, rng)


def prepare(corpus: Corpus, config: Config, standardizer: Standardizer | None = None) -> Task:
    """Make a corpus ready.

    Args:
        corpus: as loaded.
        config: the settings.
        standardizer: one fitted before, for evaluation; by default one is fitted on the training split.

    Returns:
        The task.

    Raises:
        InputError: an unknown feature set, features of another width, or a row too short for a dialogue.
    """
    corpus = hold_out_validation(corpus, config.data.validation_share, config.data.validation_seed)
    if standardizer is None:
        standardizer = fit_standardizer(corpus, choose_features(corpus, config.data.features), config.data.clip)
    features, available = standardize(standardizer, corpus)
    slots = config.data.slots_per_row or int(corpus.lengths.max())
    longest = int(np.argmax(corpus.lengths))
    if corpus.lengths[longest] > slots:
        raise InputError(
            f"data.slots_per_row = {slots} is too short for dialogue {corpus.dialogue_names[longest]} of"
            f" {corpus.lengths[longest]} utterances: choose at least that, or 0 for the longest dialogue"
        )
    return Task(
        corpus=corpus,
        standardizer=standardizer,
        utterances=Utterances(
            features={name: jnp.asarray(values) for name, values in features.items()},
            available={name: jnp.asarray(values) for name, values in available.items()},
            speakers=jnp.asarray(corpus.speakers, jnp.int32),
            labels=jnp.asarray(corpus.labels, jnp.int32),
            dialogue=jnp.asarray(corpus.dialogue_of_utterance, jnp.int32),
        ),
        slots=slots,
        rows_per_step=choose_rows_per_step(
            corpus.lengths[corpus.dialogues_of("train")], slots, config.train.dialogues_per_step
        ),
        utterance_dropout=config.train.utterance_dropout,
    )
