"""The command `macsgr` hands its arguments to the scripts."""

import importlib.util
import runpy
import sys

import pytest

from macsgr_jax.cli import main as macsgr


def test_every_command_is_a_script_and_gets_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    for command, (script, _) in macsgr.COMMANDS.items():
        assert importlib.util.find_spec(f"macsgr_jax.cli.{script}") is not None
        ran: list[tuple[str, str, list[str]]] = []
        monkeypatch.setattr(sys, "argv", ["macsgr", command, "a", "--b"])
        monkeypatch.setattr(
            runpy, "run_module", lambda name, run_name, ran=ran: ran.append((name, run_name, sys.argv[1:]))
        )
        macsgr.main()
        assert ran == [(f"macsgr_jax.cli.{script}", "__main__", ["a", "--b"])]


def test_help_and_unknown_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["macsgr"])
    macsgr.main()
    printed = capsys.readouterr().out
    assert all(f"\n  {command} " in printed for command in macsgr.COMMANDS)
    monkeypatch.setattr(sys, "argv", ["macsgr", "predcit"])
    with pytest.raises(SystemExit) as stop:
        macsgr.main()
    assert stop.value.code == 2
    assert "macsgr has no command 'predcit': there are import, train" in capsys.readouterr().err
