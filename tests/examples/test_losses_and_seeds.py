"""The two short examples run, and do what they say."""

from pathlib import Path

import numpy as np
import pytest

from examples import reuse_losses, vmapped_seeds
from tests.testing.corpora import TINY, compile_quickly

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_reuse_losses(capsys: pytest.CaptureFixture[str]) -> None:
    """At each temperature the loss falls."""
    curves = np.asarray(reuse_losses.main())
    assert curves.shape == (3, reuse_losses.STEPS) and np.isfinite(curves).all()
    assert (curves[:, -1] < 0.6 * curves[:, 0]).all()
    assert capsys.readouterr().out.count("instance alignment") == 3


def test_vmapped_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    """Seeds train together, every epoch is logged, and training stops when nothing improves."""
    with compile_quickly():
        best = vmapped_seeds.main(dialogues=12, seeds=[0, 1], settings=["train.epochs=4", *TINY])
    assert best.shape == (2,) and (best >= 0).all() and (best <= 1).all()
    logged = capsys.readouterr().out.splitlines()
    assert logged[0].startswith("epoch 1: validation WAF1 ")
    assert len(logged) >= 4


def test_early_stop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without patience the first epoch that is not better ends the training."""
    monkeypatch.setattr(vmapped_seeds, "PATIENCE", 0)
    with compile_quickly():
        vmapped_seeds.main(dialogues=12, seeds=[0], settings=["train.epochs=4", *TINY])
    assert capsys.readouterr().out.splitlines()[-1] == "no better for 0 epochs: stop"


def test_length() -> None:
    """They are short enough to be read at once."""
    for path in (reuse_losses.__file__, vmapped_seeds.__file__):
        assert len(Path(path).read_text(encoding="utf-8").splitlines()) <= 45
