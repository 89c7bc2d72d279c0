"""Two ways to compute the same, in turns: custom gradient and plain loss, sums over windows and over any edges."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.benchmark.timing import compare_seconds, interleave, summarize_seconds
from macsgr_jax.config import ModelConfig
from macsgr_jax.losses.instance import dense_instance_alignment, instance_alignment
from macsgr_jax.masking import safe_normalize
from macsgr_jax.models.graph import build_semantic_graph, semantic_similarity
from macsgr_jax.models.rgcn import aggregate_by_relation, aggregate_in_windows

MODALITIES = 2


def measure_forms(config: ModelConfig, num_classes: int, rows: int, slots: int, rounds: int) -> dict[str, Any]:
    """Measures values and gradients of a batch without padding, of one dialogue per row.

    Args:
        config: the sizes.
        num_classes: C, the number of emotions.
        rows: the number B of rows.
        slots: the number N of slots of a row.
        rounds: the number of measured calls of each.

    Returns:
        "contrast" and "aggregation" -> `ours` and `plain`, seconds, and `ratio`, by which factor ours is faster.
    """
    rng = np.random.default_rng(0)
    labels = jnp.asarray(rng.integers(0, num_classes, rows * slots))
    embeddings = _draw(rng, MODALITIES, rows * slots, config.hidden_size)
    mask, pairs = jnp.ones((MODALITIES, rows * slots), bool), (MODALITIES, MODALITIES)
    temperatures, offsets = jnp.full(pairs, 0.1), jnp.zeros(pairs)
    contrasts = {"ours": instance_alignment, "plain": dense_instance_alignment}

    dialogue = jnp.broadcast_to(jnp.arange(rows)[:, None], (rows, slots))
    speakers = jnp.asarray(rng.integers(0, 2, (rows, slots)))
    nodes = _draw(rng, rows, slots, config.fused_size)
    aggregations = {"ours": aggregate_in_windows, "plain": aggregate_by_relation}

    def contrast(form: Callable[..., Array]) -> Callable[[Array], Array]:
        return lambda embeddings: form(safe_normalize(embeddings), labels, mask, temperatures, offsets)

    def aggregation(form: Callable[..., Array]) -> Callable[[Array], Array]:
        def total(nodes: Array) -> Array:
            graph = build_semantic_graph(
                nodes,
                semantic_similarity(nodes),
                speakers,
                dialogue,
                dialogue >= 0,
                past=config.window_past,
                future=config.reach_future,
            )
            return jnp.sum(jnp.square(form(graph)))

        return total

    return {
        "contrast": _compare({name: contrast(form) for name, form in contrasts.items()}, embeddings, rounds),
        "aggregation": _compare({name: aggregation(form) for name, form in aggregations.items()}, nodes, rounds),
    }


def _draw(rng: np.random.Generator, *shape: int) -> Array:
    return jnp.asarray(rng.standard_normal(shape, np.float32))


def _compare(forms: dict[str, Callable[[Array], Array]], given: Array, rounds: int) -> dict[str, Any]:
    programs = {name: jax.jit(jax.value_and_grad(form)) for name, form in forms.items()}
    calls = {name: lambda program=program: jax.block_until_ready(program(given)) for name, program in programs.items()}
    seconds = interleave(calls, rounds)
    spread: dict[str, Any] = {name: summarize_seconds(of_form) for name, of_form in seconds.items()}
    return {**spread, "ratio": compare_seconds(seconds["ours"], seconds["plain"])}
