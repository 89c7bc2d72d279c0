"""A corpus made ready for a configuration: standardised, split, laid out in rows and put on the device."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.batching import (
    PADDING,
    choose_rows_per_step,
    count_steps,
    epoch_rows,
    evaluation_rows,
    padding_share,
    sample_utterances,
    shorten,
)
from macsgr_jax.data.corpus import Corpus, choose_features, hold_out_validation
from macsgr_jax.data.standardize import Standardizer, fit_standardizer, standardize
from macsgr_jax.errors import InputError
from macsgr_jax.types import Utterances


@dataclasses.dataclass(frozen=True)
class PreparedCorpus:
    """What a run needs to know of its data.

    Attributes:
        corpus: with a validation split.
        standardizer: fitted on the training split.
        utterances: the whole corpus on the device.
        slots: N, slots of a row when dialogues are whole.
        training_slots: N of a training row: shorter by the share of the utterances that are left out.
        rows_per_step: B, rows of a batch.
        kept: i64[dialogues], how many utterances of each dialogue are in a training epoch.
    """

    corpus: Corpus
    standardizer: Standardizer
    utterances: Utterances
    slots: int
    training_slots: int
    rows_per_step: int
    kept: np.ndarray

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a training epoch."""
        return count_steps(self._kept_offsets, self._training, self.training_slots, self.rows_per_step)

    def epoch_rows(self, rng: np.random.Generator) -> np.ndarray:
        """The training split in a random order: i32[steps, B, N], -1 where padded."""
        rows = epoch_rows(self._kept_offsets, self._training, self.training_slots, self.rows_per_step, rng)
        chosen = sample_utterances(self.corpus.offsets, self.kept, rng).astype(np.int32)
        return np.where(rows == PADDING, PADDING, chosen[rows])

    def evaluation_rows(self, split: str) -> np.ndarray:
        """A split, tightly packed: i32[steps, B, N], -1 where padded."""
        return evaluation_rows(self.corpus.offsets, self.corpus.dialogues_of(split), self.slots, self.rows_per_step)

    def padding_share(self) -> float:
        """Share of the slots of a training epoch that are padding."""
        return padding_share(self.epoch_rows(np.random.default_rng(0)))

    @property
    def _training(self) -> np.ndarray:
        return self.corpus.dialogues_of("train")

    @property
    def _kept_offsets(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.kept)])


def prepare(corpus: Corpus, config: Config, standardizer: Standardizer | None = None) -> PreparedCorpus:
    """Make a corpus ready.

    Args:
        corpus: as loaded.
        config: the settings.
        standardizer: one fitted before, for evaluation; by default one is fitted on the training split.

    Returns:
        The prepared.

    Raises:
        InputError: an unknown feature set, features of another width, or a row too short for a dialogue.
    """
    corpus = hold_out_validation(corpus, config.data.validation_fraction, config.data.validation_seed)
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
    kept = shorten(corpus.lengths, config.train.utterance_dropout)
    training_slots = int(shorten(np.array(slots), config.train.utterance_dropout))
    return PreparedCorpus(
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
        training_slots=training_slots,
        rows_per_step=choose_rows_per_step(
            kept[corpus.dialogues_of("train")], training_slots, config.train.dialogues_per_step
        ),
        kept=kept,
    )
