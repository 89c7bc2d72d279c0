"""The measured gradients against those of the steps that training takes."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.paper.gradient_norms import list_weights, measure_gradients
from macsgr_jax.models import build_network
from macsgr_jax.training.loop import epoch_indices, train_runs
from macsgr_jax.training.step import gather_batch, init_state, objective
from tests.testing.corpora import compile_quickly
from tests.testing.ten_seeds import make_config, make_prepared


@pytest.mark.slow
def test_norms_are_those_of_the_training() -> None:
    config = make_config()
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=2))
    prepared = make_prepared(config)
    with compile_quickly():
        measured = measure_gradients(prepared, config, seed=3)
        trained = [epoch.report for epoch in train_runs(prepared, config, [3])]
        network = build_network(config.model, prepared.corpus.num_classes)
        state = init_state(
            jax.random.key(3), prepared.utterances, prepared.evaluation_rows("validation")[0], config, network=network
        )
        batch = gather_batch(prepared.utterances, epoch_indices(prepared, [3], 1)[0][0])
        gradient = jax.grad(lambda params: objective(params, state, batch, config, network=network)[0])(state.params)
    np.testing.assert_allclose(measured.validation, [report.validation["waf1"][0] for report in trained], rtol=1e-5)
    weights = list_weights(config)
    losses = np.concatenate([np.stack([r.terms[name][0] for name in weights], 1) for r in trained])
    np.testing.assert_allclose(measured.losses, losses * np.array(list(weights.values())), rtol=1e-3, atol=1e-5)
    norms = {
        name: np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(part))) for name, part in gradient.items()
    }
    assert measured.whole[0] == pytest.approx(np.linalg.norm(list(norms.values())), rel=1e-4)
    # The classifier's gradient is that of the classification loss alone.
    column = measured.modules.index("classifier_out")
    assert measured.parts[0, 0, column] == pytest.approx(norms["classifier_out"], rel=1e-4)
    assert not measured.parts[0, 1:, column].any()
    moved = measured.updates > 0
    moved[:, measured.modules.index("prototypes")] = True  # They are frozen at first.
    assert np.all(moved)
