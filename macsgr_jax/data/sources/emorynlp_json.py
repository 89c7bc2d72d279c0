"""EmoryNLP as its authors distribute it: three JSON files of seasons, episodes, scenes and utterances."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.data.sources.build import read_bytes
from macsgr_jax.errors import InputError
from macsgr_jax.files import parse_json

FILES = ("emotion-detection-trn.json", "emotion-detection-dev.json", "emotion-detection-tst.json")  # Order of SPLITS.
LEVELS = ("seasons", "episodes", "scenes")
EMOTIONS = ("joyful", "mad", "neutral", "peaceful", "powerful", "sad", "scared")
UNKNOWN = "unknown"


def read_json_scenes(folder: Path) -> tuple[list[Dialogue], str]:
    """Reads the scenes of the three files.

    Args:
        folder: the folder of FILES.

    Returns:
        The scenes in the order of the files, each a dialogue, and the hash of the files. An utterance without an
        emotion has no label; speakers who say something together count as one more speaker.

    Raises:
        InputError: a file is missing or is no such file, an emotion is unknown, or a scene is there twice.
    """
    dialogues: list[Dialogue] = []
    seen: dict[str, str] = {}
    digest = hashlib.sha256()
    for split, name in zip(SPLITS, FILES, strict=True):
        path = folder / name
        content = read_bytes(path, f"give the folder of EmoryNLP's {', '.join(FILES)}")
        digest.update(content)
        document = parse_json(content, str(path), "copy the file again")
        before = len(dialogues)
        for scene in _list_scenes(document):
            utterances = [_read_utterance(path, one) for one in _list(scene.get("utterances"))]
            if not utterances:
                continue
            id_ = str(scene.get("scene_id", utterances[0].id.rpartition("_")[0]))
            if seen.setdefault(id_, name) != name or len({one.id for one in utterances}) < len(utterances):
                raise InputError(f"{path}: the scene {id_} is there twice, also in {seen[id_]}: copy the files again")
            dialogues.append(Dialogue(id_, utterances, split))
        if len(dialogues) == before:
            raise InputError(f"{path} has no scene with utterances: it should hold {' of '.join(reversed(LEVELS))}")
    return dialogues, digest.hexdigest()


def _list_scenes(node: Any) -> Iterator[dict[str, Any]]:
    """Yields the scenes below an object, a list, or any of LEVELS."""
    if isinstance(node, list):
        for one in node:
            yield from _list_scenes(one)
    elif isinstance(node, dict):
        if "utterances" in node:
            yield node
        for level in LEVELS:
            yield from _list_scenes(node.get(level))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read_utterance(path: Path, value: Any) -> Utterance:
    if not isinstance(value, dict) or not isinstance(value.get("utterance_id"), str):
        raise InputError(f"{path}: an utterance has no utterance_id: copy the file again")
    id_ = value["utterance_id"]
    emotion = str(value.get("emotion") or "").strip().lower()
    if emotion and emotion not in EMOTIONS:
        raise InputError(f"{path}: utterance {id_} has the emotion {emotion!r}, none of {', '.join(EMOTIONS)}")
    text = value.get("transcript")
    if not isinstance(text, str):
        text = " ".join(str(token) for sentence in _list(value.get("tokens")) for token in _list(sentence))
    speakers = [name.strip() for name in _list(value.get("speakers")) if isinstance(name, str) and name.strip()]
    return Utterance(id=id_, speaker=" and ".join(speakers) or UNKNOWN, text=text, label=emotion)
