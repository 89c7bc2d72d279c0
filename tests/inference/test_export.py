"""What is exported says what the network says, of raw features, wherever they are placed, without this package."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus, choose_features
from macsgr_jax.data.dataset import prepare
from macsgr_jax.data.standardize import Standardizer, fit_standardizer, standardize, standardize_arrays
from macsgr_jax.errors import InputError
from macsgr_jax.inference.export import (
    DESCRIPTION_FILE,
    INPUTS,
    MODEL_FILE,
    OUTPUTS,
    describe_export,
    export_function,
    make_exportable,
    refuse_occupied,
    write_export,
)
from macsgr_jax.models import Network, build_network
from macsgr_jax.training.step import gather_batch
from tests.testing.corpora import LENGTHS, compile_quickly, make_corpus, tiny_config

PAD = -1
GARBAGE = (np.nan, np.inf, 1e30)


def make_raw_corpus(modalities: tuple[str, ...]) -> Corpus:
    """Far from standard features, of text two sets, some values of which were not measured."""
    corpus = make_corpus(modalities=modalities)
    random = np.random.default_rng(1)
    features = {name: 40 + 7 * values for name, values in corpus.features.items()}
    features["text_other"] = np.exp(4 * random.normal(size=(corpus.num_utterances, 5))).astype(np.float32)
    measured = {name: random.random(values.shape) < 0.8 for name, values in features.items()}
    measured["text_small"][2] = measured["text_other"][2] = False  # Utterance 2 has no text, and if alone nothing.
    features = {name: np.where(measured[name], values, 0).astype(np.float32) for name, values in features.items()}
    return dataclasses.replace(corpus, features=features, measured=measured)


def place(packed: list[list[int]], slots: int) -> np.ndarray:
    """The utterance of each slot, -1 where padded; PAD among the dialogues of a row leaves a slot."""
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    index = np.full((len(packed), slots), PAD)
    for row, dialogues in enumerate(packed):
        utterances = [u for d in dialogues for u in ([PAD] if d == PAD else range(offsets[d], offsets[d + 1]))]
        index[row, : len(utterances)] = utterances
    return index


ONE_A_ROW = place([[dialogue] for dialogue in range(len(LENGTHS))], 6)
PACKED = place([[0, PAD, 1, 3], [2, 6, 7], [], [PAD, 4, 5]], 13)


def place_raw(corpus: Corpus, index: np.ndarray, garbage: float = 0.0) -> tuple[Any, ...]:
    """The inputs of an exported function, with garbage where nothing was measured and where padded."""
    mask = index >= 0
    measured = {name: values[index] & mask[..., None] for name, values in corpus.measured.items()}
    features = {
        name: np.where(measured[name], values[index], np.float32(garbage)) for name, values in corpus.features.items()
    }
    padding = 0 if garbage == 0 else np.arange(index.size, dtype=np.int32).reshape(index.shape) // 3
    speakers = np.where(mask, corpus.speakers[index], padding).astype(np.int32)
    dialogue = np.where(mask, corpus.dialogue_of_utterance[index], padding).astype(np.int32)
    if garbage != 0:  # In padding nobody needs to say that a value was not measured.
        measured = {name: values | ~mask[..., None] for name, values in measured.items()}
    return features, measured, speakers, dialogue, mask


def by_utterance(index: np.ndarray, said: Any) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [u, C] and weights [u, M] of the u utterances that were placed, in the corpus's order."""
    probabilities, weights = map(np.asarray, said)
    order = np.argsort(index[index >= 0])
    return probabilities[index >= 0][order], weights[:, index >= 0].T[order]


