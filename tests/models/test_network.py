import dataclasses
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from macsgr_jax.config import LITERAL, Config, ModelConfig, make_hparams
from macsgr_jax.losses import total_loss
from macsgr_jax.models import build_network
from macsgr_jax.types import Batch, Utterances
from tests import reference

FEATURES = {"audio": 4, "text": 5, "video": 3}
OFFSETS = np.array([0, 5, 8, 9, 13, 15])  # Dialogues of 5, 3, 1, 4 and 2 utterances.
COUNT = OFFSETS[-1]
CLASSES, ROWS, SLOTS, PAD = 4, 5, 8, -1
KEY, OTHER_KEY = jax.random.split(jax.random.key(0))


def place(packed: list[list[int]], slots: int = SLOTS, rows: int = ROWS) -> np.ndarray:
    """The utterance of each slot, -1 where padded; PAD among the dialogues of a row leaves a slot."""
    index = np.full((rows, slots), -1)
    for row, dialogues in enumerate(packed):
        utterances = [u for d in dialogues for u in ([-1] if d == PAD else range(OFFSETS[d], OFFSETS[d + 1]))]
        index[row, : len(utterances)] = utterances
    return index


ONE_A_ROW = place([[0], [1], [2], [3], [4]])
PACKED = place([[3, 2, 1], [], [4, PAD, 0]])


def draw_table(modalities: int) -> Utterances:
    """Utterances of which some lack a modality, and one lacks all."""
    random = np.random.default_rng(modalities)
    names = list(FEATURES)[:modalities]
    available = {name: random.random(COUNT) < 0.8 for name in names}
    for m, name in enumerate(names):
        available[name][0], available[name][1], available[name][10] = True, m == 0, False
    return Utterances(
        features={name: random.normal(0, 1.5, (COUNT, FEATURES[name])).astype(np.float32) for name in names},
        available=available,
        speakers=random.integers(0, 2, COUNT).astype(np.int32),
        labels=random.integers(0, CLASSES, COUNT).astype(np.int32),
        dialogue=np.repeat(np.arange(5, dtype=np.int32), np.diff(OFFSETS)),
    )


def gather(table: Utterances, index: np.ndarray, garbage: float = 0.0) -> Batch:
    """A batch with garbage in padding and missing modalities."""
    mask = index >= 0
    available = {name: mask & values[index] for name, values in table.available.items()}
    return Batch(
        features={
            name: np.where(available[name][..., None], values[index], np.float32(garbage))
            for name, values in table.features.items()
        },
        available=available,
        speakers=np.where(mask, table.speakers[index], 0 if garbage == 0 else 77),
        labels=np.where(mask, table.labels[index], 0 if garbage == 0 else -5),
        dialogue=np.where(mask, table.dialogue[index], -1),
        mask=mask,
    )


def scatter(values: Any, index: np.ndarray) -> np.ndarray:
    """[..., B, N, k] to the utterances [U, ..., k]; without k for weights."""
    values = np.asarray(values)
    axis = next(a for a in range(values.ndim) if values.shape[a : a + 2] == index.shape)
    flat = np.moveaxis(values.reshape(*values.shape[:axis], -1, *values.shape[axis + 2 :]), axis, 0)
    result = np.full((COUNT, *flat.shape[1:]), np.nan)
    result[index[index >= 0]] = flat[index.ravel() >= 0]
    return result


class Setup(NamedTuple):
    """A network with random weights, and (output, terms, gradients) of a batch in evaluation and in training."""

    modalities: int
    table: Utterances
    evaluate: Callable[[Batch], Any]
    train: Callable[..., Any]


def set_up(modalities: int, config: Config, make_params: Callable[..., Any], jit: Callable[..., Any]) -> Setup:
    """Compiled lazily; equal paths of two configurations have equal weights."""
    table = draw_table(modalities)
    network = build_network(config.model, CLASSES)
    hparams = make_hparams(config, sorted(table.features))
    params = make_params(network, gather(table, ONE_A_ROW))

    def differentiate(params: Any, batch: Batch, rngs: dict[str, Any], train: bool) -> Any:
        def loss(params: Any) -> Any:
            output = network.apply({"params": params}, batch, train=train, rngs=rngs)
            total, terms = total_loss(output, batch, params["prototypes"], hparams, config.loss)
            return total, (output, terms)

        (_, (output, terms)), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return output, terms, gradients

    compiled = jit(differentiate, static_argnames="train")

    def train(batch: Batch, sample: Any = KEY, dropout: Any = KEY) -> Any:
        return compiled(params, batch, {"sample": sample, "dropout": dropout}, train=True)

    return Setup(modalities, table, lambda batch: compiled(params, batch, {}, train=False), train)


