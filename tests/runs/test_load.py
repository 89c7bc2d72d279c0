"""Checkpoints of this version and of version 0.1 are opened, or a sentence says which version wrote them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import macsgr_jax
from macsgr_jax.errors import InputError
from macsgr_jax.overrides import from_json
from macsgr_jax.runs.evaluate import evaluate_run
from macsgr_jax.runs.load import open_checkpoints, read_temperatures
from tests.testing.corpora import compile_quickly

OLD_CONFIG = """{
  "data": {"features": ["text_lsa"], "clip": 5.0, "validation_share": 0.2, "validation_seed": 3, "slots_per_row": 0},
  "model": {"hidden_size": 50, "fused_size": 40, "least_std": 0.001, "skip": false, "window_past": 4},
  "loss": {"lambda_alignment": 0.5, "gate": false},
  "train": {"epochs": 7, "least_learning_rate": 1e-7, "decay": "decoupled", "checkpoint": "best"}
}"""
OLD_NAMES = {
    "data": {"validation_fraction": "validation_share"},
    "model": {"min_std": "least_std", "classifier_skip": "skip"},
    "loss": {"gate_positives": "gate"},
    "train": {"min_learning_rate": "least_learning_rate", "weight_decay_mode": "decay"},
}


def test_configuration_of_version_0_1_is_read() -> None:
    config = from_json(json.loads(OLD_CONFIG))
    assert config.data.validation_fraction == 0.2 and config.data.features == ("text_lsa",)
    assert (config.model.min_std, config.model.classifier_skip, config.model.hidden_size) == (0.001, False, 50)
    assert config.loss.gate_positives is False and config.loss.gamma_latent == 0.3
    assert (config.train.min_learning_rate, config.train.weight_decay_mode) == (1e-7, "decoupled")


@pytest.fixture
def old(trained: Any, tmp_path: Path) -> Path:
    """A run as version 0.1 left it: other names of settings, no version, no temperatures."""
    out = Path(shutil.copytree(trained.out, tmp_path / "run"))
    shutil.copy(trained.corpus_file, tmp_path)
    path = out / "checkpoints" / "full" / "description.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    assert description.pop("version") == macsgr_jax.__version__
    for section, names in OLD_NAMES.items():
        for new, before in names.items():
            description["config"][section][before] = description["config"][section].pop(new)
    path.write_text(json.dumps(description), encoding="utf-8")
    (out / "checkpoints" / "full" / "temperatures.json").unlink()
    return out


def test_run_of_version_0_1_is_evaluated(trained: Any, old: Path) -> None:
    checkpoints = open_checkpoints(old)
    assert checkpoints.version == "0.1" and read_temperatures(checkpoints, checkpoints.seeds) is None
    results = json.loads((trained.out / "results.json").read_text(encoding="utf-8"))
    with compile_quickly():
        scores = evaluate_run(old)
    assert {seed: values["waf1"] for seed, values in scores.items()} == {
        seed["seed"]: seed["test"]["waf1"] for seed in results["networks"]["full"]["seeds"]
    }


def test_run_that_is_not_understood_names_its_version(old: Path) -> None:
    path = old / "checkpoints" / "full" / "description.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    description["config"]["model"]["unheard_of"] = 1
    path.write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(InputError, match=r"was trained by version 0\.1 of macsgr_jax \(.*model\.unheard_of.*again"):
        open_checkpoints(old)
    path.write_text(json.dumps(description | {"version": "9.9"}), encoding="utf-8")
    with pytest.raises(InputError, match=r"was trained by version 9\.9 of macsgr_jax"):
        open_checkpoints(old)


def test_every_network_of_a_run_is_calibrated(trained: Any) -> None:
    """Those of a modality alone too, which can be exported."""
    for network in ("full", "audio", "text"):
        temperatures = read_temperatures(open_checkpoints(trained.out, network), (0, 1))
        assert temperatures is not None and len(temperatures) == 2
