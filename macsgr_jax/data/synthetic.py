"""The embedded default corpus: dialogues drawn from a model whose exact posterior, and so best score, can be computed.

1. Length: L = shortest + floor((longest + 1 - shortest) * u^2), u uniform in [0, 1), so that short ones are common.
2. Turns: speaker A or B begins with equal probability; after each utterance the other one speaks next with probability
   change_speaker. Turns are observed and independent of the emotions.
3. Emotions: each speaker has a current one of `EMOTIONS`. Whoever speaks (the first utterance included) takes a new
   emotion, given their own and the other speaker's just before; the listener keeps theirs. The label is the new one:

       p(new | own, other) = inertia * [new = own] + contagion * [new = ANSWERS[other]] + rest * base[new]

   with rest = 1 - inertia - contagion. Before the dialogue both are drawn, independently, from the marginal m that this
   leaves unchanged, m = inertia * m + contagion * m ANSWERS + rest * base: so m is the marginal of every utterance.
4. Features: for each utterance and each modality by itself, a scale is drawn from noise_scales with scale_prior, and
   x = mean[modality, emotion] + scale * standard normal noise. The length of x tells the scale.

Happy and excited share a mean but for pair_distance, and so do angry and frustrated: an utterance by itself hardly
tells them apart. The answers do: four moods last, happy with neutral (each answers the other), sad with frustrated
(likewise), excited, and angry.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.errors import InputError

EMOTIONS = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
ANSWERS = (2, 5, 0, 3, 4, 1)  # happy calls for neutral, sad for frustrated, neutral for happy, angry for angry, ...
CENTRES = np.array([0, 1, 2, 3, 0, 3])  # which of four mean vectors an emotion has; the confusable pairs share one
SIDES = np.array([1, 0, 0, 1, -1, -1])  # and on which side of it the emotion lies
FEATURE_SETS = {"text": "text_synthetic", "audio": "audio_synthetic"}


@dataclasses.dataclass(frozen=True)
class SyntheticSettings:
    """Everything the model of this module depends on but the corpus seed.

    Attributes:
        shortest: utterances of the shortest dialogue.
        longest: utterances of the longest dialogue.
        change_speaker: probability that the other speaker speaks next.
        inertia: weight of the speaker's own last emotion.
        contagion: weight of the answer to the other speaker's last emotion.
        base: probabilities of `EMOTIONS` when neither decides.
        sizes: text and audio features of an utterance, at least 6 each.
        distances: length of the mean vectors of text and audio.
        pair_distance: distance between the means of a confusable pair, in both modalities.
        noise_scales: standard deviations that an utterance's noise can have in a modality.
        scale_prior: their probabilities.
        means_seed: seed of the signs of the mean vectors.
    """

    shortest: int = 8
    longest: int = 40
    change_speaker: float = 0.9
    inertia: float = 0.3
    contagion: float = 0.42
    base: tuple[float, ...] = (0.15, 0.15, 0.15, 0.15, 0.2, 0.2)
    sizes: tuple[int, int] = (24, 12)
    distances: tuple[float, float] = (2.2, 1.3)
    pair_distance: float = 0.2
    noise_scales: tuple[float, ...] = (0.5, 1.0, 1.5)
    scale_prior: tuple[float, ...] = (0.3, 0.4, 0.3)
    means_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that describe no model, by an InputError that names the field."""

        def is_distribution(values: Sequence[float], size: int) -> bool:
            return len(values) == size and min(values) > 0 and abs(sum(values) - 1) < 1e-9

        requirements = {
            "shortest": (1 <= self.shortest <= self.longest, "a whole number from 1 to longest"),
            "change_speaker": (0 <= self.change_speaker <= 1, "a probability"),
            "inertia": (self.inertia >= 0 and self.contagion + self.inertia < 1, "at least 0, with contagion below 1"),
            "contagion": (self.contagion >= 0, "at least 0"),
            "base": (is_distribution(self.base, len(EMOTIONS)), "six positive numbers that sum to one"),
            "sizes": (min(self.sizes) >= len(EMOTIONS), "at least 6 of each modality"),
            "noise_scales": (min(self.noise_scales, default=0) > 0, "positive numbers"),
            "scale_prior": (
                is_distribution(self.scale_prior, len(self.noise_scales)),
                "a positive number a scale, summing to 1",
            ),
        }
        for name, (holds, wanted) in requirements.items():
            if not holds:
                raise InputError(f"SyntheticSettings.{name} is {getattr(self, name)}: give {wanted}.")


DEFAULTS = SyntheticSettings()


def transition_table(settings: SyntheticSettings = DEFAULTS) -> np.ndarray:
    """f64[6, 6, 6]: p(new | own, other) of step 3, indexed [own, other, new]."""
    same, rest = np.eye(len(EMOTIONS)), 1 - settings.inertia - settings.contagion
    decided = settings.inertia * same[:, None] + settings.contagion * same[None, list(ANSWERS)]
    return decided + rest * np.array(settings.base)


