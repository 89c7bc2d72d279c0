"""EmoryNLP in the three CSV files in which the field hands it around: sentences, speakers and emotions.

Reference:
    Zahiri and Choi, Emotion Detection on TV Show Transcripts with Sequence-based Convolutional Neural Networks, 2018.
"""

import ast
import hashlib
from pathlib import Path

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.sources.build import Dialogue, Turn, make_corpus, parse_rows, read_bytes
from macsgr_jax.errors import InputError

FILES = ("emorynlp_train_final.csv", "emorynlp_dev_final.csv", "emorynlp_test_final.csv")  # In the order of SPLITS.
NUMBERS = ("Season", "Episode", "Scene_ID", "Utterance_ID")
COLUMNS = ("Utterance", "Speaker", "Emotion", *NUMBERS)
EMOTIONS = ("joyful", "mad", "neutral", "peaceful", "powerful", "sad", "scared")
UNKNOWN = "unknown"


def read_emorynlp(folder: Path) -> Corpus:
    """The sentences of EmoryNLP, a dialogue a scene; features are to be added.

    Args:
        folder: where the three files of FILES are.

    Returns:
        The corpus without feature sets, its scenes in the order of season, episode and number. Those who say something
        together count as one more speaker.

    Raises:
        InputError: a file or column is missing, a row cannot be understood, or a scene is in two splits.
    """
    dialogues: list[Dialogue] = []
    seen: dict[str, str] = {}
    digest = hashlib.sha256()
    for place, file in enumerate(FILES):
        content = read_bytes(folder / file, f"give the folder of EmoryNLP's {', '.join(FILES)}")
        digest.update(content)
        scenes: dict[tuple[int, ...], dict[int, Turn]] = {}
        for line, row in enumerate(parse_rows(folder / file, content, COLUMNS, "EmoryNLP"), start=2):
            *scene, number = _read_numbers(folder / file, line, row)
            turns = scenes.setdefault(tuple(scene), {})
            if number in turns:
                raise InputError(f"{folder / file}: row {line} is utterance {turns[number].name} for the second time")
            turns[number] = _make_turn(folder / file, line, row, f"{_name_scene(*scene)}_u{number:03d}")
        for key in sorted(scenes):
            name = _name_scene(*key)
            if seen.setdefault(name, file) != file:
                raise InputError(f"{folder / file}: the scene {name} is in {seen[name]} too: copy the files again")
            dialogues.append(Dialogue(name, place, [scenes[key][number] for number in sorted(scenes[key])]))
    nobody = [turn.name for dialogue in dialogues for turn in dialogue.turns if turn.speaker == UNKNOWN]
    notices = [f"{len(nobody)} utterances name no speaker (first: utterance {nobody[0]})."] if nobody else []
    return make_corpus("emorynlp", dialogues, EMOTIONS, digest.hexdigest(), notices=notices)


def _name_scene(season: int, episode: int, scene: int) -> str:
    return f"s{season:02d}_e{episode:02d}_c{scene:02d}"


def _read_numbers(path: Path, line: int, row: dict[str, str]) -> tuple[int, ...]:
    for column in NUMBERS:
        if not row[column].isdecimal():
            raise InputError(f"{path}: row {line} has the {column} {row[column]!r}, not a number: copy the file again")
    return tuple(int(row[column]) for column in NUMBERS)


def _make_turn(path: Path, line: int, row: dict[str, str], name: str) -> Turn:
    emotion = row["Emotion"].strip().lower()
    if emotion not in EMOTIONS:
        raise InputError(f"{path}: row {line} has the emotion {row['Emotion']!r}, none of {', '.join(EMOTIONS)}")
    return Turn(name, _read_speaker(path, line, row["Speaker"]), emotion, row["Utterance"])


def _read_speaker(path: Path, line: int, written: str) -> str:
    """A name as it is; the names of a list written as Python writes it, joined."""
    if not written.strip().startswith("["):
        return written.strip() or UNKNOWN
    try:
        names = ast.literal_eval(written.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: row {line} has the speaker {written!r}, neither a name nor a list: correct the row")
    return " and ".join(name.strip() for name in names if name.strip()) or UNKNOWN
