"""Reads the Markdown pages of the repository: fenced blocks, commands, links and headings."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [
    README,
    *sorted((ROOT / "docs").glob("*.md")),
    *(
        path
        for name in ("CHANGELOG.md", "results/README.md", "experiments/README.md")
        if (path := ROOT / name).is_file()
    ),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
SEPARATORS = ("|", "&&", ";")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        place: page and line, such as README.md:12.
        language: the word after the backquotes.
        code: the lines between them.
    """

    place: str
    language: str
    code: str


def read_page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def find_blocks(path: Path, language: str = "") -> list[Block]:
    """Returns the fenced blocks of a page, all of them or those of one language."""
    text = read_page(path)
    found = [
        Block(f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}", match[1], match[2])
        for match in FENCE.finditer(text)
    ]
    return [block for block in found if language in ("", block.language)]


def find_inline(path: Path) -> list[str]:
    """Returns the inline code of a page, outside its fenced blocks."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCE.sub("", read_page(path)))


def split_commands(code: str) -> list[list[str]]:
    """Splits lines of a shell into commands; one that is an argument of another, as for ssh, is taken out of it."""
    commands: list[list[str]] = []
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        inner = [word for word in words if " && " in word]
        if inner:
            for word in inner:
                commands += split_commands(word.replace("\\", " "))
            continue
        current: list[str] = []
        for word in words:
            if word in SEPARATORS:
                commands.append(current)
                current = []
            else:
                current.append(word)
        commands.append(current)
    return [command for command in commands if command]


def find_links(path: Path) -> list[str]:
    """Returns the targets of the links and images of a page that lead to no other site."""
    text = FENCE.sub("", read_page(path))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


def find_anchors(path: Path) -> set[str]:
    """Returns the anchors of the headings of a page, as forges and the site make them."""
    headings = re.findall(r"^#{1,6} +(.+)$", FENCE.sub("", read_page(path)), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
