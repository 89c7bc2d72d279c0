"""The local page in a real browser: files that are chosen or dropped become the page of their predictions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.conftest import Client

from tests.testing.browser import open_browser  # isort: skip (skips this file where there is no browser)

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

TABLE = "speaker,text,label\nAnn,nobody came,sad\nBob,rain,glad\n"
DROP = """
const files = new DataTransfer();
files.items.add(new File([arguments[1]], arguments[0]));
document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}));
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with open_browser(tmp_path_factory.mktemp("browser"), "browser") as browser:
        yield browser


@pytest.fixture
def browser(running: webdriver.Chrome, client: Client) -> Iterator[webdriver.Chrome]:
    """The page as it opens; the console stays empty."""
    running.get(f"http://127.0.0.1:{client.port}/")
    yield running
    problems = [entry for entry in running.get_log("browser") if "/favicon.ico" not in entry["message"]]
    assert problems == []


def find(browser: webdriver.Chrome, selector: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, selector)


def send(browser: webdriver.Chrome) -> list[str]:
    """Presses the button, waits for the page of the predictions, and returns what is said on it."""
    find(browser, "#send").click()
    WebDriverWait(browser, 30).until(lambda one: "predicted emotions" in one.title)
    return [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#turns .words")]


def test_a_file_that_is_chosen(browser: webdriver.Chrome, client: Client, tmp_path: Path) -> None:
    (tmp_path / "talk.csv").write_text(TABLE, encoding="utf-8")
    find(browser, "#transcript").send_keys(str(tmp_path / "talk.csv"))
    assert send(browser) == ["nobody came", "rain"]
    assert find(browser, "h1").text == "talk" and "Against the labels: WAF1" in find(browser, "#score-line").text
    assert list(client.temporary.iterdir()) == []


def test_files_that_are_dropped(browser: webdriver.Chrome) -> None:
    browser.execute_script(DROP, "notes.exe", "x")
    assert find(browser, "#state").text == "notes.exe is neither a transcript nor a recording."
    browser.execute_script(DROP, "talk.csv", TABLE)
    assert find(browser, "#state").text == ""
    assert send(browser) == ["nobody came", "rain"]


def test_text_that_is_pasted(browser: webdriver.Chrome) -> None:
    find(browser, "#send").click()
    assert find(browser, "#state").text == "Drop or choose a transcript first, or paste one."
    find(browser, "#text").send_keys("Ann: nobody came\nBob: <b>rain</b>\n")
    assert send(browser) == ["nobody came", "<b>rain</b>"]


def test_a_refusal_is_a_sentence(browser: webdriver.Chrome, tmp_path: Path) -> None:
    (tmp_path / "talk.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    find(browser, "#transcript").send_keys(str(tmp_path / "talk.csv"))
    find(browser, "#send").click()
    WebDriverWait(browser, 30).until(lambda one: one.title == "Not predicted")
    assert find(browser, "#error").text.startswith("talk.csv: no column holds text")
    browser.get_log("browser")  # The browser notes that the answer is a refusal.
