"""The page of predictions in a real browser: what it shows, how it answers, and what it never does."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macsgr_jax.cli.main import main

from tests.testing.browser import open_browser  # isort: skip (skips this file where there is no browser)

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

WORDS = (
    "Is it on?",
    "It was.",
    "Then look again, please.",
    "I did!",
    "And?",
    "Nothing at all.",
    "Give it to me.",
    "No.",
)
EMOTIONS = ("neutral", "angry", "constructor")  # The last one is also a name inside JavaScript.
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script><b id=hacked>bold</b>"
LONG = 4000


def make_talk() -> list[dict[str, Any]]:
    """Eight turns of three speakers: known probabilities, edges to three turns before and three after, and itself."""
    lines = []
    for place, words in enumerate(WORDS):
        shares = [0.1 + 0.02 * place, 0.611 - 0.03 * place]
        edges = [
            {"utterance": f"u{other}", "relation": relate(place, other), "weight": 0.9 - 0.1 * abs(place - other)}
            for other in range(max(place - 3, 0), min(place + 4, len(WORDS)))
        ]
        lines.append(
            {
                "conversation": "The lamp",
                "utterance": f"u{place}",
                "speaker": ("Ann", "Ben", "Cleo")[place % 3],
                "text": words,
                "start": 2.5 * place,
                "end": 2.5 * place + 2,
                "emotion": "angry",
                "probabilities": dict(zip(EMOTIONS, [*shares, 1 - sum(shares)], strict=True)),
                "weights": {"audio": 0.25, "text": 0.75},
                "available": {"audio": place != 3, "text": True},
                "uncertainty": 0.1 * place,
                "influences": [{"utterance": f"u{len(WORDS) - 1 - place}", "weight": 0.31}],
                "edges": edges,
                "label": "neutral" if place == 2 else "angry",
            }
        )
    return lines


def relate(place: int, other: int) -> str:
    return f"{'same' if place % 3 == other % 3 else 'other'} speaker, {'past' if other <= place else 'future'}"


def make_hostile(line: dict[str, Any]) -> dict[str, Any]:
    names = {"conversation": HOSTILE, "speaker": HOSTILE, "text": HOSTILE * 3, "utterance": HOSTILE}
    modalities = {"weights": {HOSTILE: 1.0}, "available": {HOSTILE: True}}
    links = {"influences": [], "edges": [{"utterance": HOSTILE, "relation": "same speaker, past", "weight": 1.0}]}
    return {**line, **names, **modalities, **links}


def make_long(line: dict[str, Any], place: int) -> dict[str, Any]:
    links = [{"utterance": f"u{other}", "weight": 0.1} for other in range(max(place - 10, 0), place)]
    return {**line, "conversation": "long", "utterance": f"u{place}", "start": None, "influences": links, "edges": []}


TALK = make_talk()
LINES = [*TALK, make_hostile(TALK[0]), *(make_long(TALK[place % 8], place) for place in range(LONG))]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("page")
    (folder / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    assert main(["view", str(folder / "lines.jsonl"), "-o", str(folder / "page.html")]) == 0
    return (folder / "page.html").as_uri()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with open_browser(tmp_path_factory.mktemp("browser"), "browser", "performance") as browser:
        yield browser


@pytest.fixture
def browser(running: webdriver.Chrome, address: str) -> Iterator[webdriver.Chrome]:
    """The page as it opens; whatever a test does there, the console stays empty and nothing is fetched."""
    resize(running, 1280, 900)
    running.get_log("performance")
    running.get(address)
    WebDriverWait(running, 30).until(lambda one: one.title != "Predicted emotions")  # Until its script has run.
    yield running
    assert running.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in running.get_log("performance")]
    requests = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert set(requests) == {address}


def resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def find(browser: webdriver.Chrome, selector: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, selector)


def read(browser: webdriver.Chrome, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    texts: list[str] = browser.execute_script(script, selector)
    return texts


def read_selection(browser: webdriver.Chrome) -> int:
    """The selected turn, counted from 1; the list, the curve and the panel agree on it."""
    (number,) = read(browser, "[role=option][aria-selected=true] .number")
    option = browser.execute_script("return document.querySelector('[role=option][aria-selected=true]').id")
    assert find(browser, "#turns").get_attribute("aria-activedescendant") == option
    assert find(browser, "#curve").get_attribute("aria-valuenow") == number
    assert read(browser, "#summary .where")[0].startswith(f"Utterance {number} of ")
    return int(number)


def read_links(browser: webdriver.Chrome, kind: str) -> list[tuple[str, float, bool]]:
    """The arcs as (utterance, weight, dashed)."""
    arcs = browser.find_elements(By.CSS_SELECTOR, f"#{kind} path.arc")
    return [
        (
            f"u{int(arc.get_attribute('data-place')) - 1}",
            float(arc.get_attribute("data-weight")),
            arc.get_attribute("class") == "arc dashed",
        )
        for arc in arcs
    ]


def test_the_turns_are_shown(browser: webdriver.Chrome) -> None:
    assert browser.title == "The lamp: predicted emotions" and read(browser, "h1") == ["The lamp"]
    assert read(browser, "#facts") == ["8 utterances · 3 speakers · 0:19 long · 7 of 8 as labelled"]
    assert read(browser, "#turns .words") == list(WORDS)
    assert read(browser, "#turns .meta b") == [line["speaker"] for line in TALK]
    assert read(browser, "#turns .time")[:2] == ["0:00\u20130:02", "0:02\u20130:04"]
    assert read(browser, "#turns .emotion") == [f"angry {100 * line['probabilities']['angry']:.0f} %" for line in TALK]
    assert read(browser, "#turns .wrong") == ["✗ labelled neutral"]
    assert len(read(browser, "#turns .right")) == 7
    assert read(browser, "#legend li") == ["neutral 0", "angry 8", "constructor 0"]
    colours = "return [...document.querySelectorAll('#legend i')].map((one) => getComputedStyle(one).backgroundColor)"
    assert browser.execute_script(colours) == ["rgb(153, 153, 153)", "rgb(213, 94, 0)", "rgb(230, 159, 0)"]


def test_the_scores_are_shown(browser: webdriver.Chrome) -> None:
    """Accuracy and WAF1 of the labelled utterances, and the confusion, one row per emotion that is a label."""
    assert read(browser, "#score-line") == ["Against the labels: WAF1 82 %, accuracy 88 %"]
    assert not find(browser, "#confusion").is_displayed()
    find(browser, "#score-line").click()
    assert find(browser, "#confusion").is_displayed()
    assert read(browser, "#confusion tbody th") == ["neutral", "angry"]
    assert read(browser, "#confusion td") == ["0", "1", "0", "0", "7", "0"]


def test_keys_move_the_selection_in_the_list_and_on_the_curve(browser: webdriver.Chrome) -> None:
    assert read_selection(browser) == 1
    for selector, key, expected in [
        ("#turns", Keys.ARROW_DOWN, 2),
        ("#turns", Keys.ARROW_RIGHT, 3),
        ("#turns", Keys.ARROW_UP, 2),
        ("#turns", Keys.END, 8),
        ("#turns", Keys.ARROW_DOWN, 8),
        ("#turns", Keys.PAGE_UP, 1),
        ("#turns", Keys.PAGE_DOWN, 8),
        ("#turns", Keys.HOME, 1),
        ("#turns", Keys.ARROW_LEFT, 1),
        ("#curve", Keys.ARROW_RIGHT, 2),
        ("#curve", Keys.ARROW_UP, 3),  # On a slider up is more.
        ("#curve", Keys.ARROW_DOWN, 2),
        ("#curve", Keys.END, 8),
    ]:
        find(browser, selector).send_keys(key)
        assert read_selection(browser) == expected
    text = find(browser, "#curve").get_attribute("aria-valuetext")
    assert text == "Utterance 8 of 8, Ben: angry, 40 %"


def test_the_selection_is_seen(browser: webdriver.Chrome) -> None:
    find(browser, "#turns").send_keys(Keys.END)
    inside = "const box = document.getElementById('turn-7').getBoundingClientRect(); return [box.top, box.bottom]"
    top, bottom = browser.execute_script(inside)
    assert 0 <= top < bottom <= 900
    outline = "return getComputedStyle(document.querySelector('#turn-7 .bubble')).outlineStyle"
    assert browser.execute_script(outline) == "solid"


def test_a_click_selects_a_turn_a_column_of_the_curve_or_a_neighbour(browser: webdriver.Chrome) -> None:
    browser.execute_script("document.getElementById('turn-2').click()")
    assert read_selection(browser) == 3
    curve = find(browser, "#curve")
    left, right = 48, 8  # Margins of page.js.
    step = (curve.size["width"] - left - right) / 8
    from_middle = left + 5.5 * step - curve.size["width"] / 2
    ActionChains(browser).move_to_element_with_offset(curve, int(from_middle), 0).click().perform()
    assert read_selection(browser) == 6
    browser.execute_script("document.querySelector('#edges button').click()")
    assert read_selection(browser) == 3
    assert browser.execute_script("return document.activeElement.className") == "link own"


def test_numbers_and_links_are_those_of_the_file(browser: webdriver.Chrome) -> None:
    turns = find(browser, "#turns")
    for place, line in enumerate(TALK):
        names, values = (read(browser, f"#detail .bars {part}") for part in (".name", ".value"))
        shares = [f"{100 * share:.1f} %" for share in line["probabilities"].values()]
        weights = ["missing" if place == 3 else "25.0 %", "75.0 %"]
        doubt = "low" if place < 4 else "moderate" if place < 7 else "high"
        assert names == [*EMOTIONS, "audio", "text", doubt]
        assert values == [*shares, *weights, f"{line['uncertainty']:.2f}"]
        edges = [(edge["utterance"], edge["weight"], edge["relation"].startswith("other")) for edge in line["edges"]]
        assert read_links(browser, "edges") == edges
        assert read_links(browser, "influences") == [(f"u{7 - place}", 0.31, False)]
        notes = read(browser, "#edges .note")
        assert [note.split(" · ")[0] for note in notes] == [edge["relation"] for edge in line["edges"]]
        assert read(browser, "#edges .value") == [f"{edge['weight']:.2f}" for edge in line["edges"]]
        assert len(browser.find_elements(By.CSS_SELECTOR, "#edges circle")) == len(edges)
        turns.send_keys(Keys.ARROW_DOWN)


def test_hostile_words_make_no_element(browser: webdriver.Chrome) -> None:
    tags = "return [...new Set([...document.querySelectorAll('body *')].map((one) => one.localName))].sort()"
    before = browser.execute_script(tags)
    Select(find(browser, "#conversations")).select_by_index(1)
    assert read(browser, "h1") == [HOSTILE] and read(browser, "#turns .words") == [HOSTILE * 3]
    assert read(browser, "#turns .meta b") == [HOSTILE] and HOSTILE in read(browser, "#detail .name")
    assert set(browser.execute_script(tags)) <= set(before)
    assert browser.find_elements(By.CSS_SELECTOR, "img, #hacked, script:not([id]) ~ script") == []
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 2


@pytest.mark.parametrize("width", [360, 390, 700, 1280])
def test_nothing_is_wider_than_the_screen(width: int, browser: webdriver.Chrome) -> None:
    resize(browser, width, 800)
    for place in range(3):
        Select(find(browser, "#conversations")).select_by_index(place)
        widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        scrolled, shown = browser.execute_script(widths)
        assert scrolled <= shown <= width


def test_a_phone_shows_the_detail_when_asked(browser: webdriver.Chrome) -> None:
    resize(browser, 390, 844)
    detail, more = find(browser, "#detail"), find(browser, "#more")
    assert not detail.is_displayed() and more.get_attribute("aria-expanded") == "false"
    more.click()
    assert detail.is_displayed() and more.get_attribute("aria-expanded") == "true" and more.text == "Close"
    more.click()
    assert not detail.is_displayed()


def test_thousands_of_turns_are_shown_soon(browser: webdriver.Chrome) -> None:
    start = time.monotonic()
    Select(find(browser, "#conversations")).select_by_index(2)
    find(browser, "#turns").send_keys(Keys.END)
    assert read_selection(browser) == LONG
    assert time.monotonic() - start < 15  # Half a second on two CPU cores; this only tells linear from quadratic.
    assert len(browser.find_elements(By.CSS_SELECTOR, "[role=option]")) == LONG
    assert [name for name, _, _ in read_links(browser, "influences")] == [f"u{place}" for place in range(3989, 3999)]
    assert read(browser, "#edges") == [] and "None." in read(browser, "#detail .hint")


def test_without_a_script_the_page_says_so(running: webdriver.Chrome, address: str) -> None:
    running.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        running.get(address)
        assert "JavaScript, which is switched off here" in find(running, "body").text
    finally:
        running.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
