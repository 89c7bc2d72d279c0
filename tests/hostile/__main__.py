"""Tries all cases and writes their totals into docs/reliability.md: `python -m tests.hostile`, some minutes."""

import re
import sys
import tempfile
from pathlib import Path

from tests.hostile.test_hostile import describe, make_bases
from tests.testing.hostile import ROOT, Worker, count_outcomes, try_case
from tests.testing.hostile_cases import list_cases

PAGE = ROOT / "docs" / "reliability.md"
TABLE = re.compile(r"(<!-- totals -->\n).*?(<!-- end of the totals -->)", re.DOTALL)
HEAD = ["entry point", "tried", "refused", "accepted", "fell"]


def main(only: str = "") -> int:
    """Runs the cases, those of one entry point where it is named; returns 1 where one fell."""
    with tempfile.TemporaryDirectory() as folder, Worker() as worker:
        bases = make_bases(Path(folder))
        cases = [case for case in list_cases() if only in ("", case.entry)]
        results = [(case, try_case(case, bases, Path(folder) / "case", worker)) for case in cases]
    rows = [HEAD, ["---"] * len(HEAD), *count_outcomes(results)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    print(table)
    print(describe(results))
    if not only:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(TABLE.sub(lambda match: f"{match[1]}{table}\n{match[2]}", page), encoding="utf-8")
    return int(any(outcome.kind == "fell" for _, outcome in results))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