@pytest.fixture(scope="module", params=[1, 2, 3], ids="{}-modalities".format)
def setup(
    request: pytest.FixtureRequest,
    tiny_model: ModelConfig,
    make_params: Callable[..., Any],
    jit_quickly: Callable[..., Any],
) -> Setup:
    """The default network for one, two and three modalities."""
    return set_up(request.param, Config(model=tiny_model), make_params, jit_quickly)


@pytest.fixture(scope="module")
def variant(
    tiny_model: ModelConfig, make_params: Callable[..., Any], jit_quickly: Callable[..., Any]
) -> Callable[..., Setup]:
    """Networks for two modalities with some fields changed."""

    def build(**changes: Any) -> Setup:
        config = Config(model=dataclasses.replace(tiny_model, **changes))
        return set_up(2, config, make_params, jit_quickly)

    return build


def assert_same_outputs(
    one: Any, one_index: np.ndarray, other: Any, other_index: np.ndarray, tolerance: float = 1e-5
) -> None:
    """Each utterance's outputs agree."""
    for (path, first), second in zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(
            scatter(first, one_index),
            scatter(second, other_index),
            rtol=tolerance,
            atol=tolerance,
            err_msg=jax.tree_util.keystr(path),
        )


def assert_same_gradients(one: Any, other: Any) -> None:
    """1e-4 of each leaf's largest entry; some leaves are zero but for rounding, 1e-6 of the largest of all."""
    rounding = 1e-6 * max(np.abs(leaf).max() for leaf in jax.tree.leaves(one))
    for (path, first), second in zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True):
        tolerance = 1e-4 * np.abs(first).max() + rounding
        np.testing.assert_allclose(second, first, rtol=0, atol=tolerance, err_msg=jax.tree_util.keystr(path))


def assert_finite(tree: Any) -> None:
    """No leaf has an infinity or a NaN."""
    for path, leaf in jax.tree.leaves_with_path(tree):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)


def test_packing_changes_neither_outputs_nor_gradients(setup: Setup) -> None:
    alone, packed = (setup.evaluate(gather(setup.table, index)) for index in (ONE_A_ROW, PACKED))
    assert_same_outputs(alone[0], ONE_A_ROW, packed[0], PACKED)
    assert_same_gradients(alone[2], packed[2])
    np.testing.assert_allclose(list(alone[1].values()), list(packed[1].values()), rtol=1e-5)
    assert_gradients_reach_everything(alone[2], setup.modalities)


def assert_gradients_reach_everything(gradients: Any, modalities: int) -> None:
    """A gradient of zero would agree with anything."""
    for path, leaf in jax.tree.leaves_with_path(gradients):
        name = jax.tree_util.keystr(path)
        # A key's bias moves all logits of a softmax alike, and one modality has no prototypes to agree on.
        without = name.endswith("['key']['bias']") or (modalities == 1 and ("prototypes" in name or "log_std" in name))
        if not without:
            assert np.abs(leaf).max() > 1e-5, name


def test_longer_rows_change_neither_outputs_nor_gradients(variant: Callable[..., Setup]) -> None:
    base = variant()
    index = place([[4, 2, 0, 1], [3]], slots=13, rows=2)
    one, other = (base.evaluate(gather(base.table, where)) for where in (ONE_A_ROW, index))
    assert_same_outputs(one[0], ONE_A_ROW, other[0], index)
    assert_same_gradients(one[2], other[2])


@pytest.mark.parametrize("garbage", [1e3, np.inf, np.nan])
def test_garbage_in_padding_and_missing_modalities_changes_nothing(setup: Setup, garbage: float) -> None:
    clean, dirty = (setup.evaluate(gather(setup.table, PACKED, value)) for value in (0.0, garbage))
    assert_same_outputs(clean[0], PACKED, dirty[0], PACKED)
    assert_same_gradients(clean[2], dirty[2])
    np.testing.assert_allclose(list(clean[1].values()), list(dirty[1].values()), rtol=1e-6)
    assert_finite(dirty[0])


