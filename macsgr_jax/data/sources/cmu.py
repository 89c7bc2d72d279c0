"""CMU-MOSI and CMU-MOSEI from the files of the CMU Multimodal SDK: monologues, their sentiment or their emotions.

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

SENTIMENT, EMOTION = "sentiment", "emotion"  # What can be predicted.
LABEL_NAMES = ("negative", "positive")
EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")  # In the order of CMU-MOSEI's columns.
SPELLINGS = {"happiness": "happy", "sadness": "sad", "angry": "anger", "surprised": "surprise", "fearful": "fear"}
# The columns of a file of labels that does not name them, by their number.
COLUMNS = {1: (SENTIMENT,), 6: EMOTIONS, 7: (SENTIMENT, *EMOTIONS)}
MAX_SENTIMENT = 3.0  # Sentiment is between this and its negative; an emotion between 0 and this.
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
        label: its emotion or the sign of its sentiment; empty where it has none.
        values: extra array -> its value, as annotated.
    """

    video: str
    start: float
    number: int
    end: float
    label: str
    values: Mapping[str, float]


def read_cmu(
    labels: Path, sequences: Mapping[str, Path], folds: Path | None = None, name: str = "", target: str = ""
) -> ImportedCorpus:
    """Reads a corpus of sentiment or emotions from computational sequences.

    Args:
        labels: a .csd file of segments with their sentiment, the six emotions of CMU-MOSEI, or both, such as
            CMU_MOSI_Opinion_Labels.csd or CMU_MOSEI_Labels.csd. The names of its columns decide which, or the number
            of its columns, of COLUMNS.
        sequences: feature set, such as text_glove -> .csd file. An utterance gets the mean and the
            deviation of the rows that overlap with its segment, one after the other; numbers that are not finite are
            left out.
        folds: a file with the names train, validation and test, each followed by ids of videos, as JSON, as plain text,
            or as the Python lists of the SDK, which are not run; None divides the videos by their ids.
        name: the name of the corpus; by default the stem of the file of labels.
        target: SENTIMENT or EMOTION; by default sentiment where the file has it.

    Returns:
        The corpus, one dialogue per video and one utterance per segment in order of time, without texts. For
        sentiment, an extra array `sentiment`, f32[U] from -3 to 3, whose sign is the label, 0 being positive. For
        emotions, an extra array `intensity_<emotion>`, f32[U] from 0 to 3, for each of EMOTIONS: the label is the
        strongest, and segments without an emotion or with several that are equally strong are left out. Videos in no
        fold are left out.

    Raises:
        InputError: a file cannot be understood, does not have the target, or the folds do not fit the labels.
    """
    _check_names(sequences)
    notices: list[str] = []
    segments = _read_segments(labels, target, notices)
    emotions = bool(segments) and SENTIMENT not in segments[0].values
    videos = sorted({segment.video for segment in segments})
    split = _divide(videos, notices) if folds is None else _read_folds(folds, videos, notices)
    segments = [segment for segment in segments if segment.video in split]
    pooled = {key: _pool(path, segments) for key, path in sequences.items()}
    extra = {key: np.array([segment.values[key] for segment in segments], np.float32) for key in segments[0].values}
    digest = hashlib.sha256()
    for values in extra.values():
        digest.update(values.tobytes())
    for values, _ in pooled.values():
        digest.update(values.tobytes())
    corpus = Corpus.from_dialogues(
        name or labels.stem.lower(),
        [
            Dialogue(video, [_make_utterance(segment) for segment in group], SPLITS[split[video]])
            for video, group in itertools.groupby(segments, lambda segment: segment.video)
        ],
        EMOTIONS if emotions else LABEL_NAMES,
        features={key: values for key, (values, _) in pooled.items()},
        measured={key: measured for key, (_, measured) in pooled.items()},
        notices=notices,
        sha256=digest.hexdigest(),
    )
    return ImportedCorpus(corpus, extra_arrays=extra)


