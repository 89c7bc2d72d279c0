import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.config import Config, LossConfig
from macsgr_jax.hparams import make_hparams
from macsgr_jax.losses import TERMS, classification, total_loss
from macsgr_jax.types import Batch, Gaussian, NetworkOutput
from tests import reference

ROWS, SLOTS, CLASSES, K = 2, 4, 3, 5
MODALITIES = ("audio", "text")
LOSS = LossConfig(
    lambda_alignment=0.7, gamma_instance=0.3, gamma_prototype=0.5, gamma_latent=0.2, offset_intra=0.1, offset_cross=-0.1
)

evaluate_classification = jax.jit(classification)
differentiate_classification = jax.jit(jax.value_and_grad(classification))
evaluate_total = jax.jit(total_loss, static_argnames="config")


def draw_logits(seed: int, utterances: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits [U, C], labels and mask."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(utterances, CLASSES)).astype(np.float32) * 3
    return logits, random.integers(0, CLASSES, utterances), random.random(utterances) < 0.7


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("utterances", [1, 2, 7, 20])
def test_classification_equals_the_loops(utterances: int, seed: int) -> None:
    case = draw_logits(seed, utterances)
    np.testing.assert_allclose(evaluate_classification(*case), reference.classification(*case), rtol=1e-5)


@pytest.mark.parametrize("balance", [0.0, 0.4, 1.0])
def test_balanced_classification_equals_the_loops(
    balance: float, numerical_gradient: Callable[..., np.ndarray]
) -> None:
    logits, labels, mask = draw_logits(2, 9)
    assert len(set(np.bincount(labels[mask], minlength=CLASSES))) > 1  # Some emotions are rarer than others.
    value, gradient = jax.value_and_grad(classification)(logits, labels, mask, balance=balance)
    np.testing.assert_allclose(value, reference.classification(logits, labels, mask, balance), rtol=1e-5)
    expected = numerical_gradient(lambda x: reference.classification(x, labels, mask, balance), logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_fully_balanced_classification_is_the_mean_of_the_means() -> None:
    logits, labels, mask = draw_logits(3, 20)
    of_labels = [classification(logits, labels, mask & (labels == label)) for label in range(CLASSES)]
    assert mask.any() and all(np.any(mask & (labels == label)) for label in range(CLASSES))
    np.testing.assert_allclose(classification(logits, labels, mask, balance=1.0), np.mean(of_labels), rtol=1e-5)


def test_balanced_classification_of_garbage_and_of_nothing() -> None:
    logits, labels, mask = draw_logits(1, 7)
    clean = classification(logits, labels, mask, balance=0.5)
    logits[~mask], labels[~mask] = np.nan, -1
    value, gradient = jax.value_and_grad(classification)(logits, labels, mask, balance=0.5)
    assert value == clean and np.isfinite(gradient).all()
    value, gradient = jax.value_and_grad(classification)(logits, labels, np.zeros(7, bool), balance=0.5)
    assert value == 0 and not np.any(gradient)


def test_classification_gradient_equals_central_differences(numerical_gradient: Callable[..., np.ndarray]) -> None:
    logits, labels, mask = draw_logits(0, 7)
    _, gradient = differentiate_classification(logits, labels, mask)
    expected = numerical_gradient(lambda x: reference.classification(x, labels, mask), logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(expected[mask]).min() > 0


def test_classification_of_nothing_is_zero_with_zero_gradient() -> None:
    logits, labels, _ = draw_logits(0, 7)
    value, gradient = differentiate_classification(logits, labels, np.zeros(7, bool))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("garbage", [1e30, np.inf, np.nan])
@pytest.mark.parametrize("label", [-1, 10**6])
def test_appended_garbage_does_not_change_classification(garbage: float, label: int) -> None:
    logits, labels, mask = draw_logits(1, 7)
    value, gradient = differentiate_classification(logits, labels, mask)
    longer_value, longer_gradient = differentiate_classification(
        np.pad(logits, ((0, 4), (0, 0)), constant_values=garbage),
        np.pad(labels, (0, 4), constant_values=label),
        np.pad(mask, (0, 4)),
    )
    np.testing.assert_allclose(longer_value, value, rtol=1e-5)
    np.testing.assert_allclose(longer_gradient[:7], gradient, atol=1e-6)
    np.testing.assert_array_equal(longer_gradient[7:], 0.0)


def test_vmapped_classification_equals_a_loop() -> None:
    cases = [draw_logits(seed, 7) for seed in range(4)]
    found = jax.jit(jax.vmap(classification))(*(np.stack(arrays) for arrays in zip(*cases, strict=True)))
    np.testing.assert_allclose(found, [evaluate_classification(*case) for case in cases], rtol=1e-5)


def draw_output(seed: int = 0) -> tuple[NetworkOutput, Batch, np.ndarray]:
    """What a network could have said of a batch with padding and missing modalities, and prototypes."""
    random = np.random.default_rng(seed)
    places = (len(MODALITIES), ROWS, SLOTS)
    embeddings, mean = random.normal(size=(2, *places, 4)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=-1, keepdims=True)
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool)
    available = mask & (random.random(places) < 0.8)
    nothing = np.zeros((ROWS, SLOTS, 1), np.float32)
    output = NetworkOutput(
        logits=random.normal(size=(ROWS, SLOTS, CLASSES)).astype(np.float32),
        embeddings=np.where(available[..., None], embeddings, 0),
        latents=Gaussian(mean, random.uniform(0.1, 1, mean.shape).astype(np.float32)),
        weights=np.zeros(places, np.float32),
        nodes=nothing,
        syntactic=nothing,
        semantic=nothing,
    )
    batch = Batch(
        # Not in alphabetical order, which is the network's.
        features={name: nothing for name in reversed(MODALITIES)},
        available={name: available[m] for m, name in reversed(list(enumerate(MODALITIES)))},
        speakers=np.zeros((ROWS, SLOTS), np.int32),
        labels=random.integers(0, CLASSES, (ROWS, SLOTS)),
        dialogue=np.where(mask, 0, -1),
        mask=mask,
    )
    return output, batch, random.normal(size=(K, 4)).astype(np.float32)


def reference_terms(output: NetworkOutput, batch: Batch, prototypes: np.ndarray, loss: LossConfig) -> dict[str, float]:
    """The terms by loops."""
    mask = np.stack([batch.available[name] for name in MODALITIES]).reshape(2, -1)
    labels = np.asarray(batch.labels).reshape(-1)
    embeddings, mean, std = (
        np.asarray(array).reshape(2, ROWS * SLOTS, -1) for array in (output.embeddings, *output.latents)
    )
    tau = np.full((2, 2), loss.temperature_cross)
    tau[[0, 1], [0, 1]] = loss.temperature_audio, loss.temperature_text
    xi = np.full((2, 2), loss.offset_cross)
    xi[[0, 1], [0, 1]] = loss.offset_intra
    unit = prototypes / np.linalg.norm(prototypes, axis=-1, keepdims=True)
    codes = [
        reference.sinkhorn(vectors @ unit.T, valid, loss.sinkhorn_epsilon, loss.sinkhorn_iterations, "columns")
        for vectors, valid in zip(embeddings, mask, strict=True)
    ]
    logits = np.asarray(output.logits).reshape(-1, CLASSES)
    return {
        "classification": reference.classification(logits, labels, np.asarray(batch.mask).reshape(-1)),
        "instance": reference.instance_alignment(
            embeddings, labels, mask, tau, xi, loss.gate_positives, loss.offset_form
        ),
        "prototype": reference.prototype_alignment(
            embeddings, prototypes, mask, loss.temperature_prototype, codes, "entries"
        ),
        "latent": reference.latent_alignment(mean, std, mask, "entries"),
    }


@pytest.mark.parametrize(
    "loss",
    [
        LOSS,
        dataclasses.replace(
            LOSS, gate_positives=False, offset_form="printed", sinkhorn_epsilon=0.2, sinkhorn_iterations=1
        ),
    ],
    ids=["default", "other readings"],
)
def test_total_equals_its_terms_by_loops(loss: LossConfig) -> None:
    case = draw_output()
    total, terms = evaluate_total(*case, make_hparams(Config(loss=loss), MODALITIES), config=loss)
    expected = reference_terms(*case, loss)
    assert set(terms) == set(TERMS) == {"total", *expected}
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5, err_msg=name)
        assert value > 0.05
    alignment = 0.3 * expected["instance"] + 0.5 * expected["prototype"] + 0.2 * expected["latent"]
    np.testing.assert_allclose(total, expected["classification"] + 0.7 * alignment, rtol=1e-5)
    assert total == terms["total"]


@pytest.mark.parametrize("name", ["instance", "prototype", "latent"])
def test_an_ablated_term_is_zero_and_counts_as_with_gamma_zero(name: str) -> None:
    case = draw_output()
    ablated = dataclasses.replace(LOSS, **{f"{name}_alignment": False})
    weightless = dataclasses.replace(LOSS, **{f"gamma_{name}": 0.0})
    total, terms = evaluate_total(*case, make_hparams(Config(loss=ablated), MODALITIES), config=ablated)
    same, _ = evaluate_total(*case, make_hparams(Config(loss=weightless), MODALITIES), config=LOSS)
    full, full_terms = evaluate_total(*case, make_hparams(Config(loss=LOSS), MODALITIES), config=LOSS)
    assert terms[name] == 0
    np.testing.assert_allclose(total, same, rtol=1e-6)
    assert full - total > 1e-3
    for other in set(TERMS) - {name, "total"}:
        np.testing.assert_allclose(terms[other], full_terms[other], rtol=1e-6)


def test_one_modality_leaves_instance_alignment_alone() -> None:
    output, batch, prototypes = draw_output()
    alone = output._replace(embeddings=output.embeddings[1:], latents=Gaussian(*(x[1:] for x in output.latents)))
    batch = batch._replace(available={"text": batch.available["text"]})
    _, terms = evaluate_total(alone, batch, prototypes, make_hparams(Config(loss=LOSS), ("text",)), config=LOSS)
    assert terms["prototype"] == terms["latent"] == 0
    assert terms["instance"] > 0


def test_vmapped_over_hyperparameters_equals_a_loop() -> None:
    case = draw_output()
    sweep = [dataclasses.replace(LOSS, gamma_instance=g, temperature_cross=t) for g, t in ((0.1, 0.05), (0.9, 0.2))]
    runs = [make_hparams(Config(loss=loss), MODALITIES) for loss in sweep]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *runs)

    def evaluate(hparams: Any) -> Any:
        return total_loss(*case, hparams, LOSS)[0]

    found = jax.jit(jax.vmap(evaluate))(stacked)
    np.testing.assert_allclose(found, [evaluate_total(*case, run, config=LOSS)[0] for run in runs], rtol=1e-5)
    assert abs(found[0] - found[1]) > 1e-3
