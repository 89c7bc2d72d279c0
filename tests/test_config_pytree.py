"""A configuration is a pytree: each hyperparameter is a leaf or part of the structure, and programs read the leaf."""

import ast
import dataclasses
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import macsgr_jax
from macsgr_jax.config import Config, split_fields
from macsgr_jax.errors import InputError
from macsgr_jax.losses import total_loss
from macsgr_jax.overrides import override, setting_names
from macsgr_jax.training.optimizer import learning_rate_at
from macsgr_jax.training.step import train_epoch

SOURCES = sorted(Path(macsgr_jax.__file__).parent.rglob("*.py"))
TRACED = {
    f"{section.name}.{name}"
    for section in dataclasses.fields(Config)
    for name in split_fields(type(getattr(Config(), section.name)))[0]
}
VALUES = ("false", "true", "0.25", "0", "1", "2", "8", "text_a")


def change(name: str) -> Config:
    """Returns the defaults with another value of one setting, whatever fits it."""
    ((kind, value),) = ((kind, value) for known, kind, value in setting_names(Config()) if known == name)
    for text in (*(choice for choice in get_args(kind) if isinstance(choice, str)), *VALUES):
        try:
            changed = override(Config(), [f"{name}={text}"])
        except InputError:
            continue
        if changed != Config():
            return changed
    raise AssertionError(f"nothing else fits {name}, {value}")


def test_the_traced_hyperparameters() -> None:
    losses = {"lambda_alignment", "gamma_instance", "gamma_prototype", "gamma_latent", "gamma_uncertainty"}
    losses |= {"offset_intra", "offset_cross"}
    losses |= {f"temperature_{kind}" for kind in ("audio", "text", "other", "cross", "prototype")}
    assert {f"loss.{name}" for name in losses} | {"train.learning_rate", "train.weight_decay"} == TRACED


@pytest.mark.parametrize("name", [name for name, _, _ in setting_names(Config())])
def test_a_setting_is_a_leaf_or_structure(name: str) -> None:
    changed, default = change(name), Config()
    same_program = jax.tree.structure(changed) == jax.tree.structure(default)
    same_leaves = jax.tree.leaves(changed) == jax.tree.leaves(default)
    assert (same_program, same_leaves) == ((True, False) if name in TRACED else (False, True))
    assert hash(jax.tree.structure(changed)) is not None


def test_a_jitted_function_reads_the_hyperparameter_of_its_run() -> None:
    """One trace serves all values; a default in place of a run's value would show."""
    traces = []

    @jax.jit
    def read(config: Config) -> list[Any]:
        traces.append(config)
        return [getattr(getattr(config, name.split(".")[0]), name.split(".")[1]) for name in sorted(TRACED)]

    for start in (0.125, 0.5):
        values = [start + 0.0625 * index for index in range(len(TRACED))]
        assignments = [f"{name}={value}" for name, value in zip(sorted(TRACED), values, strict=True)]
        np.testing.assert_array_equal(read(override(Config(), assignments)), values)
    assert len(traces) == 1


def test_no_program_takes_a_configuration_as_a_static_argument() -> None:
    """As a static argument, or closed over, its hyperparameters would be constants of the program."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in ("static_argnames", "static_argnums"):
                assert "config" not in ast.unparse(node.value), path


def test_a_branch_on_a_traced_hyperparameter_is_an_error() -> None:
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(lambda config: jnp.float32(1) if config.train.weight_decay else jnp.float32(0))(Config())


def test_the_learning_rate_is_the_one_of_the_run() -> None:
    rate = jax.jit(lambda config: learning_rate_at(jnp.int32(0), 3, config.train))
    assert [float(rate(override(Config(), [f"train.learning_rate={value}"]))) for value in (0.5, 0.25)] == [0.5, 0.25]


def test_public_functions_take_the_configuration_itself() -> None:
    assert all("config" in function.__annotations__ for function in (total_loss, train_epoch))
