"""Maps our weights to those of the PyTorch peer: the same numbers under its names and in its layouts."""

from collections.abc import Iterator
from typing import Any

import numpy as np


def to_peer(params: dict[str, Any], modalities: list[str]) -> dict[str, np.ndarray]:
    """Maps weights, or gradients of weights, to the names of `PeerNetwork.state_dict()`.

    Our kernels are [in, out], torch's [out, in]. Both GRUs have the gates reset, update, candidate in this order; ours
    have a bias of the state for the candidate alone, so that torch's other two are zero. A linear layer without a bias
    of ours gets one of zeros where the peer has one. All of it is transposition and zeros: gradients map alike.

    Args:
        params: of `macsgr_jax.models.Network`.
        modalities: sorted.

    Returns:
        name -> f32[...].
    """
    params = _as_numpy(params)
    return {
        "prototypes": params["prototypes"],
        **dict(_encoders(params["encoder"], modalities)),
        **_distribution(params, len(modalities)),
        **dict(_fusion(params["fusion"])),
        **dict(_refinement(params)),
        **_linear("classifier_hidden", params["classifier_hidden"]),
        **_linear("classifier_out", params["classifier_out"]),
    }


def _as_numpy(tree: Any) -> Any:
    return {name: _as_numpy(leaf) for name, leaf in tree.items()} if isinstance(tree, dict) else np.asarray(tree)


def _linear(name: str, layer: dict[str, np.ndarray], inputs: int = 1, biased: bool = True) -> dict[str, np.ndarray]:
    """Maps a layer whose kernel has `inputs` input axes; if it has more than one output axis, they are the heads."""
    kernel = layer["kernel"]
    weight = kernel.reshape(int(np.prod(kernel.shape[:inputs])), -1).T
    bias = {f"{name}.bias": layer.get("bias", np.zeros(len(weight), np.float32)).reshape(-1)} if biased else {}
    return {f"{name}.weight": weight, **bias}


def _encoders(encoder: dict[str, Any], modalities: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    for index, modality in enumerate(modalities):
        layer = encoder[f"input_{modality}"]
        for direction, suffix in enumerate(("l0", "l0_reverse")):
            group = 2 * index + direction
            candidate_bias = encoder["candidate_bias"][group]
            size = len(candidate_bias)
            name, gates = f"encoder.{index}.gru", slice(3 * size * direction, 3 * size * (direction + 1))
            yield f"{name}.weight_ih_{suffix}", layer["kernel"][:, gates].T
            yield f"{name}.bias_ih_{suffix}", layer["bias"][gates]
            yield f"{name}.weight_hh_{suffix}", encoder["recurrent_kernel"][group].T
            yield f"{name}.bias_hh_{suffix}", np.pad(candidate_bias, (2 * size, 0))


def _distribution(params: dict[str, Any], modalities: int) -> dict[str, np.ndarray]:
    mapped: dict[str, np.ndarray] = {}
    for index in range(modalities):
        own = _modality(params["distribution"], index)
        norm = own.pop("LayerNorm_0")
        name = f"distribution.{index}"
        mapped |= {f"{name}.norm.weight": norm["scale"], f"{name}.norm.bias": norm["bias"]}
        for layer, values in own.items():
            mapped |= _linear(f"{name}.{layer}", values)
        mapped |= _linear(f"projection.{index}", _modality(params["projection"], index))
    return mapped


def _modality(tree: Any, index: int) -> Any:
    """Returns the part of one modality of weights whose first axis is the modality."""
    return {name: _modality(leaf, index) for name, leaf in tree.items()} if isinstance(tree, dict) else tree[index]


def _fusion(fusion: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    for name, layer in fusion.items():
        kind, _, numbers = name.partition("_")
        if kind in ("query", "key", "value"):
            yield from _linear(f"fusion.pairs.{numbers}.{kind}", layer, biased=False).items()
        else:
            yield from _linear(f"fusion.{kind}.{numbers}", layer).items()


def _refinement(params: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    for name, layer in params["syntactic"].items():
        yield from _linear(f"syntactic.{name}.relation", layer["relation"], inputs=2, biased=False).items()
        yield from _linear(f"syntactic.{name}.own", layer["own"]).items()
    yield "semantic.hop_embedding", params["semantic"]["hop_embedding"]
    for name in ("query", "key", "value"):
        yield from _linear(f"semantic.{name}", params["semantic"][name], biased=False).items()
