import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
import pytest
from flax import linen as nn

from macsgr_jax.config import Config, ModelConfig
from macsgr_jax.masking import safe_normalize
from macsgr_jax.models import build_network
from macsgr_jax.models.attention import dialogue_pairs
from macsgr_jax.models.distribution import DistributionEncoder
from macsgr_jax.models.fusion import CrossModalFusion, fusion_weights
from macsgr_jax.models.graph import build_semantic_graph, semantic_similarity
from macsgr_jax.models.gru import GRUEncoder
from macsgr_jax.models.rgcn import SyntacticEncoder, aggregate_in_windows
from macsgr_jax.models.semantic import SemanticEncoder
from macsgr_jax.types import Batch, Utterances
from tests import reference
from tests.testing.tiny_network import (
    CLASSES,
    COUNT,
    ONE_A_ROW,
    PACKED,
    ROWS,
    SLOTS,
    Setup,
    assert_finite,
    assert_same_gradients,
    assert_same_outputs,
    draw_table,
    gather,
    place,
    scatter,
    set_up,
)


@pytest.fixture(scope="module", params=[1, 2, 3], ids="{}-modalities".format)
def setup(
    request: pytest.FixtureRequest,
    tiny_model: ModelConfig,
    make_params: Callable[..., Any],
    jit_quickly: Callable[..., Any],
) -> Setup:
    """The default network for one, two and three modalities."""
    return set_up(request.param, Config(model=tiny_model), make_params, jit_quickly)


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


def test_unlabelled_utterances_are_context(setup: Setup) -> None:
    """Hiding labels changes no output; the utterances stay in the recurrence and in the graph, and leave the losses."""
    hidden = np.isin(np.arange(COUNT), (1, 2, 6, 11))
    unlabelled = setup.table._replace(labels=np.where(hidden, -1, setup.table.labels).astype(np.int32))
    batch = gather(unlabelled, PACKED)
    known, found = (setup.evaluate(gather(table, PACKED)) for table in (setup.table, unlabelled))
    jax.tree.map(np.testing.assert_array_equal, known[0], found[0])
    logits, labels = scatter(found[0].logits, PACKED), setup.table.labels
    expected = reference.classification(logits, labels, ~hidden, Config().loss.class_balance)
    np.testing.assert_allclose(found[1]["classification"], expected, rtol=1e-5)
    assert_gradients_reach_everything(found[2], setup.modalities)
    changed = {name: np.where((PACKED == 2)[..., None], values + 1, values) for name, values in batch.features.items()}
    other = setup.evaluate(batch._replace(features=changed))
    moved = np.abs(scatter(other[0].logits, PACKED) - logits).max(axis=1) > 1e-6
    assert moved[[0, 3, 4]].all() and not moved[5:].any()  # The dialogue of utterance 2, and no other.
    assert float(other[1]["total"]) != float(found[1]["total"])


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
    output, terms, gradients = setup.train(batch, dropout=1)  # Not with 0, where an utterance is named with certainty.
    assert_finite((output, terms, gradients))
    if name == "all padding":
        assert all(value == 0 for value in terms.values())
        assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradients))
    else:
        assert terms["classification"] > 0
        assert np.abs(gradients["classifier_out"]["kernel"]).max() > 0
    if name in ("nothing available", "all padding"):
        assert terms["instance"] == terms["prototype"] == terms["latent"] == 0