class Setup(NamedTuple):
    """A network with random weights, what it says of every utterance, and its export, read back from the bytes."""

    corpus: Corpus
    standardizer: Standardizer
    network: Network
    params: Any
    expected: tuple[np.ndarray, np.ndarray]
    exported: export.Exported

    def assert_agrees(self, index: np.ndarray, garbage: float = 0.0, tolerance: float = 1e-5) -> None:
        """The exported function says of the placed utterances what the network says; 0 in padding."""
        with compile_quickly():
            said = self.exported.call(*place_raw(self.corpus, index, garbage))
        utterances = np.sort(index[index >= 0])
        for found, expected in zip(by_utterance(index, said), self.expected, strict=True):
            np.testing.assert_allclose(found, expected[utterances], rtol=0, atol=tolerance)
        assert not np.asarray(said[0])[index < 0].any() and not np.asarray(said[1])[:, index < 0].any()


def set_up(config: Config, modalities: tuple[str, ...], make_params: Callable[..., Any]) -> Setup:
    """The path of training and evaluation for what is expected, in rows of one dialogue."""
    corpus = make_raw_corpus(modalities)
    prepared = prepare(corpus, config)
    network = build_network(config.model, corpus.num_classes)
    batch = gather_batch(prepared.utterances, jnp.asarray(ONE_A_ROW))
    params = make_params(network, batch)
    with compile_quickly():
        output = jax.jit(network.apply)({"params": params}, batch)
    expected = by_utterance(ONE_A_ROW, (jax.nn.softmax(output.logits), output.weights))
    exported = export_function(make_exportable(params, network, prepared.standardizer), prepared.standardizer)
    return Setup(corpus, prepared.standardizer, network, params, expected, export.deserialize(exported.serialize()))


@pytest.fixture(scope="module")
def setup(make_params: Callable[..., Any]) -> Setup:
    """The default network for two modalities."""
    return set_up(tiny_config(), ("audio", "text"), make_params)


@pytest.mark.parametrize("garbage", [0.0, *GARBAGE])
def test_the_export_says_what_the_network_says(setup: Setup, garbage: float) -> None:
    """With several dialogues in a row, and garbage in padding and where nothing was measured."""
    assert np.ptp(setup.expected[0], axis=0).min() > 0.05  # Agreeing means something.
    setup.assert_agrees(PACKED, garbage)


def test_other_numbers_of_rows_and_slots(setup: Setup) -> None:
    setup.assert_agrees(place([[7]], 2))
    setup.assert_agrees(place([[0, 1, 2, 3, 4, 5, 6, 7]], 150))  # A row for which the network keeps edges itself.


def test_one_utterance_alone(setup: Setup) -> None:
    """It has no context; the same number of a speaker or dialogue as before does not matter either."""
    features, measured, *_ = place_raw(setup.corpus, np.array([[5]]))
    batch = gather_batch(prepare(setup.corpus, tiny_config()).utterances, jnp.array([[5]]))
    ones = np.ones((1, 1), np.int32)
    with compile_quickly():
        output = jax.jit(setup.network.apply)({"params": setup.params}, batch)
        probabilities, weights = setup.exported.call(features, measured, 7 * ones, 3 * ones, ones > 0)
    np.testing.assert_allclose(probabilities, jax.nn.softmax(output.logits), atol=1e-5)
    np.testing.assert_allclose(weights, output.weights, atol=1e-5)


def test_what_is_not_finite_does_not_count(setup: Setup) -> None:
    """Although it is said to have been measured."""
    features, measured, *others = place_raw(setup.corpus, PACKED, np.nan)
    measured = {name: np.ones_like(values) for name, values in measured.items()}
    with compile_quickly():
        said = by_utterance(PACKED, setup.exported.call(features, measured, *others))
    np.testing.assert_allclose(said[0], setup.expected[0], atol=1e-5)
    np.testing.assert_allclose(said[1], setup.expected[1], atol=1e-5)
    assert said[1][2].tolist() == [1, 0]  # Utterance 2 has no text.


