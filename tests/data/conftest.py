"""The synthetic corpus, as the scripts draw it and large enough for statistics."""

import pytest

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.synthetic import generate


@pytest.fixture(scope="package")
def default() -> Corpus:
    return generate()


@pytest.fixture(scope="package")
def large() -> Corpus:
    return generate(2500, seed=11)
