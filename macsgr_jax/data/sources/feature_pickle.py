"""The feature pickles that most PyTorch repositories of the field read, without running anything of them.

Two layouts. A tuple: utterance ids, speakers and labels of each dialogue, then dictionaries of features, the sentences,
the training and the test dialogues (DialogueRNN's and MMGCN's IEMOCAP_features*.pkl and MELD_features_raw*.pkl, and the
ones with four RoBERTa layers). Or a dictionary of train, dev and test lists of samples (COGMEN's data_*.pkl).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.safe_pickle import Record, load_pickle
from macsgr_jax.errors import InputError

# What the numbers mean in the files that are handed around, by how many there are.
LABEL_NAMES = {
    6: ("happy", "sad", "neutral", "angry", "excited", "frustrated"),  # IEMOCAP
    4: ("happy", "sad", "neutral", "angry"),  # IEMOCAP's four
    7: ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"),  # MELD
}

# Feature dictionaries in the order of the tuple, by how many there are.
FEATURE_NAMES = {
    2: ("text_features", "audio_features"),
    3: ("text_features", "audio_features", "video_features"),
    5: ("text_layer1", "text_layer2", "text_layer3", "text_layer4", "audio_features"),
    6: ("text_layer1", "text_layer2", "text_layer3", "text_layer4", "audio_features", "video_features"),
}

# The validation dialogues of IEMOCAP that COSMIC and many after it take out of the training split.
IEMOCAP_VALIDATION = (
    "Ses01M_impro01",
    "Ses01M_script03_1",
    "Ses02F_impro02",
    "Ses02F_impro07",
    "Ses02M_script01_2",
    "Ses03F_impro01",
    "Ses03M_impro02",
    "Ses03M_impro08a",
    "Ses03M_script02_2",
    "Ses03M_script03_2",
    "Ses04F_impro07",
    "Ses04F_script02_1",
)

# MELD's files list the training dialogues and then these many of the validation split as one.
MELD_TRAINING, MELD_WITH_VALIDATION = 1038, 1152


class _Dialogue(NamedTuple):
    """One dialogue, a value an utterance.

    Attributes:
        name: of the dialogue.
        split: index into SPLITS.
        speakers: one an utterance.
        labels: i64[T].
        features: name -> f32[T, D].
        texts: one an utterance.
    """

    name: str
    split: int
    speakers: list[str]
    labels: np.ndarray
    features: dict[str, np.ndarray]
    texts: list[str]


def read_feature_pickle(path: Path, label_names: Sequence[str] = ()) -> Corpus:
    """A corpus from a file of one of the two layouts.

    Args:
        path: the pickle.
        label_names: the emotions; by default those of LABEL_NAMES with as many labels as the file has.

    Returns:
        The corpus; its name is the file's.

    Raises:
        InputError: the file cannot be read, has another layout, or contradicts itself.
    """
    content = load_pickle(path)
    try:
        if isinstance(content, Mapping) and {"train", "test"} <= set(content):
            dialogues = _read_samples(path, content)
        elif isinstance(content, tuple | list) and len(content) >= 8:
            dialogues = _read_tuple(path, list(content))
        else:
            raise _other_layout(path, f"it holds a {type(content).__name__}")
    except InputError:
        raise
    # Values of other types than are looked for make NumPy raise almost anything.
    except Exception as error:
        raise _other_layout(path, f"{type(error).__name__}: {error}") from None
    return _assemble(path, dialogues, label_names)


def _read_samples(path: Path, content: Mapping[str, Any]) -> list[_Dialogue]:
    """COGMEN's layout."""
    dialogues = []
    for place, key in enumerate(("train", "dev", "test")):
        for sample in content.get(key, ()):
            if not isinstance(sample, Record):
                raise _other_layout(path, f"{key} holds a {type(sample).__name__} instead of a sample")
            fields = sample.fields
            features = {
                "text_features": fields["text"],
                "text_sbert": fields.get("sbert_sentence_embeddings"),
                "audio_features": fields["audio"],
                "video_features": fields.get("visual"),
            }
            dialogues.append(
                _make_dialogue(
                    path, fields["vid"], place, fields["speaker"], fields["label"], features, fields["sentence"]
                )
            )
    return dialogues