def test_one_modality_and_nothing_of_the_future(make_params: Callable[..., Any]) -> None:
    setup = set_up(tiny_config("model.causal=true"), ("text",), make_params)
    setup.assert_agrees(PACKED, np.nan)
    assert setup.expected[1][:, 0].tolist() == [float(utterance != 2) for utterance in range(sum(LENGTHS))]
    arguments = place_raw(setup.corpus, PACKED)
    before = np.asarray(setup.exported.call(*arguments)[0])
    arguments[0]["text_small"][1, 4:6] += 30  # The last two utterances of a dialogue of six.
    after = np.asarray(setup.exported.call(*arguments)[0])
    changed = np.abs(after - before).max(axis=-1) > 1e-6
    assert changed[1].tolist() == [slot in (4, 5) for slot in range(13)] and not changed[[0, 2, 3]].any()


def test_three_modalities_in_bfloat16(make_params: Callable[..., Any]) -> None:
    setup = set_up(tiny_config("model.matmul=bfloat16"), ("audio", "text", "video"), make_params)
    # What differs by rounding before a factor is rounded to 8 bits may differ by one of them after.
    setup.assert_agrees(PACKED, np.nan, tolerance=0.02)
    program = setup.exported.mlir_module()
    assert sum("dot_general" in line and "xbf16>" in line for line in program.splitlines()) > 10


