"""The command that makes all results: which scripts it runs, in which order, and where it stops."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments import all as everything
from experiments.all import STEPS, All, choose_steps, describe_minutes, run_steps
from experiments.figures import FIGURES
from experiments.protocol import PARTS as PROTOCOL
from experiments.robustness import PARTS as ROBUSTNESS
from experiments.tables import TABLES
from macsgr_jax.errors import InputError


def test_every_table_and_figure_is_a_step() -> None:
    names = [step.arguments for step in STEPS]
    wanted = [
        *(("tables", "--table", str(number)) for number in TABLES),
        *(("figures", "--figure", str(number)) for number in FIGURES),
        *(("protocol", "--part", part) for part in PROTOCOL),
        *(("robustness", "--part", part) for part in ROBUSTNESS),
        *((name,) for name in ("baselines", "ensemble", "ambiguities")),
    ]
    assert sorted(names) == sorted(wanted)


def test_steps_are_chosen_by_their_beginnings() -> None:
    assert [step.arguments[-1] for step in choose_steps("tables, figures --figure 5")] == ["1", "2", "3", "4", "5", "5"]
    assert choose_steps("") == list(STEPS)
    with pytest.raises(InputError, match=r"--only nothing: there is no such step; choose from tables --table 1, "):
        choose_steps("nothing")


def test_a_step_that_fails_stops_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[Sequence[str]] = []

    def run(arguments: Sequence[str]) -> int:
        ran.append(arguments)
        return 143 if arguments[0] == "baselines" else 0

    assert run_steps(choose_steps("tables --table 1,baselines,ensemble"), ["--seeds", "5"], 0.5, run) == 143
    assert ran == [["tables", "--table", "1", "--seeds", "5"], ["baselines", "--seeds", "5"]]
    printed = capsys.readouterr().out
    assert "step 1 of 3: tables --table 1 (at most 41 min for 3 steps)" in printed
    assert "baselines ended with exit code 143: the same command resumes" in printed


def test_the_estimate_shrinks_where_networks_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 0.0, 60.0])
    assert run_steps(choose_steps("tables --table 1,tables --table 2"), [], 1.0, lambda _: 0, lambda: next(times)) == 0
    assert "step 2 of 2: tables --table 2 (at most 1 min for 1 step)" in capsys.readouterr().out


def test_options_reach_the_scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(everything, "run_module", lambda arguments: ran.append(list(arguments)) or 0)
    everything.main(All(tmp_path, Path("R"), Path("out"), seeds=3, quick=True, only="ensemble"))
    options = ["--corpora", str(tmp_path), "--runs", "R", "--results", "out", "--seeds", "3", "--quick"]
    assert ran == [["ensemble", *options], ["report", "--results", "out"]]


def test_describe_minutes() -> None:
    assert [describe_minutes(minutes) for minutes in (0.2, 12.4, 90)] == ["1 min", "12 min", "1.5 h"]
