"""Corpora of noise in the shapes of real ones: number and lengths of dialogues, number of features."""

import dataclasses

import numpy as np

from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of a corpus that determine the time of a training.

    A dialogue has shortest + (longest - shortest) * Beta(*beta) utterances, rounded; the Beta distribution has the mean
    and the standard deviation of the lengths of the corpus that the shape is named after.

    Attributes:
        dialogues: the number of dialogues of the training, the validation and the test split.
        shortest: the number of utterances of the shortest dialogue.
        longest: the number of utterances of the longest dialogue.
        beta: the parameters of the Beta distribution.
        sizes: modality -> D_m, its number of features.
        num_classes: C, the number of emotions.
        speakers: the number of speakers of the corpus.
        speakers_per_dialogue: the maximum number of speakers of a dialogue.
    """

    dialogues: tuple[int, int, int]
    shortest: int
    longest: int
    beta: tuple[float, float]
    sizes: dict[str, int]
    num_classes: int
    speakers: int
    speakers_per_dialogue: int


SHAPES = {
    # Mean 49, standard deviation 16.
    "iemocap": Shape((108, 12, 31), 8, 110, (3.3, 4.9), {"text": 684, "audio": 108}, 6, 2, 2),
    # Mean 9.6, standard deviation 5.8.
    "meld": Shape((1038, 114, 280), 1, 33, (1.35, 3.65), {"text": 684, "audio": 8}, 7, 304, 4),
    # Monologues; mean 7.1, standard deviation 6.8.
    "mosei": Shape((2249, 300, 676), 1, 98, (0.695, 10.37), {"text": 768, "audio": 5}, 2, 1000, 1),
}


def draw_lengths(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draws the lengths of all dialogues, i64[dialogues]; the shortest and the longest possible are among them."""
    spread = rng.beta(*shape.beta, sum(shape.dialogues))
    lengths = np.rint(shape.shortest + (shape.longest - shape.shortest) * spread).astype(np.int64)
    # The longest dialogue determines the length of a row.
    lengths[np.argmax(lengths)], lengths[np.argmin(lengths)] = shape.longest, shape.shortest
    return lengths


def make_corpus(shape: Shape, seed: int = 0) -> Corpus:
    """Makes a corpus of a shape: normal features, and labels and speakers at random."""
    rng = np.random.default_rng(seed)
    return fill_corpus(draw_lengths(shape, rng), shape, rng)


def fill_corpus(lengths: np.ndarray, shape: Shape, rng: np.random.Generator) -> Corpus:
    """Makes a corpus of given dialogue lengths, with the splits, sizes, emotions and speakers of a shape.

    Args:
        lengths: i64[dialogues], the number of utterances of each dialogue; the splits follow each other.
        shape: the shape of the corpus.
        rng: the only source of randomness.

    Returns:
        The corpus; no feature is missing.
    """
    utterances, dialogues = int(lengths.sum()), len(lengths)
    features = {
        f"{modality}_noise": rng.standard_normal((utterances, size), np.float32)
        for modality, size in shape.sizes.items()
    }
    first_speaker = np.repeat(rng.integers(0, shape.speakers, dialogues), lengths)
    speakers = (first_speaker + rng.integers(0, shape.speakers_per_dialogue, utterances)) % shape.speakers
    label_names = [f"emotion{label}" for label in range(shape.num_classes)]
    speaker_names = [f"speaker{speaker}" for speaker in range(shape.speakers)]
    rows = [
        Utterance(id=f"utterance{row}", speaker=speaker_names[speaker], label=label_names[label])
        for row, (speaker, label) in enumerate(
            zip(speakers, rng.integers(0, shape.num_classes, utterances), strict=True)
        )
    ]
    ends = np.cumsum(lengths)
    splits = np.repeat(SPLITS, shape.dialogues).tolist()
    return Corpus.from_dialogues(
        "noise",
        [
            Dialogue(f"dialogue{number}", rows[end - length : end], split)
            for number, (end, length, split) in enumerate(zip(ends, lengths, splits, strict=True))
        ],
        label_names,
        speaker_names=speaker_names,
        features=features,
    )
