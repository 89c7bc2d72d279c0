"""Tries all cases, and prints their totals: `python -m tests.hostile`; `--write` puts them into docs/reliability.md.

python -m tests.hostile [ENTRY POINT ...] [--write] [--slow SECONDS]
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.hostile.test_hostile import describe, make_bases
from tests.testing.hostile import ROOT, Case, Outcome, Worker, count_outcomes, try_case
from tests.testing.hostile_cases import list_cases

PAGE = ROOT / "docs" / "reliability.md"
TABLE = re.compile(r"(<!-- totals -->\n).*?(<!-- end of the totals -->)", re.DOTALL)
HEAD = ["entry point", "tried", "refused", "accepted", "fell"]


def main() -> int:
    """Runs the cases; returns 1 where one fell."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("entries", nargs="*", metavar="ENTRY POINT", help="by default all")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    parser.add_argument("--slow", type=float, default=10, metavar="SECONDS", help="name cases that take longer")
    given = parser.parse_args()
    if given.write and given.entries:
        parser.error("--write is for all entry points together")
    results = try_cases([case for case in list_cases() if not given.entries or case.entry in given.entries], given.slow)
    rows = [HEAD, ["---"] * len(HEAD), *count_outcomes(results)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    print(table)
    print(describe(results))
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(TABLE.sub(lambda match: f"{match[1]}{table}\n{match[2]}", page), encoding="utf-8")
    return int(any(outcome.kind == "fell" for _, outcome in results))


def try_cases(cases: list[Case], slow: float) -> list[tuple[Case, Outcome]]:
    """Runs cases one after the other; prints those that fall or are slow, and the seconds of each entry point."""
    results: list[tuple[Case, Outcome]] = []
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, Worker() as worker:
        bases = make_bases(Path(folder))
        for case in cases:
            start = time.monotonic()
            outcome = try_case(case, bases, Path(folder) / "case", worker)
            took = time.monotonic() - start
            seconds[case.entry] = seconds.get(case.entry, 0) + took
            if outcome.kind == "fell" or took > slow:
                print(f"{case.entry}, {case.name}: {outcome.kind} {outcome.reason} ({took:.1f} s)", flush=True)
            results.append((case, outcome))
    print(", ".join(f"{entry} {total:.0f} s" for entry, total in seconds.items()))
    return results


if __name__ == "__main__":
    sys.exit(main())
