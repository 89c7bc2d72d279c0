import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.config import Config, LossConfig
from macsgr_jax.losses import TERMS, total_loss
from macsgr_jax.losses.objective import pair_matrices
from macsgr_jax.masking import safe_normalize
from macsgr_jax.types import Batch, Gaussian, NetworkOutput
from tests import reference
from tests.testing.random_output import CLASSES, MODALITIES, ROWS, SLOTS, draw_output

LOSS = LossConfig(
    lambda_alignment=0.7,
    gamma_instance=0.3,
    gamma_prototype=0.5,
    gamma_latent=0.2,
    gamma_uncertainty=0.4,
    offset_intra=0.1,
    offset_cross=-0.1,
)

evaluate_total = jax.jit(total_loss)


def make_codes(output: NetworkOutput, batch: Batch, prototypes: np.ndarray, loss: LossConfig) -> list[np.ndarray]:
    """The codes of the labelled utterances by loops."""
    unit = prototypes / np.linalg.norm(prototypes, axis=-1, keepdims=True)
    embeddings = np.asarray(output.embeddings).reshape(2, ROWS * SLOTS, -1)
    return [
        reference.sinkhorn(vectors @ unit.T, valid, loss.sinkhorn_epsilon, loss.sinkhorn_iterations, "columns")
        for vectors, valid in zip(embeddings, list_valid(batch), strict=True)
    ]


def list_valid(batch: Batch) -> np.ndarray:
    """bool[M, U]: utterances with a modality and a label."""
    labels = np.asarray(batch.labels).reshape(-1)
    available = np.stack([batch.available[name] for name in MODALITIES]).reshape(2, -1)
    return np.array([[valid and labels[u] != -1 for u, valid in enumerate(row)] for row in available])


def reference_terms(
    output: NetworkOutput,
    batch: Batch,
    prototypes: np.ndarray,
    loss: LossConfig,
    codes: list[np.ndarray] | None = None,
) -> dict[str, float]:
    """The terms by loops, of given codes or of those that follow from the output."""
    mask = list_valid(batch)
    labels = np.asarray(batch.labels).reshape(-1)
    embeddings, mean, std = (
        np.asarray(array).reshape(2, ROWS * SLOTS, -1) for array in (output.embeddings, *output.latents)
    )
    tau = np.full((2, 2), loss.temperature_cross)
    tau[[0, 1], [0, 1]] = loss.temperature_audio, loss.temperature_text
    xi = np.full((2, 2), loss.offset_cross)
    xi[[0, 1], [0, 1]] = loss.offset_intra
    codes = make_codes(output, batch, prototypes, loss) if codes is None else codes
    logits = np.asarray(output.logits).reshape(-1, CLASSES)
    return {
        "classification": reference.classification(
            logits, labels, np.asarray(batch.mask).reshape(-1) & (labels != -1), loss.class_balance
        ),
        "instance": reference.instance_alignment(
            embeddings, labels, mask, tau, xi, loss.gate_positives, loss.offset_form
        ),
        "prototype": reference.prototype_alignment(
            embeddings, prototypes, mask, loss.temperature_prototype, codes, "entries"
        ),
        "latent": reference.latent_alignment(mean, std, mask, "entries"),
        "uncertainty": reference.uncertainty_supervision(
            np.asarray(output.modality_logits).reshape(2, ROWS * SLOTS, -1),
            np.asarray(output.weights).reshape(2, -1),
            labels,
            mask,
        ),
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
    total, terms = evaluate_total(*case, Config(loss=loss))
    expected = reference_terms(*case, loss)
    assert set(terms) == set(TERMS) == {"total", *expected}
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5, err_msg=name)
        assert value > 0.05
    alignment = 0.3 * expected["instance"] + 0.5 * expected["prototype"] + 0.2 * expected["latent"]
    supervised = expected["classification"] + 0.4 * expected["uncertainty"]
    np.testing.assert_allclose(total, supervised + 0.7 * alignment, rtol=1e-5)
    assert total == terms["total"]


@pytest.mark.parametrize("name", ["instance", "prototype", "latent"])
def test_an_ablated_term_is_zero_and_counts_as_with_gamma_zero(name: str) -> None:
    case = draw_output()
    ablated = dataclasses.replace(LOSS, **{f"{name}_alignment": False})
    weightless = dataclasses.replace(LOSS, **{f"gamma_{name}": 0.0})
    total, terms = evaluate_total(*case, Config(loss=ablated))
    same, _ = evaluate_total(*case, Config(loss=weightless))
    full, full_terms = evaluate_total(*case, Config(loss=LOSS))
    assert terms[name] == 0
    np.testing.assert_allclose(total, same, rtol=1e-6)
    assert full - total > 1e-3
    for other in set(TERMS) - {name, "total"}:
        np.testing.assert_allclose(terms[other], full_terms[other], rtol=1e-6)


def test_without_modality_classifiers_nothing_supervises_sigma() -> None:
    output, batch, prototypes = draw_output()
    full, terms = evaluate_total(output, batch, prototypes, Config(loss=LOSS))
    total, without = evaluate_total(output._replace(modality_logits=None), batch, prototypes, Config(loss=LOSS))
    assert without["uncertainty"] == 0
    np.testing.assert_allclose(full - total, 0.4 * terms["uncertainty"], rtol=1e-4)


