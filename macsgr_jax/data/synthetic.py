"""The synthetic default corpus: dialogues drawn from a model whose exact posterior, and so best score, can be computed.

1. Length: L = min_length + floor((max_length + 1 - min_length) * u^2), u uniform in [0, 1), so that short dialogues are
   common.
2. Speakers: A or B begins with equal probability; after each utterance the other one speaks next with probability
   change_speaker. Speakers are observed and independent of the emotions.
3. Emotions: each speaker has a current one of `EMOTIONS`. Whoever speaks (the first utterance included) takes a new
   emotion, given their own and the other speaker's just before; the listener keeps theirs. The label is the new one:

       p(new | own, other) = inertia * [new = own] + contagion * [new = ANSWERS[other]] + rest * base[new]

   with rest = 1 - inertia - contagion. Before the dialogue both are drawn, independently, from the marginal m that this
   leaves unchanged, m = inertia * m + contagion * m ANSWERS + rest * base: so m is the marginal of every utterance.
4. Features: for each utterance and each modality independently, a scale is drawn from noise_scales with scale_prior,
   and x = mean[modality, emotion] + scale * standard normal noise. The length of x reveals the scale.

Happy and excited share a mean up to pair_distance, and so do angry and frustrated: a single utterance hardly tells them
apart. The answers do: four moods last, happy with neutral (each answers the other), sad with frustrated (likewise),
excited, and angry.

`macsgr_jax.data.synthetic_posterior` computes the posterior and the best score.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Sequence

import numpy as np

from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.errors import InputError

EMOTIONS = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
ANSWERS = (2, 5, 0, 3, 4, 1)  # happy calls for neutral, sad for frustrated, neutral for happy, angry for angry, ...
CENTRES = np.array([0, 1, 2, 3, 0, 3])  # which of four mean vectors an emotion has; the confusable pairs share one
SIDES = np.array([1, 0, 0, 1, -1, -1])  # and on which side of it the emotion lies
SPEAKERS = ("A", "B")
FEATURE_SETS = {"text": "text_synthetic", "audio": "audio_synthetic"}


@dataclasses.dataclass(frozen=True)
class SyntheticSettings:
    """Everything that the model of this module depends on, except for the seed of the corpus.

    Attributes:
        min_length: utterances of the shortest possible dialogue.
        max_length: utterances of the longest possible dialogue.
        change_speaker: probability that the other speaker speaks next.
        inertia: weight of the speaker's own last emotion.
        contagion: weight of the answer to the other speaker's last emotion.
        base: probabilities of `EMOTIONS` when neither decides.
        sizes: numbers of text and audio features of an utterance, at least 6 each.
        distances: lengths of the mean vectors of text and audio.
        pair_distance: distance between the means of a confusable pair, in both modalities.
        noise_scales: standard deviations that the noise of an utterance can have in a modality.
        scale_prior: probabilities of the noise scales.
        means_seed: seed of the signs of the mean vectors.
    """

    min_length: int = 8
    max_length: int = 40
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
        """Raises an InputError that names the first field whose value does not describe a model."""

        def is_distribution(values: Sequence[float], size: int) -> bool:
            return len(values) == size and min(values) > 0 and abs(sum(values) - 1) < 1e-9

        requirements = {
            "min_length": (1 <= self.min_length <= self.max_length, "a whole number from 1 to max_length"),
            "change_speaker": (0 <= self.change_speaker <= 1, "a probability"),
            "inertia": (self.inertia >= 0 and self.contagion + self.inertia < 1, "at least 0, with contagion below 1"),
            "contagion": (self.contagion >= 0, "at least 0"),
            "base": (is_distribution(self.base, len(EMOTIONS)), "six positive numbers that sum to one"),
            "sizes": (min(self.sizes) >= len(EMOTIONS), "at least 6 of each modality"),
            "noise_scales": (min(self.noise_scales, default=0) > 0, "positive numbers"),
            "scale_prior": (
                is_distribution(self.scale_prior, len(self.noise_scales)),
                "one positive number per scale, summing to 1",
            ),
        }
        for name, (holds, wanted) in requirements.items():
            if not holds:
                raise InputError(f"SyntheticSettings.{name} is {getattr(self, name)}: give {wanted}.")


DEFAULTS = SyntheticSettings()


def transition_table(settings: SyntheticSettings = DEFAULTS) -> np.ndarray:
    """Returns f64[6, 6, 6], p(new | own, other) of step 3, indexed [own, other, new]."""
    same, rest = np.eye(len(EMOTIONS)), 1 - settings.inertia - settings.contagion
    decided = settings.inertia * same[:, None] + settings.contagion * same[None, list(ANSWERS)]
    return decided + rest * np.array(settings.base)


def marginal(settings: SyntheticSettings = DEFAULTS) -> np.ndarray:
    """Returns f64[6], m of step 3: the prior probability of each emotion for any utterance."""
    same, rest = np.eye(len(EMOTIONS)), 1 - settings.inertia - settings.contagion
    kept = settings.inertia * same + settings.contagion * same[list(ANSWERS)]
    return np.linalg.solve(same - kept.T, rest * np.array(settings.base))


def class_means(settings: SyntheticSettings = DEFAULTS) -> dict[str, np.ndarray]:
    """Returns modality -> f64[6, D], the mean features of each emotion.

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
    """Draws a corpus; the same arguments give the same arrays on every machine.

    Args:
        num_dialogues: the number of dialogues, at least 3; about 60 % train, 15 % validation, 25 % test.
        seed: the seed of everything that is drawn; the class means depend on the settings alone.
        settings: the settings of the model.

    Returns:
        The corpus, with the feature sets text_synthetic and audio_synthetic, all measured, and without texts.

    Raises:
        InputError: num_dialogues is below 3.
    """
    if num_dialogues < 3:
        raise InputError(f"num_dialogues is {num_dialogues}: ask for at least 3, one for each split.")
    rng = np.random.default_rng(seed)
    span = settings.max_length + 1 - settings.min_length
    lengths = settings.min_length + np.floor(span * rng.random(num_dialogues) ** 2).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    held_out = [max(1, round(fraction * num_dialogues)) for fraction in (0.15, 0.25)]
    split = rng.permutation(np.repeat(np.arange(3, dtype=np.int8), [num_dialogues - sum(held_out), *held_out]))
    drawn = zip(*(_draw_dialogue(rng, length, settings) for length in lengths), strict=True)
    speakers, labels = (np.concatenate(parts).astype(np.int32) for parts in drawn)
    features = {}
    for modality, means in class_means(settings).items():
        scales = np.array(settings.noise_scales)[_draw(settings.scale_prior, rng.random(len(labels)))]
        noise = scales[:, None] * rng.standard_normal((len(labels), means.shape[1]))
        features[FEATURE_SETS[modality]] = (means[labels] + noise).astype(np.float32)
    arrays = [*features.values(), labels, speakers, offsets, split]
    dialogues = [
        Dialogue(
            name=f"dialogue{dialogue:04d}",
            utterances=[
                Utterance(
                    id=f"dialogue{dialogue:04d}_{row - start:03d}",
                    speaker=SPEAKERS[speakers[row]],
                    label=EMOTIONS[labels[row]],
                )
                for row in range(start, end)
            ],
            split=SPLITS[split[dialogue]],
        )
        for dialogue, (start, end) in enumerate(itertools.pairwise(offsets.tolist()))
    ]
    sha256 = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    return Corpus.from_dialogues(
        "synthetic", dialogues, EMOTIONS, speaker_names=SPEAKERS, features=features, sha256=sha256
    )


def _draw_dialogue(rng: np.random.Generator, length: int, settings: SyntheticSettings) -> tuple[np.ndarray, np.ndarray]:
    """Draws the speakers i64[length] and the emotions i64[length] of one dialogue, steps 2 and 3."""
    speakers = np.cumsum(rng.random(length) < np.where(np.arange(length) == 0, 0.5, settings.change_speaker)) % 2
    transition, emotions = transition_table(settings), np.empty(length, np.int64)
    current = _draw(marginal(settings), rng.random(2))
    for position, (speaker, uniform) in enumerate(zip(speakers, rng.random(length), strict=True)):
        emotions[position] = current[speaker] = _draw(transition[current[speaker], current[1 - speaker]], uniform)
    return speakers, emotions


def _draw(probabilities: Sequence[float] | np.ndarray, uniforms: np.ndarray | float) -> np.ndarray:
    """Returns i64[...], for each uniform number an index with these probabilities."""
    return np.searchsorted(np.cumsum(probabilities)[:-1], uniforms, side="right")
