import dataclasses
import typing
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.config import Config, LossConfig, ModelConfig
from macsgr_jax.presets import LITERAL
from macsgr_jax.types import Utterances
from tests.testing.tiny_network import (
    COUNT,
    OFFSETS,
    ONE_A_ROW,
    PACKED,
    Setup,
    assert_finite,
    assert_same_gradients,
    assert_same_outputs,
    gather,
    place,
    scatter,
    set_up,
)


@pytest.fixture(scope="module")
def variant(
    tiny_model: ModelConfig, make_params: Callable[..., Any], jit_quickly: Callable[..., Any]
) -> Callable[..., Setup]:
    """Networks for two modalities with some fields changed.

    The objective is without the alignments that read the embeddings alone, which none of the fields changes: they take
    half of the time to compile.
    """
    loss = LossConfig(instance_alignment=False, prototype_alignment=False)

    def build(**changes: Any) -> Setup:
        config = Config(model=dataclasses.replace(tiny_model, **changes), loss=loss)
        return set_up(2, config, make_params, jit_quickly)

    return build


@pytest.fixture(scope="module")
def causal(variant: Callable[..., Setup]) -> Setup:
    """The causal network, which has a window of the future, too, that it must not use."""
    return variant(causal=True)


@pytest.fixture(scope="module")
def setup_of_two(variant: Callable[..., Setup]) -> Setup:
    """The default network for two modalities."""
    return variant()


def test_longer_rows_change_neither_outputs_nor_gradients(variant: Callable[..., Setup]) -> None:
    base = variant()
    index = place([[4, 2, 0, 1], [3]], slots=13, rows=2)
    one, other = (base.evaluate(gather(base.table, where)) for where in (ONE_A_ROW, index))
    assert_same_outputs(one[0], ONE_A_ROW, other[0], index)
    assert_same_gradients(one[2], other[2])


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


def test_training_samples_and_drops(setup_of_two: Setup) -> None:
    batch = gather(setup_of_two.table, PACKED)
    base, again = (setup_of_two.train(batch)[0] for _ in range(2))
    np.testing.assert_array_equal(base.logits, again.logits)
    sampled = setup_of_two.train(batch, sample=1)[0]
    np.testing.assert_array_equal(sampled.latents.mean, base.latents.mean)
    assert np.abs(sampled.nodes - base.nodes).max() > 1e-3
    dropped = setup_of_two.train(batch, dropout=1)[0]
    assert np.abs(dropped.latents.mean - base.latents.mean).max() > 1e-3


def list_variants() -> list[Any]:
    """Every other value of every switch and ambiguity, and another value of each number that acts without weights."""
    variants: list[tuple[str, Any]] = [("window_past", 1), ("window_future", 2), ("min_std", 0.3), ("max_std", 0.2)]
    hints = typing.get_type_hints(ModelConfig)
    for field in dataclasses.fields(ModelConfig):
        kind = hints[field.name]
        values = (True, False) if kind is bool else typing.get_args(kind) if "Literal" in str(kind) else ()
        variants += [(field.name, value) for value in values if value != field.default]
    variants.remove(("modality_classifiers", True))  # They stand beside the network; see the test below.
    return [pytest.param(name, value, id=f"{name}={value}") for name, value in variants]


@pytest.mark.parametrize(("name", "value"), list_variants())
def test_every_ambiguity_and_ablation_changes_the_logits(
    variant: Callable[..., Setup], setup_of_two: Setup, name: str, value: Any
) -> None:
    changed = variant(**{name: value})
    batch = gather(changed.table, PACKED)
    output, terms, gradients = changed.evaluate(batch)
    assert_finite((output, terms, gradients))
    base = setup_of_two.evaluate(batch)[0]
    assert np.abs(output.logits - base.logits)[batch.mask].max() > 1e-3
    # What comes before the changed part stays.
    assert (name in ("causal", "matmul")) != (np.abs(output.embeddings - base.embeddings).max() < 1e-6)
    if name == "syntactic_encoder":
        np.testing.assert_array_equal(output.syntactic, 0.0)
    if name == "semantic_encoder":
        np.testing.assert_array_equal(output.semantic, 0.0)


def test_modality_classifiers_stand_beside_the_network(variant: Callable[..., Setup], setup_of_two: Setup) -> None:
    """Each reads the mean of its modality alone, and the logits of the network stay."""
    changed = variant(modality_classifiers=True)
    batch = gather(changed.table, PACKED)
    output, terms, gradients = changed.evaluate(batch)
    assert_finite((output, terms, gradients))
    base, without, _ = setup_of_two.evaluate(batch)
    np.testing.assert_allclose(output.logits, base.logits, atol=1e-6)
    assert without["uncertainty"] == 0 < terms["uncertainty"]
    kernel, bias = (changed.params["modality_classifiers"][name] for name in ("kernel", "bias"))
    expected = np.einsum("mbnd,mdc->mbnc", output.latents.mean, kernel) + bias[:, None, None]
    np.testing.assert_allclose(output.modality_logits, expected, rtol=1e-4, atol=1e-5)


def test_the_literal_preset_trains(variant: Callable[..., Setup]) -> None:
    fields = ("distribution_input", "fusion_input", "similarity", "attended_value", "residual", "classifier_skip")
    literal = variant(**{field: getattr(LITERAL.model, field) for field in fields})
    assert_finite(literal.train(gather(literal.table, PACKED)))
    alone, packed = (literal.evaluate(gather(literal.table, index)) for index in (ONE_A_ROW, PACKED))
    assert_same_outputs(alone[0], ONE_A_ROW, packed[0], PACKED, tolerance=1e-4)
    assert_same_gradients(alone[2], packed[2])
