"""The `Corpus`: one flat table of utterances with dialogue offsets, its splits and its feature sets."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence

import numpy as np

from macsgr_jax.data.dialogue import Dialogue, list_utterances
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError

SPLITS = ("train", "validation", "test")
MODALITIES = ("text", "audio", "video")
UNLABELLED = -1  # In place of a label: such an utterance is context, and in no loss and no score.


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """All utterances of a corpus; dialogue d is rows offsets[d]:offsets[d + 1]. U utterances, D features of a set.

    Attributes:
        name: the stem of its file, or "synthetic".
        features: feature set, such as text_minilm -> f32[U, D]; 0 where not measured.
        measured: feature set -> bool[U, D], whether a value was measured.
        labels: i32[U], indices into label_names, or UNLABELLED.
        label_names: the emotions.
        speakers: i32[U], indices into speaker_names.
        speaker_names: the speakers.
        offsets: i64[dialogues + 1], the first utterance of each dialogue, and U.
        dialogue_names: one name per dialogue.
        split: i8[dialogues], indices into SPLITS.
        utterance_ids: one id per utterance, all different.
        texts: one text per utterance, or None where the corpus has no texts.
        notices: one sentence for each thing that loading noticed and worked around.
        sha256: the hash of the file, or of the arrays where they were generated.
        extractors: feature set -> how it was made, where that is known.
    """

    name: str
    features: dict[str, np.ndarray]
    measured: dict[str, np.ndarray]
    labels: np.ndarray
    label_names: tuple[str, ...]
    speakers: np.ndarray
    speaker_names: tuple[str, ...]
    offsets: np.ndarray
    dialogue_names: tuple[str, ...]
    split: np.ndarray
    utterance_ids: tuple[str, ...]
    texts: tuple[str, ...] | None
    notices: tuple[str, ...]
    sha256: str
    extractors: dict[str, Extractor] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_dialogues(
        cls,
        name: str,
        dialogues: Sequence[Dialogue],
        label_names: Sequence[str],
        *,
        speaker_names: Sequence[str] = (),
        features: Mapping[str, np.ndarray] | None = None,
        measured: Mapping[str, np.ndarray] | None = None,
        notices: Sequence[str] = (),
        sha256: str = "",
    ) -> "Corpus":
        """Builds a corpus from its dialogues.

        Args:
            name: the name of the corpus.
            dialogues: the dialogues in their order, with utterance ids that differ across all of them.
            label_names: the emotions; an empty label becomes UNLABELLED.
            speaker_names: the speakers in the order of their indices; by default those of the utterances, sorted.
            features: feature set -> f32[U, D], 0 where not measured; by default there are none.
            measured: feature set -> bool[U, D]; by default everything was measured.
            notices: one sentence for each thing that reading noticed and worked around.
            sha256: the hash of the files or arrays that the corpus comes from.

        Returns:
            The corpus; it has texts if any utterance has one.
        """
        utterances = list_utterances(dialogues)
        speaker_names = tuple(speaker_names) or tuple(sorted({utterance.speaker for utterance in utterances}))
        speaker_indices = {speaker: index for index, speaker in enumerate(speaker_names)}
        label_indices = {"": UNLABELLED} | {label: index for index, label in enumerate(label_names)}
        texts = tuple(utterance.text for utterance in utterances)
        features = dict(features or {})
        return cls(
            name=name,
            features=features,
            measured={key: np.ones(values.shape, bool) for key, values in features.items()} | dict(measured or {}),
            labels=np.array([label_indices[utterance.label] for utterance in utterances], np.int32),
            label_names=tuple(label_names),
            speakers=np.array([speaker_indices[utterance.speaker] for utterance in utterances], np.int32),
            speaker_names=speaker_names,
            offsets=np.cumsum([0, *(len(dialogue.utterances) for dialogue in dialogues)], dtype=np.int64),
            dialogue_names=tuple(dialogue.name for dialogue in dialogues),
            split=np.array([SPLITS.index(dialogue.split) for dialogue in dialogues], np.int8),
            utterance_ids=tuple(utterance.id for utterance in utterances),
            texts=texts if any(texts) else None,
            notices=tuple(notices),
            sha256=sha256,
        )

    @property
    def num_utterances(self) -> int:
        """The number U of utterances."""
        return len(self.labels)

    @property
    def num_dialogues(self) -> int:
        """The number of dialogues."""
        return len(self.offsets) - 1

    @property
    def num_classes(self) -> int:
        """The number C of emotions."""
        return len(self.label_names)

    @property
    def lengths(self) -> np.ndarray:
        """i64[dialogues], utterances of each dialogue."""
        return np.diff(self.offsets)

    @property
    def dialogue_of_utterance(self) -> np.ndarray:
        """i64[U], the dialogue of each utterance."""
        return np.repeat(np.arange(self.num_dialogues), self.lengths)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that have features, sorted: the parts of their names before the first underscore."""
        return tuple(sorted({name.split("_", 1)[0] for name in self.features}))

    def dialogues_of(self, split_name: str) -> np.ndarray:
        """Returns i64[...], the dialogues of a split of SPLITS, in order."""
        return np.flatnonzero(self.split == SPLITS.index(split_name))

    def utterances_of(self, split_name: str) -> np.ndarray:
        """Returns i64[...], the utterances of a split of SPLITS, in order."""
        return np.flatnonzero(self.split[self.dialogue_of_utterance] == SPLITS.index(split_name))

    def labelled_of(self, split_name: str) -> np.ndarray:
        """Returns i64[...], the utterances of a split of SPLITS that have a label, in order."""
        rows = self.utterances_of(split_name)
        return rows[self.labels[rows] != UNLABELLED]


