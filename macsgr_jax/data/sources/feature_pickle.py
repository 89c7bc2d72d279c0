"""The feature pickles that most PyTorch repositories for ERC read, parsed without running any code in them.

Layouts. A tuple: utterance ids, speakers and labels of each dialogue, then dictionaries of features, the sentences,
the training and the test dialogues (DialogueRNN's and MMGCN's IEMOCAP_features*.pkl and MELD_features_raw*.pkl, and the
ones with four RoBERTa layers), or COSMIC's, in `cosmic_pickle`. Or a dictionary of train, dev and test lists of samples
(COGMEN's data_*.pkl), or of arrays (MMSA's), in `mmsa_pickle`.
"""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.data.corpus import SPLITS, UNLABELLED, Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances
from macsgr_jax.data.safe_pickle import Record, load_pickle
from macsgr_jax.data.sources.build import ImportedCorpus
from macsgr_jax.data.sources.cosmic_pickle import is_cosmic, list_cosmic_dialogues
from macsgr_jax.data.sources.mmsa_pickle import is_mmsa, list_mmsa_dialogues
from macsgr_jax.data.sources.pickled_dialogue import PickledDialogue
from macsgr_jax.errors import InputError, quote
from macsgr_jax.limits import MAX_NAME, MAX_TEXT, allow

# What the label numbers mean in the files in common use.
IEMOCAP_LABELS = {
    6: ("happy", "sad", "neutral", "angry", "excited", "frustrated"),
    4: ("happy", "sad", "neutral", "angry"),
}
MELD_LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
IEMOCAP_DIALOGUE = re.compile(r"Ses0[1-5][FM]_(impro|script)\d\d.*")  # Its name.

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
MELD_TRAINING, MELD_WITH_VALIDATION, MELD_DIALOGUES = 1038, 1152, 1432
MAX_LABEL = 1000  # No corpus numbers its emotions so high.
EXAMPLE = "--labels neutral,happy,sad, in the order of their numbers"


class _Part(NamedTuple):
    """One dialogue with its features.

    Attributes:
        dialogue: the dialogue, the labels of its utterances as numbers.
        features: name -> f32[T, D], for its T utterances.
    """

    dialogue: Dialogue
    features: dict[str, np.ndarray]


def read_feature_pickle(path: Path, labels: Sequence[str] = (), thresholds: Sequence[float] = ()) -> ImportedCorpus:
    """Reads a file of one of the layouts.

    Args:
        path: the pickle.
        labels: the emotions in the order of their numbers; by default those of IEMOCAP or MELD, where the names and
            the number of the dialogues show that the file is of that corpus.
        thresholds: the numbers, ascending, that divide labels on a scale into classes; none for labels that number
            emotions.

    Returns:
        The corpus; its name is that of the file.

    Raises:
        InputError: the file cannot be read, has another layout, or contradicts itself; or its labels are not whole
            numbers, or their names are not known.
    """
    if list(thresholds) != sorted(set(thresholds)):
        raise InputError("--threshold: give the thresholds in ascending order, each once")
    content = load_pickle(path)
    notices: list[str] = []
    try:
        if isinstance(content, Mapping) and is_mmsa(content):
            if not thresholds:
                thresholds = (0.0,)
                notices.append(
                    "The labels are values on a scale: below 0 is negative; --threshold divides them otherwise."
                )
            parts = [_make(path, one, labels, thresholds) for one in list_mmsa_dialogues(str(path), content)]
        elif isinstance(content, tuple | list) and is_cosmic(content):
            parts = [_make(path, one, labels, thresholds) for one in list_cosmic_dialogues(content)]
        elif isinstance(content, Mapping) and {"train", "test"} <= set(content):
            parts = _read_samples(path, content, labels, thresholds)
        elif (
            isinstance(content, tuple | list) and len(content) >= 8 and not all(isinstance(p, Mapping) for p in content)
        ):
            parts = _read_tuple(path, list(content), labels, thresholds)
        else:
            raise _other_layout(path, _describe_content(content))
        corpus = _assemble(path, parts, labels, thresholds)
    except InputError:
        raise
    # Values of other types than are looked for make NumPy raise almost anything.
    except Exception as error:
        raise _other_layout(path, quote(f"{type(error).__name__}: {error}")) from None
    return ImportedCorpus(dataclasses.replace(corpus, notices=(*notices, *corpus.notices)))


def _describe_content(content: Any) -> str:
    """Returns what a file of another layout holds."""
    if isinstance(content, tuple | list) and content and all(isinstance(part, Mapping) for part in content):
        return (
            f"it holds {len(content)} dictionaries, and no list of the training dialogues, as COSMIC's comet files do"
        )
    if isinstance(content, Mapping):
        return f"it holds a dictionary of {quote(', '.join(str(key) for key in list(content)[:5]))}"
    return f"it holds a {type(content).__name__}"


def _make(path: Path, one: PickledDialogue, label_names: Sequence[str], thresholds: Sequence[float]) -> _Part:
    labels = _read_labels(path, one.name, one.labels, label_names, thresholds)
    return _make_part(path, one.name, one.split, one.speakers, labels, one.features, one.texts)


