"""DailyDialog: its own text files, or the JSON files in which RECCON adds speakers and the causes of emotions.

References:
    Li et al., DailyDialog: A Manually Labelled Multi-turn Dialogue Dataset, 2017.
    Poria et al., Recognizing Emotion Cause in Conversations, 2021.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances
from macsgr_jax.data.sources.build import ImportedCorpus, build_corpus, decode_text, read_bytes
from macsgr_jax.errors import InputError
from macsgr_jax.files import is_file, parse_json

EMOTIONS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")  # By their numbers.
END_OF_UTTERANCE = "__eou__"
# Sentences and emotions of each split, in folders of their own; and of everything together.
SPLIT_FILES = {
    split: (f"{name}/dialogues_{name}.txt", f"{name}/dialogues_emotion_{name}.txt")
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True)
}
WHOLE_FILES = ("dialogues_text.txt", "dialogues_emotion.txt")
RECCON_FILES = ("dailydialog_train.json", "dailydialog_valid.json", "dailydialog_test.json")  # In the order of SPLITS.
SPELLINGS = {"happines": "happiness", "happy": "happiness", "no emotion": "neutral", "none": "neutral"}
HELD_OUT = 0.1  # Of all dialogues, for validation and for the test, where the files name no splits.


def read_dailydialog(folder: Path) -> ImportedCorpus:
    """Reads the sentences and emotions; features are to be added.

    Args:
        folder: the unpacked release with the folders train, validation and test, or with the two files of WHOLE_FILES;
            or the folder of the three files of RECCON_FILES.

    Returns:
        The corpus without feature sets. The text files name no speakers, who take turns.

    Raises:
        InputError: files are missing, or contradict each other.
    """
    if is_file(folder / RECCON_FILES[0]):
        dialogues, digest = _read_reccon(folder)
        notices: list[str] = []
    elif all(is_file(folder / name) for files in SPLIT_FILES.values() for name in files):
        dialogues, digest, notices = [], hashlib.sha256(), ["The files name no speakers: two take turns."]
        for split, files in SPLIT_FILES.items():
            dialogues += _read_text(folder, files, split, split, digest)
    elif is_file(folder / WHOLE_FILES[0]):
        digest = hashlib.sha256()
        dialogues = _divide(_read_text(folder, WHOLE_FILES, "train", "dialogue", digest))
        share = f"{100 * HELD_OUT:g} %"
        notices = [
            "The files name no speakers: two take turns.",
            f"The files name no splits: {share} of the dialogues at random are the validation and {share} the test"
            " split; the folders train, validation and test of the release have those of the literature.",
        ]
    else:
        raise InputError(
            f"{folder} holds no DailyDialog: give the folder that has train, validation and test with"
            f" dialogues_train.txt and so on, or {' and '.join(WHOLE_FILES)}, or RECCON's {', '.join(RECCON_FILES)}"
        )
    labels = {utterance.label for utterance in list_utterances(dialogues)} - {""}
    names = [*EMOTIONS, *sorted(labels - set(EMOTIONS))]
    return ImportedCorpus(build_corpus("dailydialog", dialogues, names, digest.hexdigest(), notices=notices))


def _divide(dialogues: list[Dialogue]) -> list[Dialogue]:
    """Moves dialogues to the validation and the test split, the same ones every time."""
    order = np.random.default_rng(0).permutation(len(dialogues)).tolist()
    count = max(1, round(HELD_OUT * len(dialogues)))
    splits = {row: "test" for row in order[:count]} | {row: "validation" for row in order[count : 2 * count]}
    return [one._replace(split=splits.get(row, "train")) for row, one in enumerate(dialogues)]


def _read_text(folder: Path, names: tuple[str, str], split: str, prefix: str, digest: Any) -> list[Dialogue]:
    """Reads one file of sentences and one of emotions, a line of each per dialogue."""
    texts, emotions = (folder / name for name in names)
    contents = [read_bytes(path, "give the folder of DailyDialog's text files") for path in (texts, emotions)]
    for content in contents:
        digest.update(content)
    lines = [[line for line in decode_text(content).splitlines() if line.strip()] for content in contents]
    if len(lines[0]) != len(lines[1]):
        raise InputError(f"{texts} has {len(lines[0])} dialogues and {emotions} {len(lines[1])}: copy the files again")
    dialogues = []
    for number, (text, codes) in enumerate(zip(*lines, strict=True)):
        sentences = [part.strip() for part in text.split(END_OF_UTTERANCE)]
        sentences = sentences[:-1] if not sentences[-1] else sentences
        labels = codes.split()
        if len(sentences) != len(labels):
            raise InputError(
                f"{texts}, line {number + 1} has {len(sentences)} utterances and {emotions} {len(labels)} emotions:"
                " copy the files again"
            )
        wrong = [label for label in labels if not label.isdecimal() or int(label) >= len(EMOTIONS)]
        if wrong:
            raise InputError(f"{emotions}, line {number + 1} has the emotion {wrong[0]!r}, none of 0 to 6")
        name = f"{prefix}_{number:05d}"
        utterances = [
            Utterance(f"{name}_{turn:02d}", f"{name}/{'AB'[turn % 2]}", sentence, EMOTIONS[int(label)])
            for turn, (sentence, label) in enumerate(zip(sentences, labels, strict=True))
        ]
        dialogues.append(Dialogue(name, utterances, split))
    return dialogues


def _read_reccon(folder: Path) -> tuple[list[Dialogue], Any]:
    """Reads RECCON's files: name -> a list that holds a list of turns."""
    dialogues: list[Dialogue] = []
    seen: set[str] = set()
    digest = hashlib.sha256()
    for split, file in zip(SPLITS, RECCON_FILES, strict=True):
        path = folder / file
        content = read_bytes(path, f"give the folder of RECCON's {', '.join(RECCON_FILES)}")
        digest.update(content)
        try:
            document = parse_json(content, str(path), "copy the file again")
            named = {name: turns[0] if isinstance(turns[0], list) else turns for name, turns in document.items()}
            for name, turns in named.items():
                if name in seen:
                    raise InputError(f"{path}: the dialogue {name} is there twice: copy the files again")
                seen.add(name)
                utterances = [
                    Utterance(
                        f"{name}_{turn['turn']}",
                        f"{name}/{turn['speaker']}",
                        str(turn["utterance"]).strip(),
                        _read_emotion(turn.get("emotion")),
                    )
                    for turn in turns
                ]
                dialogues.append(Dialogue(name, utterances, split))
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise InputError(
                f"{path} has not the form of RECCON's files ({type(error).__name__}: {error}): it should map names to"
                " lists of turns, each with turn, speaker, utterance and emotion"
            ) from None
    return dialogues, digest


def _read_emotion(value: Any) -> str:
    emotion = str(value or "").strip().lower()
    return SPELLINGS.get(emotion, emotion)
