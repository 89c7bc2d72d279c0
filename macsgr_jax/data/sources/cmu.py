"""CMU-MOSI and CMU-MOSEI from the files of the CMU Multimodal SDK: monologues, and the sentiment of their segments.

References:
    Zadeh et al., MOSI: Multimodal Corpus of Sentiment Intensity and Subjectivity Analysis in Online Opinion Videos,
        2016.
    Zadeh et al., Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic Fusion Graph,
        2018.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from macsgr_jax.data.corpus import MODALITIES, SPLITS, Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.data.sources.build import ImportedCorpus, decode_text, read_bytes
from macsgr_jax.data.sources.cmu_csd import open_sequence
from macsgr_jax.errors import InputError

LABEL_NAMES = ("negative", "positive")
MAX_SENTIMENT = 3.0  # Sentiment is between this and its negative.
TOLERANCE = 1e-5  # Seconds; a row that shares no more with a segment only touches it.

# Names of a fold, as people and the SDK's own lists write them.
FOLD = re.compile(r"(?:standard_)?(train|training|validation|valid|val|dev|test)(?:_fold)?", re.IGNORECASE)
FOLD_SPLITS = {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "dev": 1, "test": 2}

# Without folds, these fractions of the videos are for training and for validation.
FRACTIONS = (0.7, 0.1)


class _Segment(NamedTuple):
    """An annotated stretch of a video.

    Attributes:
        video: its id.
        start: seconds.
        number: its number in the SDK, the row in the file of labels.
        end: seconds.
        sentiment: from -3 to 3.
    """

    video: str
    start: float
    number: int
    end: float
    sentiment: float


def read_cmu(labels: Path, sequences: Mapping[str, Path], folds: Path | None = None, name: str = "") -> ImportedCorpus:
    """Reads a corpus of sentiment from computational sequences.

    Args:
        labels: a .csd file whose segments have their sentiment in the first column: CMU_MOSI_Opinion_Labels.csd or
            CMU_MOSEI_Labels.csd.
        sequences: feature set, such as text_glove -> .csd file. An utterance gets the mean and the
            deviation of the rows that overlap with its segment, one after the other; numbers that are not finite are
            left out.
        folds: a file with the names train, validation and test, each followed by ids of videos, as JSON, as plain text,
            or as the Python lists of the SDK, which are not run; None divides the videos by their ids.
        name: the name of the corpus; by default the stem of the file of labels.

    Returns:
        The corpus, one dialogue per video and one utterance per segment in order of time, without texts; and as
        an extra array `sentiment`, f32[U] from -3 to 3, whose sign is the label, 0 being
        positive. Videos in no fold are left out.

    Raises:
        InputError: a file cannot be understood, or the folds do not fit the labels.
    """
    _check_names(sequences)
    segments = _read_segments(labels)
    videos = sorted({segment.video for segment in segments})
    notices: list[str] = []
    split = _divide(videos, notices) if folds is None else _read_folds(folds, videos, notices)
    segments = [segment for segment in segments if segment.video in split]
    pooled = {key: _pool(path, segments) for key, path in sequences.items()}
    sentiment = np.array([segment.sentiment for segment in segments], np.float32)
    digest = hashlib.sha256(sentiment.tobytes())
    for values, _ in pooled.values():
        digest.update(values.tobytes())
    corpus = Corpus.from_dialogues(
        name or labels.stem.lower(),
        [
            Dialogue(video, [_make_utterance(segment) for segment in group], SPLITS[split[video]])
            for video, group in itertools.groupby(segments, lambda segment: segment.video)
        ],
        LABEL_NAMES,
        features={key: values for key, (values, _) in pooled.items()},
        measured={key: measured for key, (_, measured) in pooled.items()},
        notices=notices,
        sha256=digest.hexdigest(),
    )
    return ImportedCorpus(corpus, extra_arrays={"sentiment": sentiment})


def _make_utterance(segment: _Segment) -> Utterance:
    """Makes an utterance of a monologue, whose speaker is the video."""
    return Utterance(
        id=f"{segment.video}[{segment.number}]",
        speaker=segment.video,
        label=LABEL_NAMES[int(segment.sentiment >= 0)],
        start=segment.start,
        end=segment.end,
    )


def _check_names(feature_sets: Iterable[str]) -> None:
    for key in feature_sets:
        modality, _, rest = key.partition("_")
        if modality not in MODALITIES or not rest or key.endswith(("_mask", "_names")):
            beginnings = ", ".join(f"{modality}_" for modality in MODALITIES)
            advice = f"begin it with one of {beginnings}, and do not end it in _mask or _names"
            raise InputError(f"a feature set cannot be named {key!r}: {advice}")


def _read_segments(path: Path) -> list[_Segment]:
    """Returns the segments of all videos, sorted by video and time."""
    segments: dict[tuple[str, int], _Segment] = {}
    with open_sequence(path) as sequence:
        for video in sequence.videos:
            for values, (start, end), number in zip(*sequence.read(video), strict=True):
                where = f"{video}[{number}]"
                if not abs(values[0]) <= MAX_SENTIMENT:
                    raise InputError(f"{path}: the sentiment of {where} is {values[0]:g}, not between -3 and 3")
                if (video, number) in segments:
                    raise InputError(f"{path} has {where} for the second time: copy or download the file again")
                segments[video, number] = _Segment(video, float(start), int(number), float(end), float(values[0]))
    if not segments:
        raise InputError(f"{path} has no segment: copy or download the file again")
    return sorted(segments.values())


def _divide(videos: Sequence[str], notices: list[str]) -> dict[str, int]:
    """Returns video -> split, divided in the order of a hash of the ids, which is the same everywhere."""
    count = len(videos)
    if count < len(SPLITS):
        raise InputError(f"{count} videos are too few for training, validation and test: give folds")
    train = min(max(round(FRACTIONS[0] * count), 1), count - 2)
    held_out = min(max(round(FRACTIONS[1] * count), 1), count - 1 - train)
    sizes = (train, held_out, count - train - held_out)
    shown = f"{sizes[0]}, {sizes[1]} and {sizes[2]} videos"
    notices.append(f"No folds were given: {shown} for train, validation and test, not those of published scores.")
    order = sorted(videos, key=lambda video: hashlib.sha256(video.encode()).digest())
    return dict(zip(order, np.repeat(range(len(SPLITS)), sizes).tolist(), strict=True))


def _read_folds(path: Path, videos: Sequence[str], notices: list[str]) -> dict[str, int]:
    """Returns video -> split, of the videos that have labels."""
    listed = _parse_folds(path, decode_text(read_bytes(path, "give a file with the ids of the videos of each fold")))
    known = set(videos)
    for index, split in enumerate(SPLITS):
        ids = [video for video, code in listed.items() if code == index]
        if not ids and split != "validation":
            raise InputError(f"{path} lists no video for {split}: write {split}, then the ids of its videos")
        if ids and not known & set(ids):
            raise InputError(f"{path}: no video of {split} has labels (first: {ids[0]}): give the folds of this corpus")
    unlabelled = [video for video in listed if video not in known]
    if unlabelled:
        notices.append(f"{len(unlabelled)} videos of the folds have no labels (first: {unlabelled[0]}).")
    outside = [video for video in videos if video not in listed]
    if outside:
        notices.append(f"{len(outside)} of {len(videos)} videos are in no fold and left out (first: {outside[0]}).")
    return {video: listed[video] for video in videos if video in listed}


def _parse_folds(path: Path, content: str) -> dict[str, int]:
    """Returns video -> split: each id belongs to the last name of a fold before it, whatever stands between them."""
    listed: dict[str, int] = {}
    split: int | None = None
    for word in re.findall(r"[\w-]+", re.sub(r"#.*", "", content)):
        fold = FOLD.fullmatch(word)
        if fold:
            split = FOLD_SPLITS[fold[1].lower()]
        elif split is None:
            raise InputError(f"{path}: {word!r} stands before the name of a fold: begin with train, validation or test")
        elif listed.setdefault(word, split) != split:
            raise InputError(f"{path}: the video {word} is in {SPLITS[listed[word]]} and {SPLITS[split]}: keep it once")
    return listed


def _pool(path: Path, segments: Sequence[_Segment]) -> tuple[np.ndarray, np.ndarray]:
    """Returns f32[U, 2 D], mean and deviation of the rows of each segment, and bool[U, 2 D], where there was any."""
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    with open_sequence(path) as sequence:
        known = set(sequence.videos)
        for video, group in itertools.groupby(enumerate(segments), lambda item: item[1].video):
            if video not in known:
                continue
            rows = sequence.read(video)
            begins, ends = rows.intervals.T
            for row, segment in group:
                overlaps = (begins < segment.end - TOLERANCE) & (ends > segment.start + TOLERANCE)
                found[row] = _summarize(rows.features[overlaps])
    if not found:
        raise InputError(f"{path} has none of the videos that have labels: give the files of one corpus")
    columns = len(next(iter(found.values()))[0])
    values, measured = np.zeros((len(segments), columns), np.float32), np.zeros((len(segments), columns), bool)
    for row, summary in found.items():
        values[row], measured[row] = summary
    return values, measured


def _summarize(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and deviation of the finite numbers of each column, f32[2 D], and bool[2 D], where there was any."""
    usable = np.abs(rows) <= np.finfo(np.float32).max
    counts = usable.sum(axis=0)
    means = np.where(usable, rows, 0.0).sum(axis=0) / np.maximum(counts, 1)
    squares = np.where(usable, rows - means, 0.0) ** 2
    deviations = np.sqrt(squares.sum(axis=0) / np.maximum(counts, 1))
    return np.concatenate([means, deviations]).astype(np.float32), np.tile(counts > 0, 2)
