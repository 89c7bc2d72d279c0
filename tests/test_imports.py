"""What a start imports, counted instead of timed: libraries that take long are imported where they are used."""

import subprocess
import sys

import pytest

HEAVY = ("jax", "flax", "orbax", "ott", "tyro", "matplotlib", "scipy", "sklearn", "optax", "pandas")

STARTS = {
    "import macsgr_jax": (),
    "from macsgr_jax.cli.main import main; main(['train', '--help'])": ("tyro",),
    "from macsgr_jax import *": ("jax", "flax", "optax"),
    "import macsgr_jax.inference.streaming": ("jax", "flax"),
    "import macsgr_jax.runs.load, macsgr_jax.runs.predict, macsgr_jax.runs.tables": ("jax", "flax"),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_start_imports_what_it_needs(start: str) -> None:
    code = f"{start}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stderr.splitlines()[-1] == str([name for name in HEAVY if name in STARTS[start]])
