"""A corpus prepared for a configuration: split, standardised and laid out in rows, as NumPy arrays."""

import dataclasses

import numpy as np

from macsgr_jax.config import Config, DataConfig
from macsgr_jax.data.batching import (
    PADDING,
    choose_rows_per_step,
    count_steps,
    epoch_rows,
    evaluation_rows,
    padding_fraction,
    sample_utterances,
    shorten,
)
from macsgr_jax.data.corpus import Corpus, choose_features, hold_out_validation
from macsgr_jax.data.standardize import Standardizer, fit_standardizer, standardize
from macsgr_jax.errors import InputError
from macsgr_jax.types import Utterances


@dataclasses.dataclass(frozen=True)
class PreparedCorpus:
    """The data of a training.

    Attributes:
        corpus: the corpus, with a validation split.
        standardizer: the standardisation, fitted on the training split.
        utterances: the whole corpus as NumPy arrays. Whoever calls jitted code with it more than once puts it on the
            devices first.
        slots: the number N of slots of a row when dialogues are whole.
        training_slots: the number N of slots of a training row, fewer by the fraction of utterances that are left out.
        rows_per_step: the number B of rows of a batch.
        kept: i64[dialogues], the number of utterances of each dialogue in a training epoch.
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
        """The number of steps of a training epoch."""
        return count_steps(self._kept_offsets, self._training, self.training_slots, self.rows_per_step)

    def epoch_rows(self, rng: np.random.Generator) -> np.ndarray:
        """Returns the training split in a random order, i32[steps, B, N], -1 where padded."""
        rows = epoch_rows(self._kept_offsets, self._training, self.training_slots, self.rows_per_step, rng)
        chosen = sample_utterances(self.corpus.offsets, self.kept, rng).astype(np.int32)
        return np.where(rows == PADDING, PADDING, chosen[rows])

    def evaluation_rows(self, split: str) -> np.ndarray:
        """Returns a split, tightly packed, i32[steps, B, N], -1 where padded."""
        return evaluation_rows(self.corpus.offsets, self.corpus.dialogues_of(split), self.slots, self.rows_per_step)

    def padding_fraction(self) -> float:
        """Returns the fraction of the slots of a training epoch that are padding."""
        return padding_fraction(self.epoch_rows(np.random.default_rng(0)))

    @property
    def _training(self) -> np.ndarray:
        return self.corpus.dialogues_of("train")

    @property
    def _kept_offsets(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.kept)])


@dataclasses.dataclass(frozen=True)
class Layout:
    """All settings that prepared data depend on: equal layouts of one corpus give equal prepared data.

    Attributes:
        data: feature sets, clipping and precision, the held-out validation split and the length of a row.
        dialogues_per_step: dialogues of average length whose slots a training step holds.
        utterance_dropout: fraction of the utterances of each dialogue that a training epoch leaves out.
    """

    data: DataConfig
    dialogues_per_step: int
    utterance_dropout: float


def layout_of(config: Config) -> Layout:
    """Selects the settings that prepared data depend on.

    Args:
        config: the configuration of a training.

    Returns:
        The layout: hashable, so that trainings that can share prepared data are found by it.
    """
    return Layout(
        data=config.data,
        dialogues_per_step=config.train.dialogues_per_step,
        utterance_dropout=config.train.utterance_dropout,
    )


def prepare(corpus: Corpus, layout: Layout | Config, standardizer: Standardizer | None = None) -> PreparedCorpus:
    """Splits, standardises and lays out a corpus for training and evaluation.

    Args:
        corpus: the corpus as it was loaded.
        layout: the settings that prepared data depend on; a configuration counts by its `layout_of` alone.
        standardizer: a standardisation fitted before, for evaluation; by default one is fitted on the training split.

    Returns:
        The prepared corpus.

    Raises:
        InputError: an unknown feature set, features of another width, or a row too short for a dialogue.
    """
    if isinstance(layout, Config):
        layout = layout_of(layout)
    corpus = hold_out_validation(corpus, layout.data.validation_fraction, layout.data.validation_seed)
    if standardizer is None:
        standardizer = fit_standardizer(corpus, choose_features(corpus, layout.data.features), layout.data.clip)
    features, available = standardize(standardizer, corpus)
    slots = layout.data.slots_per_row or int(corpus.lengths.max())
    longest = int(np.argmax(corpus.lengths))
    if corpus.lengths[longest] > slots:
        raise InputError(
            f"data.slots_per_row = {slots} is too short for dialogue {corpus.dialogue_names[longest]} of"
            f" {corpus.lengths[longest]} utterances: choose at least that, or 0 for the longest dialogue"
        )
    kept = shorten(corpus.lengths, layout.utterance_dropout)
    training_slots = int(shorten(np.array(slots), layout.utterance_dropout))
    return PreparedCorpus(
        corpus=corpus,
        standardizer=standardizer,
        utterances=Utterances(
            features={name: _round_features(values, layout.data.precision) for name, values in features.items()},
            available=available,
            speakers=corpus.speakers.astype(np.int32),
            labels=corpus.labels.astype(np.int32),
            dialogue=corpus.dialogue_of_utterance.astype(np.int32),
        ),
        slots=slots,
        training_slots=training_slots,
        rows_per_step=choose_rows_per_step(
            kept[corpus.dialogues_of("train")], training_slots, layout.dialogues_per_step
        ),
        kept=kept,
    )


def _round_features(values: np.ndarray, precision: str) -> np.ndarray:
    """Rounds standardised features; those that are too large for float16 become its largest number."""
    if precision == "float32":
        return values
    largest = np.finfo(np.float16).max
    return np.clip(values, -largest, largest).astype(np.float16)