def test_one_modality_leaves_instance_alignment_alone() -> None:
    output, batch, prototypes = draw_output()
    alone = output._replace(
        embeddings=output.embeddings[1:],
        latents=Gaussian(*(x[1:] for x in output.latents)),
        weights=output.weights[1:],
        modality_logits=output.modality_logits[1:],
    )
    batch = batch._replace(available={"text": batch.available["text"]})
    _, terms = evaluate_total(alone, batch, prototypes, Config(loss=LOSS))
    assert terms["prototype"] == terms["latent"] == 0
    assert terms["instance"] > 0


def test_vmapped_over_hyperparameters_equals_a_loop() -> None:
    case = draw_output()
    sweep = [dataclasses.replace(LOSS, gamma_instance=g, temperature_cross=t) for g, t in ((0.1, 0.05), (0.9, 0.2))]
    configs = [Config(loss=loss) for loss in sweep]
    stacked = jax.tree.map(lambda *leaves: np.stack([np.float32(leaf) for leaf in leaves]), *configs)
    found = jax.jit(jax.vmap(lambda config: total_loss(*case, config)[0]))(stacked)
    np.testing.assert_allclose(found, [evaluate_total(*case, config)[0] for config in configs], rtol=1e-5)
    assert abs(found[0] - found[1]) > 1e-3


def test_pair_matrices_follow_the_order_of_the_modalities() -> None:
    values = {"temperature_audio": 0.1, "temperature_text": 0.3, "temperature_other": 0.2, "temperature_cross": 0.05}
    loss = LossConfig(**values, offset_intra=0.5, offset_cross=-0.5)
    temperatures, offsets = pair_matrices(loss, ["audio", "text", "video"])
    cross = 0.05
    expected = [[0.1, cross, cross], [cross, 0.3, cross], [cross, cross, 0.2]]
    np.testing.assert_array_equal(temperatures, np.float32(expected))
    np.testing.assert_array_equal(offsets, np.where(np.eye(3, dtype=bool), 0.5, -0.5).astype(np.float32))
    reordered, _ = pair_matrices(loss, ["video", "text"])
    np.testing.assert_array_equal(reordered, np.float32([[0.2, cross], [cross, 0.3]]))


UNLABELLED = ((0, 1), (0, 3), (1, 0))


def hide_labels(batch: Batch, *slots: tuple[int, int]) -> Batch:
    labels = np.array(batch.labels)
    for slot in slots:
        labels[slot] = -1
    return batch._replace(labels=labels)


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_unlabelled_utterances_are_in_no_term_by_loops(
    balance: float, numerical_gradient: Callable[..., np.ndarray]
) -> None:
    """Values, and gradients by central differences; those with respect to an unlabelled utterance are exactly zero."""
    loss = dataclasses.replace(LOSS, class_balance=balance)
    output, batch, prototypes = draw_output()
    batch = hide_labels(batch, *UNLABELLED)
    assert np.all(batch.mask[tuple(zip(*UNLABELLED, strict=True))])

    def replace(logits: Any, vectors: Any, mean: Any, std: Any) -> NetworkOutput:
        return output._replace(logits=logits, embeddings=vectors, latents=Gaussian(mean, std))

    @jax.jit
    def differentiate(*parts: Any) -> Any:
        def total(*parts: Any) -> Any:
            found = replace(*parts)
            found = found._replace(embeddings=safe_normalize(found.embeddings))
            return total_loss(found, batch, prototypes, Config(loss=loss))

        return jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True)(*parts)

    parts = [output.logits, output.embeddings, *output.latents]
    (total, terms), gradients = differentiate(*parts)
    codes = make_codes(output, batch, prototypes, loss)

    def reference_total(*parts: Any) -> float:
        by_loops = reference_terms(replace(*parts), batch, prototypes, loss, codes)
        alignment = 0.3 * by_loops["instance"] + 0.5 * by_loops["prototype"] + 0.2 * by_loops["latent"]
        return by_loops["classification"] + 0.4 * by_loops["uncertainty"] + 0.7 * alignment

    expected = reference_terms(output, batch, prototypes, loss)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(total, reference_total(*parts), rtol=1e-5)
    for argument, gradient in enumerate(gradients):
        axis = 0 if argument == 0 else 1
        for slot in UNLABELLED:
            assert not np.moveaxis(gradient, (axis, axis + 1), (0, 1))[slot].any()

        def moved(values: np.ndarray, argument: int = argument) -> float:
            return reference_total(*parts[:argument], values, *parts[argument + 1 :])

        by_differences = numerical_gradient(moved, parts[argument])
        assert np.abs(by_differences).max() > 1e-3
        np.testing.assert_allclose(gradient, by_differences, rtol=1e-4, atol=1e-5)


def test_a_batch_without_labels_has_no_loss_and_no_gradient() -> None:
    output, batch, prototypes = draw_output()
    batch = batch._replace(labels=np.where(batch.mask, -1, 0))

    def total(logits: Any, embeddings: Any) -> Any:
        return total_loss(output._replace(logits=logits, embeddings=embeddings), batch, prototypes, Config(loss=LOSS))

    (value, terms), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(
        output.logits, output.embeddings
    )
    assert value == 0 and not any(map(float, terms.values()))
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0.0)
