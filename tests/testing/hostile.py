"""The harness of hostile inputs: cases, the process that runs them, and what each outcome counts as."""

import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).parents[2]
SECONDS = 60  # In which a case is done, however busy the machine is.
MAX_ERROR = 25_000  # Characters of a message.

Build = Callable[[Path, "Bases"], list[str]]


class Bases(NamedTuple):
    """Good inputs that cases damage; not to be changed.

    Attributes:
        corpus: a small corpus file.
        run: the folder of a finished run of it.
    """

    corpus: Path
    run: Path


class Case(NamedTuple):
    """One hostile or broken input.

    Attributes:
        entry: the entry point, such as "info" or "import pickle".
        name: what is wrong.
        build: makes the input in a folder, and returns the arguments of `macsgr`.
        sentence: a pattern that the sentence holds where the input has to be refused; None where either will do.
        accepted: whether the input has to be accepted.
    """

    entry: str
    name: str
    build: Build
    sentence: str | None = None
    accepted: bool = False


class Outcome(NamedTuple):
    """What became of a case: accepted, refused or fell, and why it fell."""

    kind: str
    reason: str


class Worker:
    """The process that runs the commands; it is started again after a case that ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def run(self, arguments: list[str], folder: Path) -> dict[str, Any] | str:
        """Runs a command; returns the answer of the worker, or why there is none."""
        if self._process is None:
            environment = {**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache")}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.testing.hostile_worker"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        assert self._process.stdin and self._process.stdout
        print(json.dumps({"arguments": arguments, "folder": str(folder)}), file=self._process.stdin, flush=True)
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.poll()
        self._end()
        return f"it took more than {SECONDS} s" if not ready else f"the process ended with {code}"

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # Waits, and closes both ends.
            self._process = None


def try_case(case: Case, bases: Bases, folder: Path, worker: Worker) -> Outcome:
    """Builds a case in an empty folder, runs it, and removes the folder."""
    folder.mkdir()
    try:
        arguments = case.build(folder, bases)
        before = list_files(folder)
        answer = worker.run(arguments, folder)
        return Outcome("fell", answer) if isinstance(answer, str) else judge(case, answer, before, list_files(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def list_files(folder: Path) -> set[str]:
    """Returns the paths in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def judge(case: Case, answer: dict[str, Any], before: set[str], after: set[str]) -> Outcome:
    """Returns what an answer counts as."""
    printed = answer["out"] + answer["error"]
    lines = [line for line in answer["error"].split("\n") if line]
    errors = [line for line in lines if line.startswith("error: ")]
    if answer["escaped"]:
        return Outcome("fell", answer["escaped"].strip().splitlines()[-1])
    if "Traceback (most recent call last)" in printed:
        return Outcome("fell", "it prints a traceback")
    if answer["code"] not in (0, 2):
        return Outcome("fell", f"its exit code is {answer['code']}")
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", printed):
        return Outcome("fell", "it prints control characters")
    temporaries = [name for name in after - before if re.search(r"(^|/)\..+-\w{8}(\.\w+)?$", name)]
    if temporaries:
        return Outcome("fell", f"it leaves {temporaries[0]}")
    if answer["code"] == 0:
        return Outcome("fell", "it was accepted") if case.sentence else Outcome("accepted", "")
    if len(errors) != 1 or lines[-1] != errors[0]:
        return Outcome("fell", f"it does not end with one line of an error: {answer['error'][-200:]!r}")
    if len(errors[0]) > MAX_ERROR:
        return Outcome("fell", f"its error has {len(errors[0])} characters")
    if after - before:
        return Outcome("fell", f"it leaves {min(after - before)}")
    if case.accepted or (case.sentence and not re.search(case.sentence, errors[0])):
        return Outcome("fell", f"it says {errors[0][:300]}")
    return Outcome("refused", "")


def count_outcomes(results: list[tuple[Case, Outcome]]) -> Iterator[list[str]]:
    """Yields the rows of the table of docs/reliability.md, by entry point, and their sums."""
    entries = list(dict.fromkeys(case.entry for case, _ in results))
    for entry in [*entries, "all"]:
        kinds = [outcome.kind for case, outcome in results if entry in (case.entry, "all")]
        yield [entry, str(len(kinds)), *(str(kinds.count(kind)) for kind in ("refused", "accepted", "fell"))]
