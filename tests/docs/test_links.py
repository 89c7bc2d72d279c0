"""Links and paths of the README and the documentation lead somewhere inside the repository."""

import re
from pathlib import Path

import pytest
import yaml

from docs.site_hooks import list_adopted, on_page_markdown
from tests.docs.blocks import PAGES, README, ROOT, find_anchors, find_links, read_page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """Every relative link leads to a file of the repository, and every anchor to a heading of it."""
    for target in find_links(page):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.is_relative_to(ROOT) and path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in find_anchors(path), f"{page.name}: {target}"


def test_no_path_outside() -> None:
    """Pages and results name the corpora as CORPORA/meld.npz, not by a path of the machine that they were on."""
    for path in [*PAGES, *(ROOT / "results").glob("*.json"), *(ROOT / "results").glob("*.md")]:
        assert "../shared" not in path.read_text(encoding="utf-8"), path.name


def test_readme_reaches_every_page() -> None:
    """The README, or a page that it links, links every page of docs/."""
    near = {(README.parent / target.split("#")[0]).resolve() for target in find_links(README)}
    reached = set(near)
    for page in near:
        if page.suffix == ".md":
            reached |= {
                (page.parent / target.split("#")[0]).resolve() for target in find_links(page) if target[0] != "#"
            }
    assert {page for page in PAGES if page.parent == ROOT / "docs" and page.name != "index.md"} <= reached


def test_site_has_every_page() -> None:
    """The navigation of the site has every page of docs/ and every adopted page."""
    # mkdocs.yml may hold tags that only mkdocs knows; the navigation has none.
    navigation = yaml.safe_load(re.split(r"^nav:\n", read_page(ROOT / "mkdocs.yml"), flags=re.MULTILINE)[1])
    shown = set()
    for section in navigation:
        (entries,) = section.values()
        for entry in [{"": entries}] if isinstance(entries, str) else entries:
            shown |= set(entry.values())
    assert {page.name for page in PAGES if page.parent == ROOT / "docs"} <= shown
    assert {name for name in shown if "/" in name or name.isupper()} <= {
        "CHANGELOG.md",
        "results/README.md",
        "experiments/README.md",
    }


def test_adopted_links() -> None:
    """On the site, links to adopted files stay inside it."""

    class File:
        src_uri = "sweeps.md"

    class Page:
        file = File()

    assert "CHANGELOG.md" in list_adopted()
    assert on_page_markdown("[a](../CHANGELOG.md#x) [b](corpus.md)", Page()) == "[a](CHANGELOG.md#x) [b](corpus.md)"
    File.src_uri = "CHANGELOG.md"
    assert on_page_markdown("[a](docs/sweeps.md)", Page()) == "[a](docs/sweeps.md)"
