"""The page of predictions holds what the file says, loads nothing, and a bad file leaves nothing behind."""

import base64
import configparser
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.inference.predictor import RELATIONS
from macsgr_jax.inference.records import Relation

ROOT = Path(__file__).parents[2]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&lt;!-- {{script}} \u2028 ü \U0001f600"


def make_line(**changes: Any) -> dict[str, Any]:
    """A line as the file should have it."""
    line = {
        "conversation": "lunch",
        "utterance": "a",
        "speaker": "Ann",
        "text": "Soup again.",
        "start": 0.5,
        "end": 2.0,
        "emotion": "sad",
        "probabilities": {"happy": 0.25, "sad": 0.75},
        "weights": {"audio": 0.4, "text": 0.6},
        "available": {"audio": True, "text": True},
        "uncertainty": 0.8,
        "influences": [],
        "edges": [],
    }
    return {**line, **changes}


LUNCH = [
    make_line(edges=[{"utterance": "b", "relation": "other speaker, future", "weight": 0.7}], label="happy"),
    make_line(
        utterance="b",
        speaker="Ben",
        text=None,
        start=None,
        end=None,
        emotion="happy",
        probabilities={"sad": 0.1, "happy": 0.9},
        weights={"audio": 1},
        available={"audio": True, "text": False},
        influences=[{"utterance": "a", "weight": 0.21}],
        note="other keys are left aside",
    ),
    make_line(conversation="supper"),
]


class Reader(HTMLParser):
    """The tags of a page, and what they would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]


def read_data(page: str) -> dict[str, Any]:
    (content,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, flags=re.DOTALL)
    assert not re.search("[<>&\u2028]", content)
    data: dict[str, Any] = json.loads(content)
    return data


def write_lines(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def view(tmp_path: Path) -> Callable[..., str]:
    """Runs the script on some lines and gives back the page."""

    def call(lines: list[Any], *arguments: str) -> str:
        file, out = write_lines(tmp_path / "lines.jsonl", lines), tmp_path / "page.html"
        assert main(["view", str(file), "-o", str(out), "--overwrite", *arguments]) == 0
        return out.read_text(encoding="utf-8")

    return call


def test_the_page_holds_what_the_file_says(view: Callable[..., str]) -> None:
    data = read_data(view(LUNCH))
    assert data["emotions"] == ["happy", "sad"]
    lunch, supper = data["conversations"]
    assert (lunch["name"], lunch["speakers"]) == ("lunch", ["Ann", "Ben"])
    first, second = lunch["utterances"]
    assert first == {
        "speaker": 0,
        "text": "Soup again.",
        "start": 0.5,
        "end": 2.0,
        "emotion": 1,
        "label": 0,
        "probabilities": [0.25, 0.75],
        "modalities": [["audio", 0.4, True], ["text", 0.6, True]],
        "uncertainty": 0.8,
        "edges": [[1, 3, 0.7]],
        "influences": [],
    }
    assert data["relations"][3] == "other speaker, future"
    assert (second["speaker"], second["text"], second["start"], second["label"]) == (1, None, None, None)
    assert second["probabilities"] == [0.9, 0.1]  # In the order of the first line.
    assert second["modalities"] == [["audio", 1.0, True], ["text", 0.0, False]]
    assert second["influences"] == [[0, 0.21]]
    assert [turn["text"] for turn in supper["utterances"]] == ["Soup again."]


def test_the_page_scores_labelled_utterances(view: Callable[..., str]) -> None:
    """Rows of the confusion are labels, columns predictions, in the order of the emotions."""
    lunch, supper = read_data(view([*LUNCH[:1], {**LUNCH[1], "label": "happy"}, LUNCH[2]]))["conversations"]
    assert lunch["scores"] == {"waa": 0.5, "waf1": pytest.approx(2 / 3), "confusion": [[1, 1], [0, 0]]}
    assert supper["scores"] is None


def test_a_document_is_shown_as_its_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The .json of `macsgr predict`, whose utterances are those of JSON Lines."""
    lines, document = write_lines(tmp_path / "l.jsonl", LUNCH), tmp_path / "l.json"
    document.write_text(json.dumps({"scores": None, "utterances": LUNCH}), encoding="utf-8")
    for name in ("l.jsonl", "l.json"):
        assert main(["view", str(tmp_path / name), "-o", str(tmp_path / f"{name}.html")]) == 0
    assert (tmp_path / "l.json.html").read_text() == (tmp_path / "l.jsonl.html").read_text() and lines.is_file()
    document.write_text("[1]", encoding="utf-8")
    assert main(["view", str(document), "-o", str(tmp_path / "x.html")]) == 2
    assert "l.json is no document of predictions" in capsys.readouterr().err