def compose(model: ModelConfig, params: Any, batch: Batch) -> dict[str, Any]:
    """The default network in evaluation, part after part."""
    names = sorted(batch.features)
    features = {name: jnp.where(batch.available[name][..., None], batch.features[name], 0) for name in names}
    available = jnp.stack([batch.available[name] for name in names])
    allowed = dialogue_pairs(batch.dialogue, batch.mask)
    hidden = GRUEncoder(hidden_size=8).apply({"params": params["encoder"]}, features, batch.dialogue, batch.mask)
    bounds = {"min_std": model.min_std, "max_std": model.max_std}
    encoder = DistributionEncoder(heads=2, initial_std=model.initial_std, **bounds)
    latents = [
        encoder.apply(
            {"params": jax.tree.map(lambda leaf, m=m: leaf[m], params["distribution"])},
            hidden[m],
            allowed & available[m][:, None, :],
        )
        for m in range(len(names))
    ]
    weights = fusion_weights(jnp.stack([latent.std for latent in latents]), available)
    weighted = weights[..., None] * jnp.stack([latent.mean for latent in latents])
    fusion = CrossModalFusion(fused_size=8, heads=2, interaction=True, residual=True)
    nodes = fusion.apply({"params": params["fusion"]}, weighted, available, allowed) * batch.mask[..., None]
    similarity = semantic_similarity(nodes)
    graph = build_semantic_graph(nodes, similarity, batch.speakers, batch.dialogue, batch.mask, past=2, future=1)
    syntactic = SyntacticEncoder(size=4).apply({"params": params["syntactic"]}, graph, train=False)
    syntactic = syntactic.reshape(ROWS, SLOTS, 4) * batch.mask[..., None]
    semantic = SemanticEncoder(size=4, heads=2, past=2, future=1, max_hops=3)
    semantic = semantic.apply({"params": params["semantic"]}, nodes, similarity, allowed)
    refined = jnp.concatenate([jnp.concatenate([syntactic, semantic], -1) + nodes, nodes, *weighted], -1)
    hidden_layer, out = params["classifier_hidden"], params["classifier_out"]
    activated = jnp.maximum(refined @ hidden_layer["kernel"] + hidden_layer["bias"], 0)
    projected = jnp.einsum("mbnd,mde->mbne", hidden, params["projection"]["kernel"])
    projected = projected + params["projection"]["bias"][:, None, None]
    return {
        "logits": activated @ out["kernel"] + out["bias"],
        "embeddings": safe_normalize(projected) * available[..., None],
        "mean": jnp.stack([latent.mean for latent in latents]),
        "std": jnp.stack([latent.std for latent in latents]),
        "nodes": nodes,
        "syntactic": syntactic,
        "semantic": semantic,
    }


def test_the_network_is_its_parts_in_order(
    setup: Setup, tiny_model: ModelConfig, jit_quickly: Callable[..., Any]
) -> None:
    batch = gather(setup.table, PACKED)
    output = setup.evaluate(batch)[0]
    found = {**output._asdict(), **output.latents._asdict()}
    expected = jit_quickly(functools.partial(compose, tiny_model))(setup.params, batch)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


def test_training_and_evaluation_run_on_a_jraph_graph(tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default rows build a `jraph.GraphsTuple`, and the syntactic encoder reads it."""
    graphs = []

    def spy(graph: jraph.GraphsTuple, weighted: bool) -> jax.Array:
        graphs.append(graph)
        return aggregate_in_windows(graph, weighted)

    monkeypatch.setattr("macsgr_jax.models.network.aggregate_in_windows", spy)
    network = build_network(tiny_model, CLASSES)
    batch = gather(draw_table(2), PACKED)
    keys = {name: jax.random.key(0) for name in ("params", "sample", "dropout")}
    for train in (False, True):
        graphs.clear()
        jax.eval_shape(functools.partial(network.init, train=train), keys, batch)
        assert [type(graph) for graph in graphs] == [jraph.GraphsTuple] * 2  # One for each convolution.
        edges = ROWS * SLOTS * (tiny_model.window_past + 1 + tiny_model.window_future)
        assert {graph.senders.shape for graph in graphs} == {(edges,)}


def test_equal_configurations_make_equal_networks(tiny_model: ModelConfig) -> None:
    """A network is a static argument of jitted functions: an equal one must not compile anew."""
    one, again, other = (build_network(tiny_model, classes) for classes in (CLASSES, CLASSES, CLASSES + 1))
    assert one == again
    assert hash(one) == hash(again)
    assert one != other
    assert (one.num_classes, other.num_classes) == (CLASSES, CLASSES + 1)


class MeanEncoder(nn.Module):
    """An encoder without context, to be used in place of the recurrent one."""

    hidden_size: int

    @nn.compact
    def __call__(self, features: dict[str, jax.Array], dialogue: jax.Array, mask: jax.Array) -> jax.Array:
        """Hidden states of every modality, f32[M, B, N, d_e]."""
        hidden = [nn.Dense(self.hidden_size, name=name)(features[name]) for name in sorted(features)]
        return jnp.where(mask[None, :, :, None], jnp.stack(hidden), 0.0)


def test_another_encoder_is_one_argument(
    tiny_model: ModelConfig, make_params: Callable[..., Any], jit_quickly: Callable[..., Any]
) -> None:
    network = build_network(tiny_model, CLASSES).clone(encoder=MeanEncoder(hidden_size=tiny_model.hidden_size))
    batch = gather(draw_table(2), PACKED)
    params = make_params(network, batch)
    assert set(params["encoder"]) == {"audio", "text"}
    assert_finite(jit_quickly(network.apply)({"params": params}, batch))


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
