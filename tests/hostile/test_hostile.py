"""Nothing falls: hostile and broken inputs are accepted, or refused in one sentence, by every entry point."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testing.corpora import compile_quickly, write_corpus
from tests.testing.hostile import Bases, Case, Outcome, Worker, count_outcomes, judge, try_case
from tests.testing.hostile_cases import bases_options, list_cases

CASES = list_cases()
EVERY = 12  # One case in so many is tried without the slow part.


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """Made once."""
    return make_bases(tmp_path_factory.mktemp("bases"))


def make_bases(folder: Path) -> Bases:
    from macsgr_jax.cli.main import main

    corpus = write_corpus(folder)
    with compile_quickly():
        assert main(["train", "--corpus", str(corpus), "--out", str(folder / "run"), *bases_options()]) == 0
    return Bases(corpus, folder / "run")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as running:
        yield running


def describe(results: list[tuple[Case, Outcome]]) -> str:
    fallen = [f"{case.entry}, {case.name}: {outcome.reason}" for case, outcome in results if outcome.kind == "fell"]
    return f"{len(fallen)} of {len(results)} fell:\n" + "\n".join(fallen)


def test_a_part_of_the_cases(bases: Bases, worker: Worker, tmp_path: Path) -> None:
    results = [(case, try_case(case, bases, tmp_path / "case", worker)) for case in CASES[::EVERY]]
    assert all(outcome.kind != "fell" for _, outcome in results), describe(results)


@pytest.mark.slow
def test_all_cases(bases: Bases, worker: Worker, tmp_path: Path) -> None:
    assert len(CASES) >= 600
    results = [(case, try_case(case, bases, tmp_path / "case", worker)) for case in CASES]
    assert all(outcome.kind != "fell" for _, outcome in results), describe(results)
    assert [row[0] for row in count_outcomes(results)][-1] == "all"


def test_the_harness_sees_what_falls() -> None:
    case = Case("info", "anything", lambda folder, bases: [])
    good = {"code": 2, "out": "", "error": "error: it is so\n", "escaped": ""}
    assert judge(case, good, set(), set()).kind == "refused"
    assert judge(case, good | {"code": 0, "error": ""}, set(), set()).kind == "accepted"
    for changes in (
        {"escaped": "Traceback (most recent call last):\nValueError: x"},
        {"error": "Traceback (most recent call last):\nerror: x\n"},
        {"code": 1},
        {"error": "error: x\nmore\n"},
        {"error": "error: x\nerror: y\n"},
        {"error": "error: \x1b[2J\n"},
        {"error": ""},
    ):
        assert judge(case, good | changes, set(), set()).kind == "fell", changes
    assert judge(case, good, set(), {"left"}).kind == "fell"
    assert judge(case._replace(sentence="otherwise"), good, set(), set()).kind == "fell"