def _read_tuple(path: Path, parts: list[Any]) -> list[_Dialogue]:
    """DialogueRNN's layout and its relatives."""
    # The dictionaries end where the training dialogues are listed.
    count = next(place for place, part in enumerate(parts) if not isinstance(part, Mapping))
    _, speakers, labels, *features, sentences = parts[:count]
    train, test = list(parts[count]), list(parts[count + 1])
    names = FEATURE_NAMES.get(len(features))
    if names is None:
        raise _other_layout(path, f"it has {len(features)} dictionaries of features")
    if len({*train, *test}) < len(train) + len(test):
        raise _other_layout(path, "it lists a dialogue twice")
    validation = set(train[MELD_TRAINING:] if len(train) == MELD_WITH_VALIDATION else IEMOCAP_VALIDATION)
    tested = set(test)
    return [
        _make_dialogue(
            path,
            vid,
            SPLITS.index("test" if vid in tested else "validation" if vid in validation else "train"),
            speakers[vid],
            labels[vid],
            {name: values[vid] for name, values in zip(names, features, strict=True)},
            sentences[vid],
        )
        for vid in [*train, *test]
    ]


def _make_dialogue(
    path: Path, name: Any, split: int, speakers: Any, labels: Any, features: Mapping[str, Any], texts: Any
) -> _Dialogue:
    label = np.asarray(labels).reshape(-1).astype(np.int64)
    arrays = {
        key: np.asarray([np.asarray(row, np.float32) for row in values], np.float32)
        for key, values in features.items()
        if values is not None
    }
    lengths = {
        "speakers": len(speakers),
        "sentences": len(texts),
        **{key: len(values) for key, values in arrays.items()},
    }
    for key, length in lengths.items():
        if length != len(label):
            raise InputError(
                f"{path}: dialogue {name} has {len(label)} labels and {length} {key}: the file contradicts itself"
            )
    for key, values in arrays.items():
        if values.ndim != 2:
            raise InputError(
                f"{path}: {key} of dialogue {name} is {list(values.shape)} instead of a vector an utterance"
            )
    return _Dialogue(
        str(name), split, [_name_speaker(one) for one in speakers], label, arrays, [str(one) for one in texts]
    )


def _name_speaker(speaker: Any) -> str:
    """M or F as it is; MELD's one-hot vectors by the place of the one."""
    if isinstance(speaker, str):
        return speaker
    vector = np.asarray(speaker).reshape(-1)
    return f"speaker{int(np.argmax(vector)) if vector.size > 1 else int(vector[0])}"


def _assemble(path: Path, dialogues: list[_Dialogue], label_names: Sequence[str]) -> Corpus:
    if not dialogues:
        raise _other_layout(path, "it lists no dialogue")
    labels = np.concatenate([dialogue.labels for dialogue in dialogues])
    names = tuple(label_names) or LABEL_NAMES.get(int(labels.max()) + 1, ())
    if labels.min() < 0 or labels.max() >= len(names):
        raise InputError(
            f"{path} has labels from {labels.min()} to {labels.max()}: name them with --labels, separated by commas"
        )
    speaker_names = tuple(sorted({speaker for dialogue in dialogues for speaker in dialogue.speakers}))
    numbers = {name: place for place, name in enumerate(speaker_names)}
    features = {
        name: np.concatenate([dialogue.features[name] for dialogue in dialogues]) for name in dialogues[0].features
    }
    return Corpus(
        name=path.stem,
        features={name: np.where(np.isfinite(values), values, 0.0) for name, values in features.items()},
        measured={name: np.isfinite(values) for name, values in features.items()},
        labels=labels.astype(np.int32),
        label_names=names,
        speakers=np.array([numbers[one] for dialogue in dialogues for one in dialogue.speakers], np.int32),
        speaker_names=speaker_names,
        offsets=np.concatenate([[0], np.cumsum([len(dialogue.labels) for dialogue in dialogues])]),
        dialogue_names=tuple(dialogue.name for dialogue in dialogues),
        split=np.array([dialogue.split for dialogue in dialogues], np.int8),
        utterance_ids=tuple(f"{one.name}_{place:03d}" for one in dialogues for place in range(len(one.labels))),
        texts=tuple(text for dialogue in dialogues for text in dialogue.texts),
        notices=(),
        sha256="",
    )


def _other_layout(path: Path, found: str) -> InputError:
    return InputError(
        f"{path} has neither the layout of DialogueRNN's and MMGCN's feature pickles nor that of COGMEN's ({found}):"
        " docs/corpus.md says how to bring your own arrays"
    )