def test_the_literal_reading(make_params: Callable[..., Any]) -> None:
    """Each of its settings is a branch of the network."""
    settings = ("distribution_input=embedding", "fusion_input=sampled", "similarity=printed", "attended_value=self")
    without = ("residual=false", "classifier_skip=false", "semantic_position_encoding=false")
    config = tiny_config(*(f"model.{setting}" for setting in (*settings, *without)))
    set_up(config, ("audio", "text"), make_params).assert_agrees(PACKED, np.nan)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_divides_the_logits(setup: Setup, temperature: float) -> None:
    """p ** (1 / T), made to sum to one."""
    function = make_exportable(setup.params, setup.network, setup.standardizer, temperature)
    with compile_quickly():
        probabilities, weights = by_utterance(PACKED, jax.jit(function)(*place_raw(setup.corpus, PACKED)))
    expected = setup.expected[0] ** (1 / temperature)
    np.testing.assert_allclose(probabilities, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(weights, setup.expected[1], atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_that_is_none(setup: Setup, temperature: float) -> None:
    with pytest.raises(InputError, match=r"the temperature is .*; it has to be a positive number"):
        make_exportable(setup.params, setup.network, setup.standardizer, temperature)


def draw_columns() -> dict[str, np.ndarray]:
    """Columns of 60 utterances that are hard to standardise."""
    random = np.random.default_rng(2)
    normal, heavy = random.normal(size=60), random.standard_cauchy(60)
    outlier = np.where(np.arange(60) == 7, 1.0, 0.0)
    return {
        "ordinary": normal,
        "far from zero": 1e6 + normal,
        "constant": np.full(60, 0.3),
        "tiny": 1e-30 * normal,
        "huge": 1e30 * heavy,
        "heavy": heavy,
        "many orders": np.exp(30 * normal),
        "many orders of both signs": np.exp(30 * normal) * np.sign(heavy),
        # Their logarithms differ from the mean in the fourth or sixth decimal, and are divided by so little.
        "nearly constant": 1000 + 0.01 * normal + outlier,
        "nearly constant below zero": -16000 + normal - 900 * outlier,
        "an outlier at zero": (1000 + normal) * (1 - outlier),
        "an outlier of the other sign": 1000 + normal - 4000 * outlier,
    }


@pytest.mark.parametrize("clip", [0.0, 5.0])
def test_standardisation_is_that_of_training(clip: float) -> None:
    """The first five dialogues are what is fitted to; the sixth goes beyond."""
    columns = draw_columns()
    values = np.stack(list(columns.values()), axis=1)
    values[50:] *= np.linspace(-2, 3, 10)[:, None]
    measured = np.random.default_rng(3).random(values.shape) < 0.9
    measured[7] = True
    values, measured = np.append(values, values[:, :1], axis=1), np.append(measured, measured[:, :1], axis=1)
    measured[:50, -1] = False  # Never in training.
    corpus = make_corpus((10,) * 6, ("train",) * 5 + ("test",), modalities=("text",))
    raw = np.where(measured, values, 0).astype(np.float32)
    corpus = dataclasses.replace(corpus, features={"text_hard": raw}, measured={"text_hard": measured})
    standardizer = fit_standardizer(corpus, choose_features(corpus, ()), clip)
    logged = dict(zip([*columns, "never"], standardizer.log_scale["text_hard"] > 0, strict=True))
    assert [name for name, there in logged.items() if there] == list(columns)[4:]
    expected, _ = standardize(standardizer, corpus)
    found, available = jax.jit(lambda *given: standardize_arrays(standardizer, *given, jnp, np.float32))(
        {"text_hard": np.where(measured, values, np.nan).astype(np.float32)}, {"text_hard": measured}
    )
    np.testing.assert_allclose(found["text"], expected["text"], rtol=1e-5, atol=1e-5)
    assert np.asarray(available["text"]).all() and not np.asarray(found["text"])[~measured].any()


def test_the_description_is_that_of_the_program(setup: Setup) -> None:
    description = describe_export(setup.exported, setup.standardizer, setup.corpus.label_names)
    assert description["format"] == "macsgr_jax.export/1"
    assert description["platforms"] == ["cpu", "cuda", "tpu"]
    assert description["labels"] == ["calm", "glad", "sad"]
    assert description["modalities"] == ["audio", "text"]
    assert description["feature_sets"] == [
        {"name": "audio_small", "modality": "audio", "columns": 3},
        {"name": "text_small", "modality": "text", "columns": 4},
        {"name": "text_other", "modality": "text", "columns": 5},
    ]
    sizes = {"C": 3, "M": 2}
    arguments, _ = jax.tree.unflatten(setup.exported.in_tree, setup.exported.in_avals)
    results = jax.tree.unflatten(setup.exported.out_tree, setup.exported.out_avals)
    for table, named, arrays in (("inputs", INPUTS, arguments), ("outputs", OUTPUTS, results)):
        assert [one["name"] for one in description[table]] == [one.name for one in named]
        for described, array in zip(description[table], arrays, strict=True):
            if "D" in described["shape"]:
                for one in description["feature_sets"]:
                    columns = array[one["name"]]
                    assert (str(columns.dtype), str(columns.shape)) == (described["dtype"], f"(B, N, {one['columns']})")
            else:
                shape = ", ".join(str(sizes.get(letter, letter)) for letter in described["shape"])
                assert (str(array.dtype), str(array.shape)) == (described["dtype"], f"({shape})")


# What a user runs, in a folder with an export as `folder`.
LOADING = """
import json, jax, numpy as np

about = json.load(open("folder/model.json"))
model = jax.export.deserialize(bytearray(open("folder/model.jax_export", "rb").read()))
B, N = 1, 3  # one row of three utterances; any numbers do
features = {one["name"]: np.zeros((B, N, one["columns"]), np.float32) for one in about["feature_sets"]}
measured = {name: np.isfinite(values) for name, values in features.items()}
speakers, dialogue, mask = np.array([[0, 1, 0]]), np.zeros((B, N), int), np.ones((B, N), bool)
probabilities, weights = model.call(features, measured, speakers, dialogue, mask)
print([about["labels"][best] for best in np.argmax(probabilities, axis=-1)[0]])
"""

WITHOUT_THE_PACKAGE = """
import sys
sys.modules |= dict.fromkeys(["macsgr_jax", "experiments", "flax", "jraph", "optax", "orbax", "ott", "pydantic"])
"""

COMPARING = """
said = dict(np.load("said.npz"))
features, measured = ({k[1:]: v for k, v in said.items() if k[0] == part} for part in "fm")
probabilities, weights = model.call(features, measured, said["speakers"], said["dialogue"], said["present"])
np.testing.assert_allclose(probabilities, said["probabilities"], atol=1e-5)
np.testing.assert_allclose(weights, said["weights"], atol=1e-5)
"""


def test_another_process_runs_it_with_jax_alone(setup: Setup, tmp_path: Path) -> None:
    description = describe_export(setup.exported, setup.standardizer, setup.corpus.label_names)
    write_export(tmp_path / "folder", setup.exported, description)
    features, measured, speakers, dialogue, mask = place_raw(setup.corpus, PACKED)
    probabilities, weights = setup.exported.call(features, measured, speakers, dialogue, mask)
    np.savez(
        tmp_path / "said.npz",
        **{f"f{name}": values for name, values in features.items()},
        **{f"m{name}": values for name, values in measured.items()},
        **{"speakers": speakers, "dialogue": dialogue, "present": mask},
        **{"probabilities": probabilities, "weights": weights},
    )
    command = [sys.executable, "-I", "-c", WITHOUT_THE_PACKAGE + LOADING + COMPARING]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    named = json.loads(finished.stdout.replace("'", '"'))
    assert len(named) == 3 and set(named) <= {"calm", "glad", "sad"}
    assert finished.stderr == ""


class TestFolder:
    """`write_export` leaves a whole export or what was there."""

    def test_both_files_and_nothing_else(self, setup: Setup, tmp_path: Path) -> None:
        write_export(tmp_path / "deep" / "model", setup.exported, {"labels": ["calm"]})
        folder = tmp_path / "deep" / "model"
        assert sorted(path.name for path in folder.parent.rglob("*")) == ["model", MODEL_FILE, DESCRIPTION_FILE]
        content = (folder / MODEL_FILE).read_bytes()
        assert content == bytes(setup.exported.serialize())
        assert set(json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))) == {"labels", "sha256"}
        assert folder.stat().st_mode == folder.parent.stat().st_mode

    def test_a_failure_leaves_what_was_there(self, setup: Setup, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="JSON"):
            write_export(tmp_path / "new", setup.exported, {"not a number": np.nan})
        assert not list(tmp_path.iterdir())
        write_export(tmp_path / "new", setup.exported, {"labels": ["calm"]})
        before = (tmp_path / "new" / DESCRIPTION_FILE).read_bytes()
        with pytest.raises(ValueError, match="JSON"):
            write_export(tmp_path / "new", setup.exported, {"not a number": np.nan}, overwrite=True)
        assert (tmp_path / "new" / DESCRIPTION_FILE).read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["new"]

    def test_only_an_export_is_replaced_and_only_when_asked(self, setup: Setup, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        write_export(folder, setup.exported, {"labels": ["calm"]})
        with pytest.raises(InputError, match="model holds an export: choose another folder, or replace it with"):
            write_export(folder, setup.exported, {"labels": ["glad"]})
        write_export(folder, setup.exported, {"labels": ["sad"]}, overwrite=True)
        assert json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))["labels"] == ["sad"]
        (tmp_path / "link").symlink_to(folder)
        write_export(tmp_path / "link", setup.exported, {"labels": ["torn"]}, overwrite=True)
        assert json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))["labels"] == ["torn"]
        (folder / "thesis.tex").touch()
        with pytest.raises(InputError, match=r"model is not empty, it holds thesis\.tex: choose another folder"):
            write_export(folder, setup.exported, {"labels": ["glad"]}, overwrite=True)
        with pytest.raises(InputError, match=r"thesis\.tex is a file: give the path of a folder"):
            refuse_occupied(folder / "thesis.tex", overwrite=True)
        with pytest.raises(InputError, match="cannot be written"):
            write_export(folder / "thesis.tex" / "model", setup.exported, {})
        assert len(list(tmp_path.rglob("*"))) == 5
