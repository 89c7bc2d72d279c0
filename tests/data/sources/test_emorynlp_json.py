"""EmoryNLP's own JSON files, in sentences of our own."""

import json
from pathlib import Path
from typing import Any

import pytest

from macsgr_jax.data.sources.emorynlp import read_emorynlp
from macsgr_jax.data.sources.emorynlp_json import FILES
from macsgr_jax.errors import InputError
from tests.testing.round_trip import assert_survives


def make_scene(name: str, *utterances: dict[str, Any]) -> dict[str, Any]:
    return {
        "scene_id": name,
        "utterances": [{"utterance_id": f"{name}_u{row + 1:03d}"} | one for row, one in enumerate(utterances)],
    }


FIRST = make_scene(
    "s01_e01_c01",
    {"speakers": ["Ann Lee"], "transcript": "The boat leaves at nine.", "emotion": "Neutral"},
    {"speakers": ["Bob Ray", "Ann Lee"], "tokens": [["Again", "!"], ["Now"]], "emotion": "Joyful"},
    {"speakers": [], "transcript": "Oh.", "emotion": None},
)
SECOND, THIRD = (make_scene(name, {"speakers": ["Cy"], "transcript": "Leave it.", "emotion": "Mad"}) for name in "bc")


def write(folder: Path, *contents: Any) -> Path:
    for name, content in zip(FILES, contents, strict=True):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_scenes_at_any_depth(tmp_path: Path) -> None:
    episode = {"episode_id": "s01_e01", "scenes": [FIRST, {"scene_id": "empty", "utterances": []}]}
    corpus = read_emorynlp(
        write(tmp_path, {"episodes": [episode]}, {"seasons": [{"episodes": [{"scenes": [SECOND]}]}]}, [THIRD])
    ).corpus
    assert corpus.name == "emorynlp" and corpus.dialogue_names == ("s01_e01_c01", "b", "c")
    assert corpus.split.tolist() == [0, 1, 2] and corpus.offsets.tolist() == [0, 3, 4, 5]
    assert corpus.texts == ("The boat leaves at nine.", "Again ! Now", "Oh.", "Leave it.", "Leave it.")
    assert [corpus.speaker_names[speaker] for speaker in corpus.speakers[:3]] == [
        "Ann Lee",
        "Bob Ray and Ann Lee",
        "unknown",
    ]
    assert corpus.labels.tolist() == [2, 0, -1, 1, 1]
    assert corpus.notices == ("1 utterances name no speaker (first: utterance s01_e01_c01_u003).",)
    assert_survives(corpus, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"episodes": []}, "has no scene with utterances: it should hold scenes of episodes of seasons"),
        ([make_scene("d", {"emotion": "Bored"})], "utterance d_u001 has the emotion 'bored', none of joyful"),
        ([{"utterances": [{"emotion": "Sad"}]}], "an utterance has no utterance_id"),
        ([FIRST], "the scene s01_e01_c01 is there twice, also in emotion-detection-trn.json"),
    ],
)
def test_files_that_cannot_be_understood(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"dev\.json:? {message}"):
        read_emorynlp(write(tmp_path, [FIRST], content, [THIRD]))
    (tmp_path / FILES[2]).unlink()
    (tmp_path / FILES[0]).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"trn\.json is damaged .*: copy the file again"):
        read_emorynlp(tmp_path)
