"""Nodes of the graph before and after refinement, and how well they separate the emotions (Fig. 7)."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from experiments.paper.study import TrainedNetwork
from macsgr_jax.models import Network
from macsgr_jax.training.checkpoint import Params
from macsgr_jax.training.step import gather_batch
from macsgr_jax.types import Utterances

NEIGHBOURS = 10


class Nodes(NamedTuple):
    """Nodes of the test split of one seed, in the order of `TrainedNetwork.utterances`.

    Attributes:
        before: f32[U, d_f], the nodes g.
        after: f32[U, d_f], the refined nodes h of eq. 27.
    """

    before: np.ndarray
    after: np.ndarray


@functools.partial(jax.jit, static_argnames=("network",))
def _compute(params: Params, utterances: Utterances, rows: Array, *, network: Network) -> tuple[Array, Array]:
    def step(index: Array) -> tuple[Array, Array]:
        output = network.apply({"params": params}, gather_batch(utterances, index))
        refined = jnp.concatenate([output.syntactic, output.semantic], axis=-1)
        return output.nodes, refined + output.nodes if network.residual else refined

    return jax.lax.map(step, rows)


def compute_nodes(trained: TrainedNetwork) -> list[Nodes]:
    """Computes the nodes of the network of every seed.

    Args:
        trained: the network.

    Returns:
        One Nodes per seed.

    Raises:
        InputError: a checkpoint is missing or damaged.
    """
    utterances, rows = trained.prepared.utterances, trained.prepared.evaluation_rows("test")
    order = np.argsort(rows[rows >= 0])
    nodes = []
    for params in trained.load_seeds():
        arrays = _compute(params, utterances, jnp.asarray(rows), network=trained.flax_network)
        before, after = (np.asarray(values)[rows >= 0][order] for values in arrays)
        nodes.append(Nodes(before=before, after=after))
    return nodes


def measure_clusters(nodes: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Measures how well nodes separate the emotions, by cosine.

    Args:
        nodes: f32[U, d], nodes.
        labels: i64[U], annotated classes, two or more.

    Returns:
        `silhouette`, between -1 and 1, and `purity`, the mean fraction of the 10 nearest other nodes that have the same
        emotion.
    """
    unit = nodes / np.maximum(np.linalg.norm(nodes, axis=1, keepdims=True), 1e-12)
    neighbours = min(NEIGHBOURS, len(unit) - 1)
    # The distance of unit vectors orders pairs as their cosine does; the nearest node of all is the node itself.
    nearest = NearestNeighbors(n_neighbors=neighbours + 1).fit(unit).kneighbors(unit, return_distance=False)
    others = np.array([row[row != own][:neighbours] for own, row in enumerate(nearest)])
    return {
        "silhouette": float(silhouette_score(unit, labels, metric="cosine")),
        "purity": float((labels[others] == labels[:, None]).mean()),
    }


def chance_purity(labels: np.ndarray) -> float:
    """Computes the purity of nodes that are independent of the emotions."""
    fractions = np.bincount(labels) / len(labels)
    return float((fractions**2).sum())
