"""The README: short, in order, complete. tests/docs/ checks its commands, code and links."""

import re

import yaml

import macsgr_jax
from macsgr_jax import losses
from tests.docs.blocks import README, ROOT, find_blocks, read_page

TEXT = read_page(README)


def test_length() -> None:
    """A stranger finishes it."""
    assert len(TEXT.splitlines()) <= 170


def test_first_commands() -> None:
    """It begins with the two commands."""
    first = find_blocks(README)[0]
    assert [line.split("#")[0].strip() for line in first.code.splitlines()] == ["make train", "make test"]


def test_order() -> None:
    """The sections stand in the order in which a stranger asks."""
    assert re.findall(r"^## (.+)$", TEXT, flags=re.MULTILINE) == [
        "Install",
        "Thirty seconds of use",
        "Does it work",
        "Your own conversation",
        "Many runs at once",
        "Reuse the losses",
        "Bring a corpus",
        "Reproduce the paper",
        "Cite",
    ]


def test_losses() -> None:
    """Every public loss is listed with its equations."""
    listed = set(re.findall(r"`losses\.([a-z_]+)\(", TEXT))
    assert listed == {name for name in losses.__all__ if name not in ("TERMS", "dense_instance_alignment")}


def test_headline() -> None:
    """One table of results, between the markers of `python -m experiments.report`, with one row per corpus."""
    begin, end = "<!-- headline: begin -->", "<!-- headline: end -->"
    assert TEXT.count(begin) == TEXT.count(end) == 1
    rows = TEXT.split(begin)[1].split(end)[0].strip().splitlines()
    assert len(rows) == 6 and all(row.count("|") == rows[0].count("|") for row in rows)


def test_bibtex() -> None:
    """The BibTeX entries are those of CITATION.cff."""
    (block,) = find_blocks(README, "bibtex")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = citation["preferred-citation"]
    fields = dict(re.findall(r"^  (\w+) +=\s*\{(.*)\},?$", block.code.split("@software")[0], flags=re.MULTILINE))
    assert fields["title"] == paper["title"] and fields["journal"] == paper["journal"] and fields["doi"] == paper["doi"]
    authors = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
    assert fields["author"].split(" and ") == authors and fields["year"] == str(paper["year"])
    assert f"version = {{{macsgr_jax.__version__}}}" in block.code
