"""The numbers that a run traces: each follows its setting, and nothing else separates two compilations."""

import ast
from pathlib import Path
from typing import Any, get_args

import jax
import numpy as np
import pytest

import macsgr_jax
from macsgr_jax.config import Config
from macsgr_jax.errors import InputError
from macsgr_jax.hparams import TRACED, HParams, make_hparams, without_traced
from macsgr_jax.overrides import override, setting_names
from macsgr_jax.presets import PRESETS

SOURCES = sorted(Path(macsgr_jax.__file__).parent.rglob("*.py"))
MODALITIES = ("audio", "text", "video")
VALUES = ("false", "true", "0.25", "0", "1", "2", "8", "text_a")


def change(name: str) -> Config:
    """The defaults with another value of one setting, whatever fits it."""
    ((kind, value),) = ((kind, value) for known, kind, value in setting_names(Config()) if known == name)
    for text in (*(choice for choice in get_args(kind) if isinstance(choice, str)), *VALUES):
        try:
            changed = override(Config(), [f"{name}={text}"])
        except InputError:
            continue
        if changed != Config():
            return changed
    raise AssertionError(f"nothing else fits {name}, {value}")


def list_differences(one: HParams, other: HParams) -> set[str]:
    return {name for name in HParams._fields if not np.array_equal(getattr(one, name), getattr(other, name))}


@pytest.mark.parametrize("name", [name for name, _, _ in setting_names(Config())])
def test_a_setting_is_traced_or_separates_compilations(name: str) -> None:
    changed = change(name)
    same_program = without_traced(changed) == without_traced(Config())
    same_numbers = not list_differences(make_hparams(changed, MODALITIES), make_hparams(Config(), MODALITIES))
    assert (same_program, same_numbers) == ((True, False) if name in TRACED else (False, True))
    assert hash(without_traced(changed)) is not None


def test_what_is_left_without_the_numbers_is_as_it_was() -> None:
    traced = [f"{name}={0.125 * (place + 1)}" for place, name in enumerate(TRACED)]
    config = override(PRESETS["literal"], ["model.hidden_size=12", "model.distribution_heads=2", "train.epochs=7"])
    assert without_traced(override(config, traced)) == without_traced(config)
    kept = {name: value for name, _, value in setting_names(without_traced(config)) if name not in TRACED}
    assert kept == {name: value for name, _, value in setting_names(config) if name not in TRACED}


def test_no_program_reads_a_traced_number_from_the_configuration() -> None:
    """There it would be the default, whatever the run's number is."""
    fields = {name.split(".")[1] for name in TRACED}
    for path in SOURCES:
        if path.name not in ("config.py", "hparams.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr in fields:
                    assert ast.unparse(node.value).split(".")[-1] in ("hparams", "numbers"), f"{path}: {node.attr}"


def test_hparams_of_three_modalities_follow_their_order() -> None:
    values = {"temperature_audio": 0.1, "temperature_text": 0.3, "temperature_other": 0.2, "temperature_cross": 0.05}
    values |= {"offset_intra": 0.5, "offset_cross": -0.5}
    config = override(Config(), [f"loss.{name}={value}" for name, value in values.items()])
    hparams = make_hparams(config, ["audio", "text", "video"])
    cross = 0.05
    expected = [[0.1, cross, cross], [cross, 0.3, cross], [cross, cross, 0.2]]
    np.testing.assert_array_equal(hparams.temperatures, np.float32(expected))
    np.testing.assert_array_equal(hparams.offsets, np.where(np.eye(3, dtype=bool), 0.5, -0.5).astype(np.float32))
    reordered = make_hparams(config, ["video", "text"])
    np.testing.assert_array_equal(reordered.temperatures, np.float32([[0.2, cross], [cross, 0.3]]))


def test_hparams_take_each_scalar_from_its_setting() -> None:
    names: dict[str, Any] = {
        "lambda_alignment": "loss.lambda_alignment",
        "gamma_instance": "loss.gamma_instance",
        "gamma_prototype": "loss.gamma_prototype",
        "gamma_latent": "loss.gamma_latent",
        "temperature_prototype": "loss.temperature_prototype",
        "learning_rate": "train.learning_rate",
        "weight_decay": "train.weight_decay",
    }
    values = {name: 0.125 * (place + 1) for place, name in enumerate(names.values())}
    hparams = make_hparams(override(Config(), [f"{name}={value}" for name, value in values.items()]), ["text"])
    assert {field: float(getattr(hparams, field)) for field in names} == {
        field: values[setting] for field, setting in names.items()
    }
    assert all(leaf.dtype == np.float32 and not leaf.weak_type for leaf in jax.tree.leaves(hparams))