def _make_utterance(segment: _Segment) -> Utterance:
    """Makes an utterance of a monologue, whose speaker is the video."""
    return Utterance(
        id=f"{segment.video}[{segment.number}]",
        speaker=segment.video,
        label=segment.label,
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


def _read_segments(path: Path, target: str, notices: list[str]) -> list[_Segment]:
    """Returns the segments of all videos that have a label, sorted by video and time."""
    segments: dict[tuple[str, int], _Segment] = {}
    columns: tuple[str, ...] = ()
    with open_sequence(path) as sequence:
        for video in sequence.videos:
            for values, (start, end), number in zip(*sequence.read(video), strict=True):
                if not columns:
                    columns = _name_columns(path, sequence.column_names, len(values))
                    target = _choose_target(path, columns, target, notices)
                where = f"{video}[{number}]"
                if (video, number) in segments:
                    raise InputError(f"{path} has {where} for the second time: copy or download the file again")
                named = dict(zip(columns, map(float, values), strict=True))
                label, kept = _label(path, where, named, target)
                segments[video, number] = _Segment(video, float(start), int(number), float(end), label, kept)
    if not segments:
        raise InputError(f"{path} has no segment: copy or download the file again")
    labelled = sorted((one for one in segments.values() if one.label), key=lambda one: one[:4])
    if target == EMOTION:
        nothing = sum(not any(one.values.values()) for one in segments.values())
        tied = len(segments) - len(labelled) - nothing
        notices.append(
            f"Of {len(segments)} segments, {nothing} without an emotion and {tied} with several that are equally strong"
            " are left out; the emotion of the others is their strongest."
        )
    if not labelled:
        raise InputError(f"{path} has no segment with one strongest emotion: import it with --target sentiment")
    return labelled


def _name_columns(path: Path, names: Sequence[str], count: int) -> tuple[str, ...]:
    """Returns the names of the columns, sentiment and emotions spelled as here.

    Raises:
        InputError: the file does not name them, and their number is not known.
    """
    spelled = [name.strip().lower() for name in names]
    columns = tuple(SPELLINGS.get(name, name) for name in spelled)
    if len(columns) == count and (SENTIMENT in columns or set(EMOTIONS) <= set(columns)):
        return columns
    if count not in COLUMNS:
        known = ", ".join(map(str, COLUMNS))
        raise InputError(
            f"{path} has {count} columns that are not named: labels have {known} columns; give a file of sentiment or"
            " emotions"
        )
    return COLUMNS[count]


def _choose_target(path: Path, columns: Sequence[str], target: str, notices: list[str]) -> str:
    """Returns the target: the one that was asked for, or sentiment where the file has it."""
    there = [SENTIMENT] * (SENTIMENT in columns) + [EMOTION] * (set(EMOTIONS) <= set(columns))
    if target and target not in there:
        raise InputError(
            f"{path} has {' and '.join(there)}, and not {target}: give --target {there[0]} or another file"
        )
    if not target and len(there) > 1:
        notices.append(
            "The file has sentiment and emotions, and sentiment is taken: --target emotion takes the others."
        )
    return target or there[0]


def _label(path: Path, where: str, named: Mapping[str, float], target: str) -> tuple[str, dict[str, float]]:
    """Returns the label of a segment, empty where it has none, and what is kept of its annotation."""
    if target == SENTIMENT:
        sentiment = named[SENTIMENT]
        if not abs(sentiment) <= MAX_SENTIMENT:
            raise InputError(f"{path}: the sentiment of {where} is {sentiment:g}, not between -3 and 3")
        return LABEL_NAMES[int(sentiment >= 0)], {SENTIMENT: sentiment}
    for emotion in EMOTIONS:
        if not 0 <= named[emotion] <= MAX_SENTIMENT:
            raise InputError(f"{path}: {emotion} of {where} is {named[emotion]:g}, not between 0 and 3")
    strongest = max(named[emotion] for emotion in EMOTIONS)
    found = [emotion for emotion in EMOTIONS if named[emotion] == strongest and strongest > 0]
    return found[0] if len(found) == 1 else "", {f"intensity_{emotion}": named[emotion] for emotion in EMOTIONS}


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