def test_the_relations_are_those_of_the_predictions() -> None:
    assert get_args(Relation) == RELATIONS


def test_hostile_words_stay_words(view: Callable[..., str]) -> None:
    hostile = make_line(text=HOSTILE, speaker=HOSTILE, conversation=HOSTILE)
    page = view([hostile])
    assert Reader(page).tags == Reader(view([make_line()])).tags
    (conversation,) = read_data(page)["conversations"]
    assert [conversation["name"], *conversation["speakers"], conversation["utterances"][0]["text"]] == [HOSTILE] * 3


def test_the_page_loads_nothing_and_allows_only_its_own_style_and_script(view: Callable[..., str]) -> None:
    page = view(LUNCH)
    assert Reader(page).links == []
    style, script = (re.findall(f"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)[0] for tag in ("style", "script"))
    assert not re.search(r"url\(|@import", style) and not re.search(r"fetch|XMLHttp|import\b|WebSocket", script)
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    assert policy.split("; ")[:3] == [
        "default-src 'none'",
        f"style-src 'sha256-{digests[0]}'",
        f"script-src 'sha256-{digests[1]}'",
    ]


def test_the_page_can_be_read_by_all(view: Callable[..., str]) -> None:
    page = view(LUNCH)
    assert page.startswith('<!doctype html>\n<html lang="en">') and "<title>" in page and "<h1" in page
    assert 'name="viewport"' in page and "switched off" in page[page.index("<noscript>") : page.index("</noscript>")]


def test_the_same_file_makes_the_same_page(view: Callable[..., str]) -> None:
    assert view(LUNCH) == view(LUNCH)


def test_marks_of_other_editors_and_rounding_are_accepted(view: Callable[..., str]) -> None:
    line = make_line(probabilities={"happy": 1.000001, "sad": 0.0}, uncertainty=1.000001)
    data = read_data(view(["\ufeff", json.dumps(line) + "\r\n", "\r\n", "\n"]))
    (turn,) = data["conversations"][0]["utterances"]
    assert (turn["probabilities"], turn["uncertainty"]) == ([1.0, 0.0], 1.0)


def without(key: str) -> dict[str, Any]:
    line = make_line()
    del line[key]
    return line


EDGE = {"utterance": "a", "relation": "same speaker, past", "weight": 0.5}


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        pytest.param([], "holds no prediction", id="empty"),
        pytest.param(["\n \n"], "holds no prediction", id="blank"),
        pytest.param([make_line(), "{\n"], "line 2 is not JSON", id="not JSON"),
        pytest.param(["[" * 100_000], "line 1 is not JSON", id="deep"),
        pytest.param(["3\n"], "line 1: the line does not fit", id="a number"),
        *(
            pytest.param([make_line(utterance="z"), without(key)], f"line 2: {key} is missing", id=f"no {key}")
            for key in make_line()
        ),
        pytest.param([make_line(text=3)], "line 1: text does not fit: input should be a valid string", id="text"),
        pytest.param([make_line(start="0")], "line 1: start does not fit", id="start"),
        pytest.param([make_line(end=float("nan"))], "line 1: end does not fit", id="nan"),
        pytest.param([make_line(speaker="")], "line 1: speaker does not fit", id="speaker"),
        pytest.param([make_line(uncertainty=1.5)], "uncertainty does not fit: should lie between 0 and 1", id="share"),
        pytest.param([make_line(available={"audio": 1})], "available.audio does not fit", id="available"),
        pytest.param([make_line(probabilities={})], "probabilities does not fit", id="no emotion"),
        pytest.param([make_line(probabilities={"sad": -0.1})], "probabilities.sad does not fit", id="negative"),
        pytest.param([make_line(probabilities={"sad": 0.5})], "probabilities sum to 0.500 instead of 1", id="sum"),
        pytest.param(
            [make_line(), make_line(utterance="b", probabilities={"sad": 1.0})],
            "line 2: probabilities are not of happy, sad",
            id="other emotions",
        ),
        pytest.param([make_line(emotion="bored")], "emotion is 'bored'", id="emotion"),
        pytest.param([make_line(label="bored")], "label is 'bored'", id="label"),
        pytest.param([make_line(weights={"audio": 1.0})], "'text' is available, but not in weights", id="weight"),
        pytest.param([make_line(available={"text": True})], "weights has 'audio'", id="modality"),
        pytest.param([make_line(start=3.0)], "end is 2, before start, 3", id="times"),
        pytest.param([make_line(), make_line()], "line 2: utterance 'a' is that of line 1", id="twice"),
        pytest.param(
            [make_line(), make_line(conversation="x"), make_line(utterance="b")],
            "line 3: conversation 'lunch' goes on after another",
            id="torn apart",
        ),
        pytest.param(
            [make_line(conversation="x", utterance="b"), make_line(influences=[{"utterance": "b", "weight": 0.5}])],
            "line 2: influences name utterance 'b', which the conversation does not have",
            id="influence",
        ),
        pytest.param([make_line(edges=[EDGE, EDGE])], "line 1: edges name utterance 'a', twice", id="edge"),
        pytest.param([make_line(edges=[{**EDGE, "relation": "friend"}])], "edges.0.relation does not", id="relation"),
        pytest.param([make_line(edges=[{**EDGE, "weight": "0.5"}])], "edges.0.weight does not fit", id="edge weight"),
    ],
)
def test_a_bad_file_is_refused_with_one_sentence(
    lines: list[Any], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_lines(tmp_path / "lines.jsonl", lines)
    assert main(["view", str(file), "-o", str(tmp_path / "page.html")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {file}") and error.count("\n") == 1 and sentence in error
    assert list(tmp_path.iterdir()) == [file]


def test_places_that_cannot_be_read_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(file: Path, out: Path, *more: str) -> str:
        assert main(["view", str(file), "-o", str(out), *more]) == 2
        return capsys.readouterr().err

    page = tmp_path / "page.html"
    assert "cannot be read (No such file" in refuse(tmp_path / "none.jsonl", page)
    assert "cannot be read" in refuse(tmp_path, page)
    file = write_lines(tmp_path / "lines.jsonl", [make_line()])
    assert "cannot be written" in refuse(file, tmp_path / "none" / "page.html")
    page.write_text("mine")
    assert "--overwrite" in refuse(file, page) and page.read_text() == "mine"
    write_lines(file, [make_line(), "{"])
    refuse(file, page, "--overwrite")
    assert page.read_text() == "mine" and sorted(tmp_path.iterdir()) == [file, page]
    assert "should end in .html" in refuse(file, file, "--overwrite")  # Or the predictions would be lost.
    folder = tmp_path / "folder.html"
    folder.mkdir()
    assert "is a folder" in refuse(write_lines(file, [make_line()]), folder, "--overwrite")


def test_the_page_never_replaces_the_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_lines(tmp_path / "lunch.html", LUNCH)
    before = path.read_bytes()
    assert main(["view", str(path), "--out", str(path), "--overwrite"]) == 2
    assert "lunch.html is what is read, and would be destroyed" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_an_installed_package_has_the_parts_of_the_page() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    named = settings["options.package_data"]["macsgr_jax.viewer"].split()
    there = [
        path.name for path in (ROOT / "macsgr_jax" / "viewer").iterdir() if path.suffix in (".html", ".css", ".js")
    ]
    assert sorted(named) == sorted(there)