def _read_samples(
    path: Path, content: Mapping[str, Any], label_names: Sequence[str], thresholds: Sequence[float]
) -> list[_Part]:
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
            labels = _read_labels(path, fields["vid"], fields["label"], label_names, thresholds)
            found.append(
                _make_part(path, fields["vid"], split, fields["speaker"], labels, features, fields["sentence"])
            )
    return found


def _read_tuple(path: Path, parts: list[Any], label_names: Sequence[str], thresholds: Sequence[float]) -> list[_Part]:
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
            _read_labels(path, vid, labels[vid], label_names, thresholds),
            {name: values[vid] for name, values in zip(names, features, strict=True)},
            sentences[vid],
        )
        for vid in [*train, *test]
    ]


def _make_part(
    path: Path, name: Any, split: str, speakers: Any, labels: list[str], features: Mapping[str, Any], texts: Any
) -> _Part:
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
        if length != len(labels):
            raise InputError(
                f"{path}: dialogue {quote(name)} has {len(labels)} labels and {length} {key}: the file contradicts"
                " itself"
            )
    for key, values in arrays.items():
        if values.ndim != 2:
            raise InputError(
                f"{path}: {key} of dialogue {quote(name)} is {list(values.shape)} instead of one vector per utterance"
            )
    where = f"{path}: dialogue {quote(name)}"
    own = _check_text(str(name), where, MAX_NAME)
    utterances = [
        Utterance(
            id=f"{own}_{position:03d}",
            speaker=_check_text(_name_speaker(speaker), where, MAX_NAME),
            text=_check_text(_as_text(text), where, MAX_TEXT),
            label=_check_text(label, where, MAX_NAME),
        )
        for position, (speaker, text, label) in enumerate(zip(speakers, texts, labels, strict=True))
    ]
    return _Part(Dialogue(own, utterances, split), arrays)


def _as_text(text: Any) -> str:
    """Returns a sentence, which Python 2 wrote as bytes."""
    return text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)


def _check_text(text: str, where: str, limit: int) -> str:
    """Returns a text that can be written to a file.

    Raises:
        InputError: it holds half of a letter, or is too long.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{where} has a text with half of a letter (a lone surrogate), {quote(text)}: correct it")
    allow(len(text), limit, f"{where} has a text of {len(text)} characters, {quote(text)}")
    return text


def _read_labels(
    path: Path, name: Any, labels: Any, label_names: Sequence[str], thresholds: Sequence[float]
) -> list[str]:
    """Returns T names or numbers of emotions; a one-hot vector is the position of its one, a value its class.

    NaN is no label, which is an empty name; so is -1 where the emotions are named, since it cannot be one of them.
    """
    where = f"{path}: dialogue {quote(name)}"
    labels = list(labels)
    if labels and all(isinstance(label, str) for label in labels):
        return [label.strip() for label in labels]
    try:
        values = np.asarray([np.asarray(label, np.float64).reshape(-1) for label in labels], np.float64)
    except (ValueError, TypeError):
        raise InputError(
            f"{where} has labels that are neither names nor numbers of emotions (first: {quote(repr(labels[0]), 40)}):"
            " write each as one number"
        ) from None
    if values.ndim == 2 and values.shape[1] > 1:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            raise InputError(
                f"{where} has {values.shape[1]} values per label that are not one-hot vectors: write each label as the"
                " number of one emotion"
            )
        values = values.argmax(axis=1).astype(np.float64)
    values = values.reshape(-1)
    if thresholds:
        classes = np.searchsorted(thresholds, values, side="right")
        return ["" if np.isnan(value) else str(number) for value, number in zip(values, classes, strict=True)]
    if label_names:
        values = np.where(values == UNLABELLED, np.nan, values)
    _check_numbers(values, where)
    return ["" if np.isnan(value) else str(int(value)) for value in values]


def _check_numbers(values: np.ndarray, where: str) -> None:
    """Refuses labels that are no numbers of emotions, with an advice that helps; NaN is no label."""
    wrong = np.isfinite(values) & (values != np.round(values))
    for position in np.flatnonzero(wrong)[:1]:
        raise InputError(
            f"{where}, utterance {position} has the label {values[position]:g}, a value on a scale and not the number"
            " of an emotion: divide the scale into classes with --threshold, such as --threshold 0, and name these with"
            " --labels"
        )
    for position in np.flatnonzero(values < 0)[:1]:
        unlabelled = ", and -1 is no label" if values[position] == UNLABELLED else ""
        raise InputError(
            f"{where}, utterance {position} has the label {values[position]:g}, which numbers no emotion: name the"
            f" emotions from number 0 on with --labels{unlabelled}, or, if the labels are values on a scale, divide it"
            " with --threshold"
        )
    largest = values[~np.isnan(values)].max(initial=0)
    if largest > MAX_LABEL:  # Infinity too.
        raise InputError(
            f"{where} has the label {largest:g}, and emotions are numbered from 0: write each label as the number"
            " of its emotion"
        )


def _name_speaker(speaker: Any) -> str:
    """Returns M or F as it is, and names MELD's one-hot vectors by the index of the one."""
    if isinstance(speaker, str):
        return speaker
    vector = np.asarray(speaker).reshape(-1)
    return f"speaker{int(np.argmax(vector)) if vector.size > 1 else int(vector[0])}"


