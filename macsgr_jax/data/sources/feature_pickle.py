"""The feature pickles that most PyTorch repositories for ERC read, parsed without running any code in them.

Two layouts. A tuple: utterance ids, speakers and labels of each dialogue, then dictionaries of features, the sentences,
the training and the test dialogues (DialogueRNN's and MMGCN's IEMOCAP_features*.pkl and MELD_features_raw*.pkl, and the
ones with four RoBERTa layers). Or a dictionary of train, dev and test lists of samples (COGMEN's data_*.pkl).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances
from macsgr_jax.data.safe_pickle import Record, load_pickle
from macsgr_jax.data.sources.build import ImportedCorpus
from macsgr_jax.errors import InputError

# What the label numbers mean in the files in common use, by the number of labels.
LABEL_NAMES = {
    6: ("happy", "sad", "neutral", "angry", "excited", "frustrated"),  # IEMOCAP
    4: ("happy", "sad", "neutral", "angry"),  # IEMOCAP's four
    7: ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"),  # MELD
}

# Feature dictionaries in the order of the tuple, by their number.
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


class _Part(NamedTuple):
    """One dialogue with its features.

    Attributes:
        dialogue: the dialogue, the labels of its utterances as numbers.
        features: name -> f32[T, D], for its T utterances.
    """

    dialogue: Dialogue
    features: dict[str, np.ndarray]


def read_feature_pickle(path: Path, labels: Sequence[str] = ()) -> ImportedCorpus:
    """Reads a file of one of the two layouts.

    Args:
        path: the pickle.
        labels: the emotions in the order of their numbers; by default those of LABEL_NAMES for the number of labels
            that the file has.

    Returns:
        The corpus; its name is that of the file.

    Raises:
        InputError: the file cannot be read, has another layout, or contradicts itself.
    """
    content = load_pickle(path)
    try:
        if isinstance(content, Mapping) and {"train", "test"} <= set(content):
            parts = _read_samples(path, content)
        elif isinstance(content, tuple | list) and len(content) >= 8:
            parts = _read_tuple(path, list(content))
        else:
            raise _other_layout(path, f"it holds a {type(content).__name__}")
    except InputError:
        raise
    # Values of other types than are looked for make NumPy raise almost anything.
    except Exception as error:
        raise _other_layout(path, f"{type(error).__name__}: {error}") from None
    return ImportedCorpus(_assemble(path, parts, labels))


def _read_samples(path: Path, content: Mapping[str, Any]) -> list[_Part]:
    """Reads COGMEN's layout."""
    found = []
    for split, key in zip(SPLITS, ("train", "dev", "test"), strict=True):
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
            found.append(
                _make_part(path, fields["vid"], split, fields["speaker"], fields["label"], features, fields["sentence"])
            )
    return found


def _read_tuple(path: Path, parts: list[Any]) -> list[_Part]:
    """Reads DialogueRNN's layout and its relatives."""
    # The dictionaries end where the training dialogues are listed.
    count = next(index for index, part in enumerate(parts) if not isinstance(part, Mapping))
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
        _make_part(
            path,
            vid,
            "test" if vid in tested else "validation" if vid in validation else "train",
            speakers[vid],
            labels[vid],
            {name: values[vid] for name, values in zip(names, features, strict=True)},
            sentences[vid],
        )
        for vid in [*train, *test]
    ]


def _make_part(
    path: Path, name: Any, split: str, speakers: Any, labels: Any, features: Mapping[str, Any], texts: Any
) -> _Part:
    numbers = np.asarray(labels).reshape(-1).astype(np.int64)
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
        if length != len(numbers):
            raise InputError(
                f"{path}: dialogue {name} has {len(numbers)} labels and {length} {key}: the file contradicts itself"
            )
    for key, values in arrays.items():
        if values.ndim != 2:
            raise InputError(
                f"{path}: {key} of dialogue {name} is {list(values.shape)} instead of one vector per utterance"
            )
    utterances = [
        Utterance(id=f"{name}_{position:03d}", speaker=_name_speaker(speaker), text=str(text), label=str(number))
        for position, (speaker, text, number) in enumerate(zip(speakers, texts, numbers, strict=True))
    ]
    return _Part(Dialogue(str(name), utterances, split), arrays)


def _name_speaker(speaker: Any) -> str:
    """Returns M or F as it is, and names MELD's one-hot vectors by the index of the one."""
    if isinstance(speaker, str):
        return speaker
    vector = np.asarray(speaker).reshape(-1)
    return f"speaker{int(np.argmax(vector)) if vector.size > 1 else int(vector[0])}"


def _assemble(path: Path, parts: list[_Part], label_names: Sequence[str]) -> Corpus:
    if not parts:
        raise _other_layout(path, "it lists no dialogue")
    dialogues = [part.dialogue for part in parts]
    labels = [int(utterance.label) for utterance in list_utterances(dialogues)]
    names = tuple(label_names) or LABEL_NAMES.get(max(labels) + 1, ())
    if min(labels) < 0 or max(labels) >= len(names):
        raise InputError(
            f"{path} has labels from {min(labels)} to {max(labels)}: name them with --labels, separated by commas"
        )
    features = {name: np.concatenate([part.features[name] for part in parts]) for name in parts[0].features}
    return Corpus.from_dialogues(
        path.stem,
        [
            dialogue._replace(
                utterances=[utterance._replace(label=names[int(utterance.label)]) for utterance in dialogue.utterances]
            )
            for dialogue in dialogues
        ],
        names,
        features={name: np.where(np.isfinite(values), values, 0.0) for name, values in features.items()},
        measured={name: np.isfinite(values) for name, values in features.items()},
    )


def _other_layout(path: Path, found: str) -> InputError:
    return InputError(
        f"{path} has neither the layout of DialogueRNN's and MMGCN's feature pickles nor that of COGMEN's ({found}):"
        " docs/corpus.md says how to bring your own arrays"
    )
