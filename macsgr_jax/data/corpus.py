"""One flat table of utterances with dialogue offsets: the `Corpus`, its splits and its feature sets."""

import dataclasses
import difflib
from collections.abc import Sequence

import numpy as np

from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError

SPLITS = ("train", "validation", "test")
MODALITIES = ("text", "audio", "video")


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """All utterances of a corpus; dialogue d is rows offsets[d]:offsets[d + 1]. U utterances, D features of a set.

    Attributes:
        name: file stem, or "synthetic".
        features: feature set, such as text_minilm -> f32[U, D]; 0 where not measured.
        measured: feature set -> bool[U, D].
        labels: i32[U], index into label_names.
        label_names: the emotions.
        speakers: i32[U], index into speaker_names.
        speaker_names: the speakers.
        offsets: i64[dialogues + 1].
        dialogue_names: one a dialogue.
        split: i8[dialogues], index into SPLITS.
        utterance_ids: one an utterance, all different.
        texts: one an utterance, or None.
        notices: one sentence each about what loading noticed and worked around.
        sha256: of the file, or of the arrays where they were generated.
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

    @property
    def num_utterances(self) -> int:
        """U."""
        return len(self.labels)

    @property
    def num_dialogues(self) -> int:
        """How many dialogues there are."""
        return len(self.offsets) - 1

    @property
    def num_classes(self) -> int:
        """C."""
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
        """The parts of the feature names before the first underscore, sorted."""
        return tuple(sorted({name.split("_", 1)[0] for name in self.features}))

    def dialogues_of(self, split_name: str) -> np.ndarray:
        """i64[...], the dialogues of a split of SPLITS, in order."""
        return np.flatnonzero(self.split == SPLITS.index(split_name))

    def utterances_of(self, split_name: str) -> np.ndarray:
        """i64[...], the utterance rows of a split of SPLITS, in order."""
        return np.flatnonzero(self.split[self.dialogue_of_utterance] == SPLITS.index(split_name))


def hold_out_validation(corpus: Corpus, share: float, seed: int) -> Corpus:
    """Move whole training dialogues to a validation split where there is none.

    Args:
        corpus: returned as it is if it has validation utterances.
        share: least share of the training utterances to move, between 0 and 1.
        seed: of the random order in which dialogues are taken.

    Returns:
        The corpus with another `split` and a notice of it.

    Raises:
        InputError: `share` is not between 0 and 1, or there are fewer than two training dialogues.
    """
    if len(corpus.dialogues_of("validation")):
        return corpus
    if not 0 < share < 1:
        raise InputError(f"validation_fraction is {share}; it has to be more than 0 and less than 1.")
    training = corpus.dialogues_of("train")
    if len(training) < 2:
        advice = "mark a validation split in the file or bring a second training dialogue"
        raise InputError(f"{corpus.name}: {len(training)} training dialogue is too few to hold one out; {advice}.")
    order = np.random.default_rng(seed).permutation(training)
    reached = np.cumsum(corpus.lengths[order])
    count = min(int(np.searchsorted(reached, share * reached[-1])) + 1, len(order) - 1)
    split = corpus.split.copy()
    split[order[:count]] = SPLITS.index("validation")
    moved = f"{count} of {len(order)} training dialogues ({reached[count - 1]} of {reached[-1]} utterances)"
    notice = f"No validation split: {moved} are held out for validation, chosen with seed {seed}."
    return dataclasses.replace(corpus, split=split, notices=(*corpus.notices, notice))


def keep_dialogues(corpus: Corpus, dialogues: np.ndarray) -> Corpus:
    """A corpus of some of the dialogues, with everything else as it is.

    Args:
        corpus: of which.
        dialogues: i64[...], which ones, in the order of the corpus.

    Returns:
        The corpus; its sha256 is still that of the file.
    """
    rows = np.concatenate([np.arange(corpus.offsets[d], corpus.offsets[d + 1]) for d in dialogues])
    return dataclasses.replace(
        corpus,
        features={name: values[rows] for name, values in corpus.features.items()},
        measured={name: values[rows] for name, values in corpus.measured.items()},
        labels=corpus.labels[rows],
        speakers=corpus.speakers[rows],
        offsets=np.concatenate([[0], np.cumsum(corpus.lengths[dialogues])]),
        dialogue_names=tuple(corpus.dialogue_names[d] for d in dialogues),
        split=corpus.split[dialogues],
        utterance_ids=tuple(corpus.utterance_ids[row] for row in rows),
        texts=None if corpus.texts is None else tuple(corpus.texts[row] for row in rows),
    )


def choose_features(corpus: Corpus, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Group feature sets by modality.

    Args:
        corpus: whose features are meant.
        names: feature sets in the order in which to join them; empty takes all.

    Returns:
        modality -> feature sets in the order given; the modalities sorted.

    Raises:
        InputError: a name is unknown or given twice.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    for position, name in enumerate(names or corpus.features):
        if name not in corpus.features:
            near = difflib.get_close_matches(name, corpus.features)
            hint = f" (did you mean {' or '.join(near)}?)" if near else ""
            there = ", ".join(corpus.features)
            raise InputError(f"{corpus.name} has no feature set {name!r}{hint}; choose among {there}.")
        if name in names[:position]:
            raise InputError(f"the feature set {name} is given twice; give it once.")
        modality = name.split("_", 1)[0]
        chosen[modality] = (*chosen.get(modality, ()), name)
    return dict(sorted(chosen.items()))