def marginal(settings: SyntheticSettings = DEFAULTS) -> np.ndarray:
    """f64[6]: m of step 3, how probable each emotion is of any utterance before its features are seen."""
    same, rest = np.eye(len(EMOTIONS)), 1 - settings.inertia - settings.contagion
    kept = settings.inertia * same + settings.contagion * same[list(ANSWERS)]
    return np.linalg.solve(same - kept.T, rest * np.array(settings.base))


def class_means(settings: SyntheticSettings = DEFAULTS) -> dict[str, np.ndarray]:
    """Modality -> f64[6, D], mean features of each emotion.

    Direction k of six has random signs at features k, k + 6, k + 12, ..., so that the directions are exactly
    orthogonal; four carry the shared means, two the small differences within the confusable pairs.
    """
    rng = np.random.default_rng(settings.means_seed)
    means = {}
    for modality, size, distance in zip(FEATURE_SETS, settings.sizes, settings.distances, strict=True):
        membership = np.arange(len(EMOTIONS))[:, None] == np.arange(size) % len(EMOTIONS)
        directions = membership * rng.choice([-1.0, 1.0], size) / np.sqrt(membership.sum(axis=1, keepdims=True))
        within = directions[np.where(CENTRES == 0, 4, 5)] * SIDES[:, None] * settings.pair_distance / 2
        means[modality] = directions[CENTRES] * distance + within
    return means


def generate(num_dialogues: int = 600, seed: int = 0, settings: SyntheticSettings = DEFAULTS) -> Corpus:
    """Draw a corpus; the same arguments give the same arrays on every machine.

    Args:
        num_dialogues: how many dialogues, at least 3; about 60 % train, 15 % validation, 25 % test.
        seed: of everything drawn; the class means depend on the settings alone.
        settings: the model.

    Returns:
        Corpus with the feature sets text_synthetic and audio_synthetic, all measured, and no texts.

    Raises:
        InputError: num_dialogues is below 3.
    """
    if num_dialogues < 3:
        raise InputError(f"num_dialogues is {num_dialogues}: ask for at least 3, one for each split.")
    rng = np.random.default_rng(seed)
    span = settings.longest + 1 - settings.shortest
    lengths = settings.shortest + np.floor(span * rng.random(num_dialogues) ** 2).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    held_out = [max(1, round(share * num_dialogues)) for share in (0.15, 0.25)]
    split = rng.permutation(np.repeat(np.arange(3, dtype=np.int8), [num_dialogues - sum(held_out), *held_out]))
    dialogues = zip(*(_draw_dialogue(rng, length, settings) for length in lengths), strict=True)
    speakers, labels = (np.concatenate(parts).astype(np.int32) for parts in dialogues)
    features = {}
    for modality, means in class_means(settings).items():
        scales = np.array(settings.noise_scales)[_draw(settings.scale_prior, rng.random(len(labels)))]
        noise = scales[:, None] * rng.standard_normal((len(labels), means.shape[1]))
        features[FEATURE_SETS[modality]] = (means[labels] + noise).astype(np.float32)
    arrays = [*features.values(), labels, speakers, offsets, split]
    names = tuple(f"dialogue{dialogue:04d}" for dialogue in range(num_dialogues))
    ids = (f"{name}_{turn:03d}" for name, length in zip(names, lengths, strict=True) for turn in range(length))
    return Corpus(
        name="synthetic",
        features=features,
        measured={name: np.ones(values.shape, bool) for name, values in features.items()},
        labels=labels,
        label_names=EMOTIONS,
        speakers=speakers,
        speaker_names=("A", "B"),
        offsets=offsets,
        dialogue_names=names,
        split=split,
        utterance_ids=tuple(ids),
        texts=None,
        notices=(),
        sha256=hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest(),
    )


def _draw_dialogue(rng: np.random.Generator, length: int, settings: SyntheticSettings) -> tuple[np.ndarray, np.ndarray]:
    """Speakers i64[length] and emotions i64[length] of one dialogue, steps 2 and 3."""
    speakers = np.cumsum(rng.random(length) < np.where(np.arange(length) == 0, 0.5, settings.change_speaker)) % 2
    transition, emotions = transition_table(settings), np.empty(length, np.int64)
    current = _draw(marginal(settings), rng.random(2))
    for turn, (speaker, uniform) in enumerate(zip(speakers, rng.random(length), strict=True)):
        emotions[turn] = current[speaker] = _draw(transition[current[speaker], current[1 - speaker]], uniform)
    return speakers, emotions


def _draw(probabilities: Sequence[float] | np.ndarray, uniforms: np.ndarray | float) -> np.ndarray:
    """i64[...]: for each uniform number an index with these probabilities."""
    return np.searchsorted(np.cumsum(probabilities)[:-1], uniforms, side="right")
