"""The PyTorch peer is the same network with the same objective: logits, loss terms and gradients agree."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmark.torch_weights import to_peer
from macsgr_jax.config import Config
from macsgr_jax.data.batching import evaluation_rows
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.errors import InputError
from macsgr_jax.losses import TERMS, total_loss
from macsgr_jax.models import build_network
from macsgr_jax.overrides import override
from macsgr_jax.training.optimizer import learning_rate_at
from macsgr_jax.training.step import gather_batch
from tests.test_layering import ROOT, imports_any
from tests.testing.corpora import LENGTHS, make_corpus, tiny_config

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e .[peer]")

from experiments.benchmark import torch_training  # noqa: E402

# Of the largest entry of each array; gradients that are zero by mathematics are compared with NEARLY_ZERO.
TOLERANCE = 1e-4
NEARLY_ZERO = 1e-6
CPU = torch.device("cpu")
ALL = np.arange(len(LENGTHS))
CONFIG = tiny_config("train.utterance_dropout=0")  # The peer sees every utterance in every epoch.


class Results(NamedTuple):
    """Results of one network: logits f32[U, C], loss terms, and gradients under the names of the peer."""

    logits: np.ndarray
    terms: dict[str, float]
    gradients: dict[str, np.ndarray]


def make_gaps(corpus: Corpus) -> Corpus:
    """Removes a modality of single utterances, and the audio of a whole dialogue."""
    for index, values in enumerate(corpus.measured.values()):
        values[index + 2 :: 5] = False
    corpus.measured["audio_small"][corpus.offsets[1] : corpus.offsets[2]] = False
    return corpus


def run_ours(prepared: PreparedCorpus, config: Config, params: dict[str, Any], jit: Callable[..., Any]) -> Results:
    """Runs our network on all dialogues, packed into rows of more slots than any of them has."""
    modalities = sorted(prepared.utterances.features)
    rows = evaluation_rows(prepared.corpus.offsets, ALL, prepared.slots + 3, 4)[0]
    assert (rows >= 0).sum() == prepared.corpus.num_utterances
    batch = gather_batch(prepared.utterances, jnp.asarray(rows))
    network = build_network(config.model, prepared.corpus.num_classes)

    def objective(params: dict[str, Any]) -> tuple[jax.Array, Any]:
        output = network.apply({"params": params}, batch)
        loss, terms = total_loss(output, batch, params["prototypes"], config)
        return loss, (output.logits, terms)

    gradients, (logits, terms) = jit(jax.grad(objective, has_aux=True))(params)
    order = np.argsort(rows[rows >= 0])
    return Results(
        np.asarray(logits)[rows >= 0][order],
        {name: float(term) for name, term in terms.items()},
        to_peer(gradients, modalities),
    )


def run_peer(prepared: PreparedCorpus, config: Config, params: dict[str, Any]) -> Results:
    """Runs the peer on all dialogues as one padded batch."""
    training = torch_training.PeerTraining(prepared, config, CPU)
    network = training.network.eval()
    network.load(to_peer(params, network.modalities))
    dialogues = torch_training.PeerDialogues(prepared.utterances, prepared.corpus.offsets, ALL, CPU)
    batch = torch_training.collate([dialogues[index] for index in range(len(dialogues))])
    output = network(batch)
    loss, terms = torch_training.total_loss(output, batch, network.prototypes, training.temperatures, config.loss)
    loss.backward()
    return Results(
        output.logits[batch.mask].detach().numpy(),
        {name: term.item() for name, term in terms.items()},
        {name: weight.grad.numpy() for name, weight in network.named_parameters()},
    )


def make_weights(prepared: PreparedCorpus, make_params: Callable[..., Any]) -> dict[str, Any]:
    """Draws random weights of our network, biases too."""
    batch = gather_batch(prepared.utterances, jnp.asarray(prepared.evaluation_rows("train")[0]))
    weights: dict[str, Any] = make_params(build_network(CONFIG.model, prepared.corpus.num_classes), batch)
    return weights


@pytest.fixture(scope="module")
def prepared() -> PreparedCorpus:
    return prepare(make_gaps(make_corpus()), CONFIG)


@pytest.fixture(scope="module")
def params(prepared: PreparedCorpus, make_params: Callable[..., Any]) -> dict[str, Any]:
    return make_weights(prepared, make_params)


@pytest.fixture(scope="module", params=[("audio", "text"), ("audio", "text", "video")], ids=["2", "3"])
def results(
    request: pytest.FixtureRequest, make_params: Callable[..., Any], jit_quickly: Callable[..., Any]
) -> tuple[Results, Results]:
    """Returns ours and the peer's, of the same weights for the same dialogues, without dropout and from the means."""
    prepared = prepare(make_gaps(make_corpus(modalities=request.param)), CONFIG)
    params = make_weights(prepared, make_params)
    return run_ours(prepared, CONFIG, params, jit_quickly), run_peer(prepared, CONFIG, params)


