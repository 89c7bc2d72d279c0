"""Hooks of the documentation site: pages and examples that stand outside docs/ become part of it.

In the repository, a page of docs/ links `../results/README.md`, so that the link works on a forge. The site has the
same file under the same path below its root, so the hook drops the `../` of links to files that it has adopted.
"""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Files of the repository that the site shows, by their paths from its root.
ADOPTED = (
    "CHANGELOG.md",
    "results/README.md",
    "results/*.json",
    "results/*.png",
    "experiments/README.md",
    "examples/*.py",
    "requirements*.txt",
)
LINK = re.compile(r"(\]\()\.\./([^)#\s]+)")


def list_adopted() -> list[str]:
    """Lists the adopted files by their paths from the root of the repository."""
    return sorted({path.relative_to(ROOT).as_posix() for pattern in ADOPTED for path in ROOT.glob(pattern)})


def on_files(files: Any, config: Any) -> Any:
    """Adds the adopted files to the site."""
    from mkdocs.structure.files import File

    for name in list_adopted():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrites links that leave docs/ so that they lead to the adopted files."""
    adopted = set(list_adopted())
    if page.file.src_uri in adopted:  # Such a page stands as deep in the site as in the repository.
        return re.sub(r"(\]\()\.\./docs/", r"\1../", markdown)
    return LINK.sub(lambda found: found[1] + found[2] if found[2] in adopted else found[0], markdown)
