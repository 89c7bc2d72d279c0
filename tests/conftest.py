"""What several test files share: tiny sizes, random weights, random cases of the losses, numerical gradients."""

import functools
import os
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import HealthCheck, settings

from macsgr_jax.config import Config, ModelConfig
from macsgr_jax.data.dataset import PreparedCorpus
from tests.testing.corpora import compile_quickly
from tests.testing.shared_folder import find_shared_folder
from tests.testing.ten_seeds import Outcome, make_config, make_prepared, train_seeds, watch_compilations

# Accelerators multiply float32 matrices in fewer bits by default; the references are float64.
jax.config.update("jax_default_matmul_precision", "highest")

# Compiling is most of what the tests do, and takes half as long so; small programs are not worth several threads. The
# flags are read when the first program is compiled, and jax 0.11 does not know the first of them.
if jax.__version_info__ < (0, 11):
    flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()

pytest_plugins = ["tests.testing.trained_runs"]

# With each submission the same hundred examples of a property; `--hypothesis-profile nightly` tries 2,000 others.
# A busy machine is no fault of them.
PATIENT: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("submission", max_examples=100, derandomize=True, **PATIENT)
settings.register_profile("nightly", max_examples=2000, print_blob=True, **PATIENT)
settings.load_profile("submission")

MAX_CACHE_BYTES = 8 << 30
SCENARIOS = ("all valid", "some missing", "one modality missing", "one label", "all different", "nothing valid")


class Case(NamedTuple):
    """Unit embeddings f32[M, U, d], labels i32[U] and mask bool[M, U]."""

    embeddings: np.ndarray
    labels: np.ndarray
    mask: np.ndarray


def draw_case(seed: int, modalities: int, utterances: int, scenario: str, size: int = 4) -> Case:
    """A random case of a loss."""
    random = np.random.default_rng([seed, modalities, utterances])
    embeddings = random.normal(size=(modalities, utterances, size))
    embeddings /= np.linalg.norm(embeddings, axis=-1, keepdims=True)
    labels = random.integers(0, 3, utterances)
    mask = np.ones((modalities, utterances), bool)
    if scenario == "some missing":
        mask = random.random(mask.shape) < 0.7
    elif scenario == "one modality missing":
        mask[0, ::2] = False
    elif scenario == "one label":
        labels = np.full(utterances, 2)
    elif scenario == "all different":
        labels = np.arange(utterances)
    elif scenario == "nothing valid":
        mask = np.zeros_like(mask)
    return Case(embeddings.astype(np.float32), labels.astype(np.int32), mask)


def differentiate(function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Central differences in float64."""
    point = np.array(point, np.float64)
    gradient = np.zeros_like(point)
    for place in np.ndindex(point.shape):
        shift = np.zeros_like(point)
        shift[place] = step
        gradient[place] = (function(point + shift) - function(point - shift)) / (2 * step)
    return gradient


def draw_params(module: nn.Module, *inputs: Any, **options: Any) -> dict[str, Any]:
    """Random weights of a module, biases too; the same path and shape always gives the same numbers."""
    shapes = jax.eval_shape(functools.partial(module.init, **options), jax.random.key(0), *inputs)["params"]

    def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = jax.tree_util.keystr(path)
        values = np.random.default_rng([zlib.crc32(name.encode()), *leaf.shape]).normal(size=leaf.shape)
        return np.asarray(1 + 0.1 * values if name.endswith("['scale']") else 0.4 * values, np.float32)

    drawn: dict[str, Any] = jax.tree_util.tree_map_with_path(draw, shapes)
    return drawn


def is_known(option: tuple[str, Any]) -> bool:
    """Whether this version of the compiler has the option; jax 0.11 dropped some."""
    try:
        jax.jit(lambda number: number + 1, compiler_options=dict([option]))(0)
    except jax.errors.JaxRuntimeError:
        return False
    return True


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One folder of compiled programs for all workers and the processes that they start; the user's is left alone.

    With a limit of its size JAX locks the folder, so that no worker reads what another one has written in part.
    MACSGR_TEST_CACHE names a folder that is kept from one session to the next.
    """
    folder = os.environ.get("MACSGR_TEST_CACHE") or str(find_shared_folder(tmp_path_factory) / "compiled")
    options = {
        "jax_compilation_cache_dir": folder,
        "jax_compilation_cache_max_size": MAX_CACHE_BYTES,
        "jax_persistent_cache_min_compile_time_secs": 0.5,
    }
    for name, value in options.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    return folder


@pytest.fixture(scope="session", params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> str:
    """Each name of a special case of the losses."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    """`draw_case`."""
    return draw_case


@pytest.fixture(scope="session")
def numerical_gradient() -> Callable[..., np.ndarray]:
    """`differentiate`."""
    return differentiate


@pytest.fixture(scope="session")
def make_params() -> Callable[..., dict[str, Any]]:
    """`draw_params`."""
    return draw_params


@pytest.fixture(scope="session")
def jit_quickly() -> Callable[..., Any]:
    """`jax.jit` that compiles a network in a quarter of the time, for what is run only a few times."""
    options = {"xla_backend_optimization_level": "0", "xla_cpu_use_fusion_emitters": False}
    return functools.partial(jax.jit, compiler_options=dict(filter(is_known, options.items())))


@pytest.fixture(scope="session")
def tiny_model() -> ModelConfig:
    """A network that compiles in seconds."""
    return ModelConfig(
        hidden_size=8,
        fused_size=8,
        distribution_heads=2,
        fusion_heads=2,
        semantic_heads=2,
        window_past=2,
        window_future=1,
        max_hops=3,
        num_prototypes=6,
    )


class TenSeeds(NamedTuple):
    """Ten seeds, what they left behind as one program on one device, and the names of what was compiled for it."""

    config: Config
    prepared: PreparedCorpus
    outcome: Outcome
    compiled: list[str]


@pytest.fixture(scope="session")
def ten_seeds() -> TenSeeds:
    """Not to be changed."""
    config = make_config()
    prepared = make_prepared(config)
    with compile_quickly(), watch_compilations() as compiled:
        return TenSeeds(config, prepared, train_seeds(prepared, config), compiled)