def hold_out_validation(corpus: Corpus, fraction: float, seed: int) -> Corpus:
    """Moves whole training dialogues to a validation split where there is none.

    Dialogues without any label stay: nothing could be chosen by them.

    Args:
        corpus: the corpus; one with validation utterances is returned as it is.
        fraction: the minimum fraction of the labelled training utterances to move, between 0 and 1.
        seed: the seed of the random order in which dialogues are taken.

    Returns:
        The corpus with another `split` and a notice about it.

    Raises:
        InputError: `fraction` is not between 0 and 1, there are fewer than two training dialogues with labels, or
            the training or the validation split has none at all.
    """
    if not len(corpus.labelled_of("train")):
        raise InputError(f"{corpus.name}: no utterance of the training split has a label; label some of them.")
    if len(corpus.dialogues_of("validation")):
        if not len(corpus.labelled_of("validation")):
            advice = "label some, or leave the split out, and training dialogues are held out"
            raise InputError(f"{corpus.name}: no utterance of the validation split has a label; {advice}.")
        return corpus
    if not 0 < fraction < 1:
        raise InputError(f"validation_fraction is {fraction}; it has to be more than 0 and less than 1.")
    labelled = np.bincount(corpus.dialogue_of_utterance[corpus.labels != UNLABELLED], minlength=corpus.num_dialogues)
    training = corpus.dialogues_of("train")
    training = training[labelled[training] > 0]
    if len(training) < 2:
        advice = "mark a validation split in the file or bring a second training dialogue"
        raise InputError(f"{corpus.name}: {len(training)} training dialogue is too few to hold one out; {advice}.")
    order = np.random.default_rng(seed).permutation(training)
    reached = np.cumsum(labelled[order])
    count = min(int(np.searchsorted(reached, fraction * reached[-1])) + 1, len(order) - 1)
    split = corpus.split.copy()
    split[order[:count]] = SPLITS.index("validation")
    unit = "utterances" if (corpus.labels[corpus.utterances_of("train")] != UNLABELLED).all() else "labels"
    moved = f"{count} of {len(order)} training dialogues ({reached[count - 1]} of {reached[-1]} {unit})"
    notice = f"No validation split: {moved} are held out for validation, chosen with seed {seed}."
    return dataclasses.replace(corpus, split=split, notices=(*corpus.notices, notice))


def keep_dialogues(corpus: Corpus, dialogues: np.ndarray) -> Corpus:
    """Selects some dialogues of a corpus and leaves everything else as it is.

    Args:
        corpus: the corpus to take them from.
        dialogues: i64[...], the indices of the dialogues to keep, in increasing order.

    Returns:
        The smaller corpus; its sha256 is still that of the file.
    """
    rows = np.concatenate([np.arange(corpus.offsets[d], corpus.offsets[d + 1]) for d in dialogues])
    return _select(corpus, rows, dialogues, corpus.lengths[dialogues])


def keep_utterances(corpus: Corpus, keep: np.ndarray) -> Corpus:
    """Selects some utterances of a corpus; those of a dialogue that remain form a shorter dialogue.

    Args:
        corpus: the corpus to take them from.
        keep: bool[U], which utterances to keep; a dialogue without any is left out.

    Returns:
        The smaller corpus; its sha256 is still that of the file.
    """
    dialogues, lengths = np.unique(corpus.dialogue_of_utterance[keep], return_counts=True)
    return _select(corpus, np.flatnonzero(keep), dialogues, lengths)


def _select(corpus: Corpus, rows: np.ndarray, dialogues: np.ndarray, lengths: np.ndarray) -> Corpus:
    """Returns the utterances i64[...] of some dialogues i64[...], given how many of each remain."""
    return dataclasses.replace(
        corpus,
        features={name: values[rows] for name, values in corpus.features.items()},
        measured={name: values[rows] for name, values in corpus.measured.items()},
        labels=corpus.labels[rows],
        speakers=corpus.speakers[rows],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        dialogue_names=tuple(corpus.dialogue_names[d] for d in dialogues),
        split=corpus.split[dialogues],
        utterance_ids=tuple(corpus.utterance_ids[row] for row in rows),
        texts=None if corpus.texts is None else tuple(corpus.texts[row] for row in rows),
    )


def choose_features(corpus: Corpus, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Groups feature sets by modality.

    Args:
        corpus: the corpus that has the feature sets.
        names: the feature sets in the order in which to join them; empty takes all.

    Returns:
        modality -> its feature sets in the order given; the modalities are sorted.

    Raises:
        InputError: a name is unknown or given twice.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    for position, name in enumerate(names or corpus.features):
        if name not in corpus.features:
            near = difflib.get_close_matches(name, corpus.features)
            hint = f" (did you mean {' or '.join(near)}?)" if near else ""
            known = ", ".join(corpus.features)
            raise InputError(f"{corpus.name} has no feature set {name!r}{hint}; choose among {known}.")
        if name in names[:position]:
            raise InputError(f"the feature set {name} is given twice; give it once.")
        modality = name.split("_", 1)[0]
        chosen[modality] = (*chosen.get(modality, ()), name)
    return dict(sorted(chosen.items()))