def test_logits(results: tuple[Results, Results]) -> None:
    """Both networks have the same logits."""
    ours, peers = results
    assert ours.logits.shape == (sum(LENGTHS), 3)
    assert np.max(np.abs(ours.logits - peers.logits)) < TOLERANCE * np.max(np.abs(ours.logits))


def test_loss_terms(results: tuple[Results, Results]) -> None:
    """Both objectives have the same terms."""
    ours, peers = results
    assert set(ours.terms) == set(peers.terms) == set(TERMS)
    assert {name for name, value in ours.terms.items() if value > 0} == set(TERMS) - {"uncertainty"}
    for name, value in ours.terms.items():
        assert abs(value - peers.terms[name]) <= TOLERANCE * value, name


def test_gradients(results: tuple[Results, Results]) -> None:
    """Both objectives have the same gradients by every weight."""
    ours, peers = results
    assert set(ours.gradients) == set(peers.gradients)
    for name, gradient in ours.gradients.items():
        other = peers.gradients[name]
        if "bias_hh" in name:  # Only the last third, the candidate's, exists in ours.
            gradient, other = np.split(gradient, 3)[2], np.split(other, 3)[2]
        # A bias of the keys shifts all logits of a softmax alike: its gradient is nothing but rounding.
        zero = name.startswith("distribution") and name.endswith("key.bias")
        limit = NEARLY_ZERO if zero else TOLERANCE * np.max(np.abs(gradient))
        assert limit > 0, f"{name} has no gradient"
        assert np.max(np.abs(gradient - other)) < limit, name


def test_missing_bias(prepared: PreparedCorpus, params: dict[str, Any]) -> None:
    """A missing bias of the keys is mapped to a bias of zero."""
    key = params["distribution"]["key"]
    without = {**params, "distribution": {**params["distribution"], "key": {"kernel": key["kernel"]}}}
    mapped = to_peer(without, ["audio", "text"])
    network = torch_training.PeerTraining(prepared, CONFIG, CPU).network
    network.load(mapped)  # Every weight has its place, and every place its weight.
    assert not network.distribution[1].key.bias.any()
    assert network.distribution[1].query.bias.all()


def test_training(prepared: PreparedCorpus) -> None:
    """The peer trains on the same schedule, with the prototypes frozen at first."""
    config = override(CONFIG, ["train.epochs=3", "train.dialogues_per_step=2"])
    training = torch_training.PeerTraining(prepared, config, CPU)
    weights = {name: weight.detach().clone() for name, weight in training.network.named_parameters()}
    steps = len(training.batches)
    for epoch in (1, 2):
        terms = training.train_epoch()
        assert set(terms) == set(TERMS) and np.isfinite(list(terms.values())).all()
        rate = learning_rate_at(jnp.asarray(epoch * steps), steps, config.train)
        assert training.schedule.get_last_lr() == pytest.approx([float(rate)] * 2, rel=1e-5)
        moved = {name for name, weight in training.network.named_parameters() if (weight != weights[name]).any()}
        assert ("prototypes" in moved) == (epoch == 2)
        assert moved >= set(weights) - {"prototypes"}
    utterances = len(prepared.corpus.utterances_of("train"))
    assert 0 <= training.count_correct() <= utterances
    slots = sum(batch.mask.numel() for batch in training.ordered)
    assert slots > utterances and 0 < training.padding_fraction() < 1


@pytest.mark.parametrize(
    "assignment",
    [
        "model.causal=true",
        "model.similarity=printed",
        "model.window_future=0",
        "loss.gate_positives=false",
        "loss.offset_cross=0.1",
        "train.weight_decay_mode=decoupled",
        "train.utterance_dropout=0.5",
    ],
)
def test_other_settings(prepared: PreparedCorpus, assignment: str) -> None:
    """A setting that the peer does not implement is refused by its name."""
    with pytest.raises(InputError, match=assignment.split("=")[0]):
        torch_training.PeerTraining(prepared, override(CONFIG, [assignment]), CPU)


def test_one_modality() -> None:
    """A corpus of one modality is refused."""
    with pytest.raises(InputError, match="two or more"):
        torch_training.PeerTraining(prepare(make_corpus(modalities=["text"]), CONFIG), CONFIG, CPU)


def test_importers_of_torch() -> None:
    """Only the peer imports torch, and the accelerator suite where it is installed."""
    folders = (ROOT / "experiments", ROOT / "macsgr_jax")
    importers = {path.name for folder in folders for path in folder.rglob("*.py") if imports_any(path, "torch")}
    peer = {"torch_network.py", "torch_training.py"}
    assert peer <= importers <= {*peer, "accelerator_suite.py"}
