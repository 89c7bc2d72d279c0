"""With dropout and clipping off, every variant of the network learns random labels of random features by heart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import prepare
from macsgr_jax.models import build_network
from macsgr_jax.overrides import setting_names
from macsgr_jax.training import step as train
from macsgr_jax.types import Utterances
from tests.testing.corpora import compile_quickly, make_corpus, tiny_config

OVERFIT = (
    "model.dropout=0",
    "model.input_dropout=0",
    "loss.prototype_frozen_epochs=0",
    "train.schedule=constant",
    "train.learning_rate=0.01",
    "train.clip_norm=0",
    "train.weight_decay=0",
    "train.utterance_dropout=0",
)
STEPS = 300
SWITCHES = [
    f"{name}={str(not value).lower()}"
    for name, kind, value in setting_names(Config())
    if kind is bool and name.startswith(("model.", "loss."))
]
QUICK = ("model.cross_modal_interaction=false", "model.semantic_encoder=false")


def overfit(modalities: tuple[str, ...], *assignments: str) -> float:
    """Training accuracy after `STEPS` steps; one compilation of everything."""
    config = tiny_config(*OVERFIT, *assignments)
    splits = ("train",) * 4 + ("validation", "test")
    prepared = prepare(make_corpus((5, 3, 6, 4, 2, 2), splits, modalities, num_classes=4), config)
    rows = jnp.tile(jnp.asarray(prepared.epoch_rows(np.random.default_rng(0))), (STEPS, 1, 1))
    network = build_network(config.model, 4)

    @jax.jit
    def fit(key: jax.Array, utterances: Utterances, rows: jax.Array, config: Config) -> jax.Array:
        state = train.init_state(key, utterances, rows[0], config, network=network)
        state, _ = train.train_epoch(state, utterances, rows, config, network=network)
        return train.evaluate(state.params, utterances, rows[:1], network=network).confusion

    with compile_quickly():
        confusion = fit(jax.random.key(0), prepared.utterances, rows, config)
    assert confusion.sum() == 18
    return float(jnp.trace(confusion) / confusion.sum())


@pytest.mark.parametrize(
    "modalities",
    [
        pytest.param(("text",), marks=pytest.mark.slow, id="text"),
        pytest.param(("audio", "text"), id="audio+text"),
        pytest.param(("audio", "text", "video"), marks=pytest.mark.slow, id="audio+text+video"),
    ],
)
def test_the_network_learns_random_labels_by_heart(modalities: tuple[str, ...]) -> None:
    assert overfit(modalities) == 1.0


def test_there_is_a_switch_for_every_ablation() -> None:
    assert len(SWITCHES) == 14 and set(QUICK) < set(SWITCHES)


@pytest.mark.parametrize(
    "switch", [pytest.param(switch, marks=() if switch in QUICK else pytest.mark.slow) for switch in SWITCHES]
)
def test_each_ablation_learns_random_labels_by_heart(switch: str) -> None:
    assert overfit(("audio", "text"), switch) == 1.0
