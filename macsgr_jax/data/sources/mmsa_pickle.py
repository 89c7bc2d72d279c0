"""MMSA's layout of feature pickles: train, valid and test, each with arrays of all segments of CMU-MOSI, MOSEI or SIMS.

Reference:
    Yu et al., CH-SIMS: A Chinese Multimodal Sentiment Analysis Dataset with Fine-grained Annotations of Modality, 2020.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from macsgr_jax.data.sources.pickled_dialogue import PickledDialogue
from macsgr_jax.errors import InputError

SPLIT_KEYS = {"train": "train", "valid": "validation", "dev": "validation", "test": "test"}
MODALITIES = {"text": "text", "audio": "audio", "vision": "video"}
LABELS = ("regression_labels", "labels")
SEPARATOR = "$_$"  # Between the video and the number of the segment.


def is_mmsa(content: Mapping[str, Any]) -> bool:
    """Returns whether a dictionary is of MMSA's layout, or of a relative of it: dictionaries of arrays per split."""
    return isinstance(content.get("train"), Mapping) and bool(MODALITIES.keys() & content["train"].keys())


def list_mmsa_dialogues(where: str, content: Mapping[str, Any]) -> Iterator[PickledDialogue]:
    """Yields each video as the monologue of its segments; a sequence becomes the mean and the deviation of its steps.

    Args:
        where: the file, for messages.
        content: the dictionary.

    Raises:
        InputError: the file does not say which segments are of one video, or what their sentiment is.
    """
    for key, split in SPLIT_KEYS.items():
        part = content.get(key)
        if not isinstance(part, Mapping):
            continue
        label = next((name for name in LABELS if name in part), None)
        if label is None or "id" not in part:
            lacks = "id, the videos and numbers of the segments" if label else " or ".join(LABELS)
            raise InputError(f"{where}: the arrays of {key} lack {lacks}: without it they are no conversations")
        names = [_split_id(where, value) for value in part["id"]]
        labels = np.asarray(part[label], np.float64).reshape(len(names), -1)[:, 0]
        texts = part["raw_text"] if "raw_text" in part else [""] * len(names)
        features = {
            f"{modality}_mean_std": _summarize(np.asarray(part[name]), part.get(f"{name}_lengths"))
            for name, modality in MODALITIES.items()
            if name in part
        }
        rows_of: dict[str, list[int]] = {}
        for row, (video, _) in enumerate(names):
            rows_of.setdefault(video, []).append(row)
        for video, rows in rows_of.items():
            rows.sort(key=lambda row: names[row][1])
            yield PickledDialogue(
                name=video,
                split=split,
                speakers=[video] * len(rows),
                labels=labels[rows],
                features={name: values[rows] for name, values in features.items()},
                texts=[str(texts[row]) for row in rows],
            )


def _split_id(where: str, value: Any) -> tuple[str, int]:
    """Returns video and number of a segment."""
    video, separator, number = str(value).rpartition(SEPARATOR)
    if not separator or not number.isdecimal():
        raise InputError(
            f"{where} has the segment {str(value)[:60]!r}, which does not say its video: MMSA's segments are named"
            f" VIDEO{SEPARATOR}NUMBER"
        )
    return video, int(number)


def _summarize(values: np.ndarray, lengths: Any) -> np.ndarray:
    """Returns f32[U, 2 D], mean and deviation over the steps of f[U, steps, D]; one vector per segment stays."""
    if values.ndim == 2:
        return values.astype(np.float32)
    steps = np.arange(values.shape[1])
    ends = np.full(len(values), len(steps)) if lengths is None else np.asarray(lengths, np.int64).reshape(-1)
    mask = ((steps < np.clip(ends, 1, None)[:, None]) & np.isfinite(values).all(axis=2))[..., None]
    count = np.maximum(mask.sum(axis=1), 1)
    known = np.where(mask, values, 0.0).astype(np.float64)
    mean = known.sum(axis=1) / count
    deviation = np.sqrt(np.maximum((known**2).sum(axis=1) / count - mean**2, 0.0))
    return np.concatenate([mean, deviation], axis=1).astype(np.float32)
