"""A headless Chromium for the tests of pages; a test file that imports this is skipped where there is none."""

# ruff: noqa: E402 (selenium is optional)

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="pip install selenium shows the page to a browser")
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
if CHROMIUM is None or DRIVER is None:
    pytest.skip("chromium or chromedriver is not installed", allow_module_level=True)

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)


@contextmanager
def open_browser(profile: Path, *logs: str) -> Iterator[webdriver.Chrome]:
    """Open a browser with a profile of its own, whose first page has ended; it keeps these logs, such as browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
    browser = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        browser.get("about:blank")  # Ends what Chromium's own first page loads.
        yield browser
    finally:
        browser.quit()
