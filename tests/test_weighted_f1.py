"""One weighted F1, the same for NumPy and JAX arrays, and the one that every score is taken from."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score

from macsgr_jax.weighted_f1 import f1_per_class, weighted_f1

PACKAGE = Path(__file__).parents[1] / "macsgr_jax"


def draw_confusions(classes: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels i[3, 40], predictions i[3, 40] and their confusion counts i[3, C, C]; one class never occurs."""
    labels, predicted = np.random.default_rng(0).integers(0, classes - 1, (2, 3, 40))
    confusion = np.zeros((3, classes, classes), np.int64)
    np.add.at(confusion, (np.arange(3)[:, None], labels, predicted), 1)
    return labels, predicted, confusion


def test_it_is_that_of_scikit_learn() -> None:
    labels, predicted, confusion = draw_confusions()
    for row in range(3):
        expected = f1_score(labels[row], predicted[row], average="weighted")
        assert weighted_f1(confusion)[row] == pytest.approx(expected, abs=1e-12)
        each = f1_score(labels[row], predicted[row], average=None, labels=range(5), zero_division=0)
        np.testing.assert_allclose(f1_per_class(confusion)[row], each, atol=1e-12)


def test_numpy_and_jax_agree_and_keep_their_type() -> None:
    confusion = draw_confusions()[2]
    found = jax.jit(weighted_f1)(jnp.asarray(confusion, jnp.float32))
    assert isinstance(weighted_f1(confusion), np.ndarray) and found.dtype == jnp.float32
    np.testing.assert_allclose(found, weighted_f1(confusion), rtol=1e-6)
    assert weighted_f1(np.zeros((2, 4, 4))).tolist() == [0.0, 0.0]


def test_no_other_file_computes_it() -> None:
    """Twice the diagonal over gold plus predicted counts is written once; tests and experiments have scikit-learn."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        if defined & {"weighted_f1", "f1_per_class"} or "f1_score" in imported:
            found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {"weighted_f1.py"}