def _assemble(path: Path, parts: list[_Part], label_names: Sequence[str], thresholds: Sequence[float]) -> Corpus:
    if not parts:
        raise _other_layout(path, "it lists no dialogue")
    dialogues = [part.dialogue for part in parts]
    names, notices = _name_labels(path, dialogues, label_names, thresholds)
    first = parts[0]
    for part in parts:
        widths = {name: values.shape[1] for name, values in part.features.items()}
        for name in first.features.keys() | widths.keys():
            wanted = first.features[name].shape[1] if name in first.features else None
            if widths.get(name) != wanted:
                raise InputError(
                    f"{path}: {name} of dialogue {quote(part.dialogue.name)} has {_count_columns(widths.get(name))},"
                    f" and of dialogue {quote(first.dialogue.name)} {_count_columns(wanted)}: the file contradicts"
                    " itself"
                )
    features = {name: np.concatenate([part.features[name] for part in parts]) for name in first.features}
    return Corpus.from_dialogues(
        path.stem,
        [
            dialogue._replace(
                utterances=[
                    utterance._replace(label=names.get(utterance.label, "")) for utterance in dialogue.utterances
                ]
            )
            for dialogue in dialogues
        ],
        list(names.values()),
        features={name: np.where(np.isfinite(values), values, 0.0) for name, values in features.items()},
        measured={name: np.isfinite(values) for name, values in features.items()},
        notices=notices,
    )


def _count_columns(count: int | None) -> str:
    return "no values" if count is None else f"{count} columns"


def _name_labels(
    path: Path, dialogues: Sequence[Dialogue], label_names: Sequence[str], thresholds: Sequence[float]
) -> tuple[dict[str, str], list[str]]:
    """Returns label of the file -> emotion, in the order of the emotions, and a notice about names that were inferred.

    Raises:
        InputError: the file does not show what its numbers mean, and no names or too few were given.
    """
    labels = {utterance.label for utterance in list_utterances(dialogues)} - {""}
    if not labels:
        raise InputError(f"{path}: no utterance has a label: label some of them")
    if not all(label.isdecimal() for label in labels):
        if any(label.isdecimal() for label in labels):
            raise InputError(f"{path} has both names and numbers as labels: write all of them as names, or as numbers")
        if label_names and not labels <= set(label_names):
            raise InputError(
                f"{path} has the label {quote(repr(min(labels - set(label_names))))}, which --labels does not name"
            )
        return {label: label for label in label_names or sorted(labels)}, []
    numbers = sorted(map(int, labels))
    names, notices = tuple(label_names), []
    if thresholds and not names:
        names = _name_classes(thresholds)
    elif not names:
        names, corpus = _infer_names(dialogues, numbers[-1] + 1)
        meanings = ", ".join(f"{number} {name}" for number, name in enumerate(names))
        notices = [f"The emotions are numbered as in the usual files of {corpus}: {meanings}; if not, give --labels."]
    if numbers[-1] >= len(names):
        found = f"has labels from {numbers[0]} to {numbers[-1]}"
        if label_names:
            raise InputError(f"{path} {found}, and --labels names {len(names)}: name all emotions from number 0 on")
        raise InputError(f"{path} {found}, and does not say what they mean: name them with --labels, as {EXAMPLE}")
    return {str(number): name for number, name in enumerate(names)}, notices


def _infer_names(dialogues: Sequence[Dialogue], count: int) -> tuple[tuple[str, ...], str]:
    """Returns the emotions and the corpus where the file is certainly one of the field's, and otherwise nothing."""
    if all(IEMOCAP_DIALOGUE.fullmatch(dialogue.name) for dialogue in dialogues):
        return IEMOCAP_LABELS.get(count, ()), "IEMOCAP"
    numbered = all(dialogue.name.isdecimal() for dialogue in dialogues)
    if numbered and len(dialogues) == MELD_DIALOGUES and count == len(MELD_LABELS):
        return MELD_LABELS, "MELD"
    return (), ""


def _name_classes(thresholds: Sequence[float]) -> tuple[str, ...]:
    """Names the classes of a scale."""
    if tuple(thresholds) == (0.0,):
        return "negative", "positive"
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(thresholds)]
    return f"below {thresholds[0]:g}", *between, f"{thresholds[-1]:g} and more"


def _other_layout(path: Path, found: str) -> InputError:
    return InputError(
        f"{path} has neither the layout of DialogueRNN's, MMGCN's and COSMIC's feature pickles nor that of COGMEN's or"
        f" MMSA's ({found}): docs/corpus.md says how to bring your own arrays"
    )