@pytest.mark.parametrize("garbage", [1e3, np.nan])
def test_garbage_changes_nothing_in_training(setup: Setup, garbage: float) -> None:
    clean, dirty = (setup.train(gather(setup.table, PACKED, value)) for value in (0.0, garbage))
    assert_same_outputs(clean[0], PACKED, dirty[0], PACKED)
    assert_same_gradients(clean[2], dirty[2])


def change_from(table: Utterances, utterance: int) -> Utterances:
    """Other features, speakers and availability from this utterance of dialogue 0 on."""
    changed = (np.arange(COUNT) >= utterance) & (np.arange(COUNT) < OFFSETS[1])
    return table._replace(
        features={name: np.where(changed[:, None], 3 - values, values) for name, values in table.features.items()},
        speakers=np.where(changed, 1 - table.speakers, table.speakers),
        available={name: values ^ (changed & (m == 1)) for m, (name, values) in enumerate(table.available.items())},
    )


@pytest.mark.parametrize("index", [ONE_A_ROW, PACKED], ids=["one a row", "packed"])
def test_causal_means_the_future_changes_nothing_of_the_past(
    causal: Setup, setup_of_two: Setup, index: np.ndarray
) -> None:
    for network, is_causal in ((causal, True), (setup_of_two, False)):
        before = network.evaluate(gather(network.table, index))[0]
        for utterance in range(1, OFFSETS[1]):
            after = network.evaluate(gather(change_from(network.table, utterance), index))[0]
            moved = np.abs(scatter(after.logits, index) - scatter(before.logits, index)).max(-1) > 1e-5
            assert moved[utterance : OFFSETS[1]].all()
            assert not moved[OFFSETS[1] :].any()
            assert moved[:utterance].any() != is_causal
            if is_causal:
                for first, second in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
                    past = slice(None, utterance)
                    np.testing.assert_allclose(scatter(first, index)[past], scatter(second, index)[past], atol=1e-6)


@pytest.fixture(scope="module")
def causal(variant: Callable[..., Setup]) -> Setup:
    """The causal network, which has a window of the future, too, that it must not use."""
    return variant(causal=True)


@pytest.fixture(scope="module")
def setup_of_two(variant: Callable[..., Setup]) -> Setup:
    """The default network for two modalities."""
    return variant()


def degenerate(name: str, table: Utterances) -> Batch:
    """A batch of a special case."""
    batch = gather(table, PACKED)
    if name == "a row of one utterance":
        return gather(table, place([[2]]))
    if name == "identical utterances":
        batch = batch._replace(features={key: np.ones_like(values) for key, values in batch.features.items()})
        return batch._replace(available=dict.fromkeys(batch.available, batch.mask))
    if name == "all features zero":
        return batch._replace(features={key: np.zeros_like(values) for key, values in batch.features.items()})
    if name == "one speaker":
        return batch._replace(speakers=np.zeros_like(batch.speakers))
    if name == "one label":
        return batch._replace(labels=np.ones_like(batch.labels))
    if name == "no positive pair":
        return gather(table._replace(labels=np.arange(COUNT) % CLASSES), place([[3]]))
    if name == "nothing available":
        return batch._replace(available={key: np.zeros_like(values) for key, values in batch.available.items()})
    return gather(table, place([]))


@pytest.mark.parametrize(
    "name",
    [
        "a row of one utterance",
        "identical utterances",
        "all features zero",
        "one speaker",
        "one label",
        "no positive pair",
        "nothing available",
        "all padding",
    ],
)
def test_gradients_in_training_are_finite(setup: Setup, name: str) -> None:
    batch = degenerate(name, setup.table)
    output, terms, gradients = setup.train(batch)
    assert_finite((output, terms, gradients))
    if name == "all padding":
        assert all(value == 0 for value in terms.values())
        assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradients))
    else:
        assert terms["classification"] > 0
        assert np.abs(gradients["classifier_out"]["kernel"]).max() > 0
    if name in ("nothing available", "all padding"):
        assert terms["instance"] == terms["prototype"] == terms["latent"] == 0


