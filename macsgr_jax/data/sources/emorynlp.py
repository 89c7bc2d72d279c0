"""EmoryNLP: sentences, speakers and emotions, from three CSV files or from the three JSON files of its authors.

Reference:
    Zahiri and Choi, Emotion Detection on TV Show Transcripts with Sequence-based Convolutional Neural Networks, 2018.
"""

import ast
import hashlib
from pathlib import Path

from macsgr_jax.data.corpus import SPLITS
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances
from macsgr_jax.data.sources import emorynlp_json
from macsgr_jax.data.sources.build import ImportedCorpus, build_corpus, parse_rows, read_bytes
from macsgr_jax.data.sources.emorynlp_json import EMOTIONS, UNKNOWN
from macsgr_jax.errors import InputError
from macsgr_jax.files import is_file

FILES = ("emorynlp_train_final.csv", "emorynlp_dev_final.csv", "emorynlp_test_final.csv")  # In the order of SPLITS.
NUMBERS = ("Season", "Episode", "Scene_ID", "Utterance_ID")
COLUMNS = ("Utterance", "Speaker", "Emotion", *NUMBERS)


def read_emorynlp(folder: Path) -> ImportedCorpus:
    """Reads the sentences of EmoryNLP, one dialogue per scene; features are to be added.

    Args:
        folder: the folder of the three files of FILES, or of `emorynlp_json.FILES`.

    Returns:
        The corpus without feature sets; the scenes of CSV files in the order of season, episode and number. Speakers
        who say something together count as one more speaker.

    Raises:
        InputError: a file or column is missing, a row cannot be understood, or a scene is in two splits.
    """
    if is_file(folder / emorynlp_json.FILES[0]) and not is_file(folder / FILES[0]):
        dialogues, sha256 = emorynlp_json.read_json_scenes(folder)
    else:
        dialogues, sha256 = _read_tables(folder)
    nobody = [utterance.id for utterance in list_utterances(dialogues) if utterance.speaker == UNKNOWN]
    notices = [f"{len(nobody)} utterances name no speaker (first: utterance {nobody[0]})."] if nobody else []
    return ImportedCorpus(build_corpus("emorynlp", dialogues, EMOTIONS, sha256, notices=notices))


def _read_tables(folder: Path) -> tuple[list[Dialogue], str]:
    """Returns the scenes of the CSV files, and the hash of the files."""
    dialogues: list[Dialogue] = []
    seen: dict[str, str] = {}
    digest = hashlib.sha256()
    for split, file in zip(SPLITS, FILES, strict=True):
        content = read_bytes(folder / file, f"give the folder of EmoryNLP's {', '.join(FILES)}")
        digest.update(content)
        scenes: dict[tuple[int, ...], dict[int, Utterance]] = {}
        for line, row in enumerate(parse_rows(folder / file, content, COLUMNS, "EmoryNLP"), start=2):
            *scene, number = _read_numbers(folder / file, line, row)
            utterances = scenes.setdefault(tuple(scene), {})
            if number in utterances:
                raise InputError(
                    f"{folder / file}: row {line} is utterance {utterances[number].id} for the second time"
                )
            utterances[number] = _make_utterance(folder / file, line, row, f"{_name_scene(*scene)}_u{number:03d}")
        for key in sorted(scenes):
            name = _name_scene(*key)
            if seen.setdefault(name, file) != file:
                raise InputError(f"{folder / file}: the scene {name} is in {seen[name]} too: copy the files again")
            dialogues.append(Dialogue(name, [scenes[key][number] for number in sorted(scenes[key])], split))
    return dialogues, digest.hexdigest()


def _name_scene(season: int, episode: int, scene: int) -> str:
    return f"s{season:02d}_e{episode:02d}_c{scene:02d}"


def _read_numbers(path: Path, line: int, row: dict[str, str]) -> tuple[int, ...]:
    for column in NUMBERS:
        if not row[column].isdecimal():
            raise InputError(f"{path}: row {line} has the {column} {row[column]!r}, not a number: copy the file again")
    return tuple(int(row[column]) for column in NUMBERS)


def _make_utterance(path: Path, line: int, row: dict[str, str], id_: str) -> Utterance:
    emotion = row["Emotion"].strip().lower()
    if emotion not in EMOTIONS:
        raise InputError(f"{path}: row {line} has the emotion {row['Emotion']!r}, none of {', '.join(EMOTIONS)}")
    return Utterance(id=id_, speaker=_read_speaker(path, line, row["Speaker"]), text=row["Utterance"], label=emotion)


def _read_speaker(path: Path, line: int, written: str) -> str:
    """Returns the name of one speaker, or the joined names of a list in Python's notation."""
    if not written.strip().startswith("["):
        return written.strip() or UNKNOWN
    try:
        names = ast.literal_eval(written.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: row {line} has the speaker {written!r}, neither a name nor a list: correct the row")
    return " and ".join(name.strip() for name in names if name.strip()) or UNKNOWN
