"""What the README says can be done, can be done."""

import re
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax import losses, save_corpus
from macsgr_jax.config import Config
from macsgr_jax.data import synthetic
from macsgr_jax.overrides import setting_names
from tests.inference.test_export import LOADING
from tests.testing.corpora import compile_quickly

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_ten_lines_of_library_use_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _ = PYTHON
    corpus = synthetic.generate(12)
    save_corpus(corpus, tmp_path / "my_corpus.npz")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    with compile_quickly():
        exec(code, names)
    expected = names["terms"]["classification"] + 0.6 * (
        0.4 * names["terms"]["instance"] + 0.4 * names["terms"]["prototype"] + 0.3 * names["terms"]["latent"]
    )
    np.testing.assert_allclose(names["loss"], expected, rtol=1e-5)
    assert names["output"].logits.shape[-1] == corpus.num_classes


def test_the_lines_that_load_an_export_are_those_that_are_tested() -> None:
    """`tests/test_export.py` runs them in a process without this package."""
    assert PYTHON[1].strip() == LOADING.strip()


def test_every_setting_that_is_named_exists() -> None:
    known = {name for name, _, _ in setting_names(Config())}
    found = set(re.findall(r"`(?:--set )?((?:data|model|loss|train)\.[a-z_]+)(?:=[^`]*)?`", README))
    named = found - {"train.py", "model.json"}
    assert len(named) > 15
    assert named <= known


def test_every_loss_is_listed() -> None:
    listed = set(re.findall(r"`losses\.([a-z_]+)\(", README))
    assert listed == {name for name in losses.__all__ if name != "TERMS"}


def test_every_link_to_a_file_leads_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    missing = [target for target in targets if not (Path(__file__).parents[1] / target).exists()]
    assert targets and not missing
