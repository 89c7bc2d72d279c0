"""The two short examples run, and do what they say."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

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
    """Training stops when PATIENCE epochs were no better than the best, and returns the scores of the best."""

    def train_runs(*_: object) -> Iterator[SimpleNamespace]:
        for number, score in enumerate((0.2, 0.5, 0.3, 0.5, 0.4, 0.9), 1):
            scores = {"waf1": np.array([score, score + 0.1])}
            yield SimpleNamespace(number=number, report=SimpleNamespace(validation=scores))

    monkeypatch.setattr(vmapped_seeds, "train_runs", train_runs)
    np.testing.assert_allclose(vmapped_seeds.main(dialogues=12, seeds=[0, 1]), [0.5, 0.6])
    logged = capsys.readouterr().out.splitlines()
    assert len(logged) == 6 and logged[-1] == "no better for 3 epochs: stop"


def test_length() -> None:
    """They are short enough to be read at once."""
    for path in (reuse_losses.__file__, vmapped_seeds.__file__):
        assert len(Path(path).read_text(encoding="utf-8").splitlines()) <= 45