def test_weights_are_those_of_the_standard_deviations(setup: Setup) -> None:
    batch = gather(setup.table, PACKED)
    output = setup.evaluate(batch)[0]
    available = np.stack([batch.available[name] for name in sorted(batch.available)])
    np.testing.assert_allclose(
        output.weights, reference.fusion_weights(np.asarray(output.latents.std), available), rtol=1e-5
    )
    np.testing.assert_allclose(output.weights.sum(0), available.any(0), rtol=1e-6)
    assert not available.any(0)[batch.mask].all()


def test_shapes_and_zeros(setup: Setup) -> None:
    batch = gather(setup.table, PACKED)
    output = setup.evaluate(batch)[0]
    of_all = (setup.modalities, ROWS, SLOTS)
    assert output.logits.shape == (ROWS, SLOTS, CLASSES)
    assert output.embeddings.shape == output.latents.mean.shape == output.latents.std.shape == (*of_all, 8)
    assert output.weights.shape == of_all
    assert output.nodes.shape == (ROWS, SLOTS, 8)
    assert output.syntactic.shape == output.semantic.shape == (ROWS, SLOTS, 4)
    available = np.stack([batch.available[name] for name in sorted(batch.available)])
    np.testing.assert_allclose(np.linalg.norm(output.embeddings, axis=-1), available, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(output.weights)[~available], 0.0)
    for values in (output.nodes, output.syntactic, output.semantic):
        np.testing.assert_array_equal(np.asarray(values)[~batch.mask], 0.0)
        assert (np.abs(np.asarray(values)[batch.mask]).max(-1) > 0).mean() > 0.5
    assert (np.asarray(output.latents.std) > 0).all()


def test_training_samples_and_drops(setup_of_two: Setup) -> None:
    batch = gather(setup_of_two.table, PACKED)
    base, again = (setup_of_two.train(batch)[0] for _ in range(2))
    np.testing.assert_array_equal(base.logits, again.logits)
    sampled = setup_of_two.train(batch, sample=OTHER_KEY)[0]
    np.testing.assert_array_equal(sampled.latents.mean, base.latents.mean)
    assert np.abs(sampled.nodes - base.nodes).max() > 1e-3
    dropped = setup_of_two.train(batch, dropout=OTHER_KEY)[0]
    assert np.abs(dropped.latents.mean - base.latents.mean).max() > 1e-3


def list_variants() -> list[Any]:
    """Every other value of every switch and reading, and another value of each number that acts without weights."""
    variants: list[tuple[str, Any]] = [("window_past", 1), ("window_future", 2), ("max_hops", 2), ("least_std", 0.3)]
    hints = typing.get_type_hints(ModelConfig)
    for field in dataclasses.fields(ModelConfig):
        kind = hints[field.name]
        values = (True, False) if kind is bool else typing.get_args(kind) if "Literal" in str(kind) else ()
        variants += [(field.name, value) for value in values if value != field.default]
    return [pytest.param(name, value, id=f"{name}={value}") for name, value in variants]


# With distances of at most two, a path has at most two hops: the encoding beyond is not read.
@pytest.mark.parametrize(("name", "value"), list_variants())
def test_every_reading_and_ablation_changes_the_logits(
    variant: Callable[..., Setup], setup_of_two: Setup, name: str, value: Any
) -> None:
    changed = variant(**{name: value})
    batch = gather(changed.table, PACKED)
    output, terms, gradients = changed.evaluate(batch)
    assert_finite((output, terms, gradients))
    base = setup_of_two.evaluate(batch)[0]
    assert np.abs(output.logits - base.logits)[batch.mask].max() > 1e-3
    # What comes before the changed part stays.
    assert (name == "causal") != (np.abs(output.embeddings - base.embeddings).max() < 1e-6)
    if name == "syntactic_encoder":
        np.testing.assert_array_equal(output.syntactic, 0.0)
    if name == "semantic_encoder":
        np.testing.assert_array_equal(output.semantic, 0.0)


def test_the_literal_preset_trains(variant: Callable[..., Setup]) -> None:
    fields = ("distribution_input", "fusion_input", "similarity", "attended_value", "residual", "skip")
    literal = variant(**{field: getattr(LITERAL.model, field) for field in fields})
    assert_finite(literal.train(gather(literal.table, PACKED)))
    alone, packed = (literal.evaluate(gather(literal.table, index)) for index in (ONE_A_ROW, PACKED))
    assert_same_outputs(alone[0], ONE_A_ROW, packed[0], PACKED, tolerance=1e-4)
    assert_same_gradients(alone[2], packed[2])
