"""Each equation of the paper as loops in NumPy (float64), written from the paper's text and DESIGN.md alone.

Slow and plain on purpose: what the package computes is compared with this. Letters of shapes as in macsgr_jax.types.
"""

import math
from collections import deque
from typing import Literal

import numpy as np

Array = np.ndarray
Edge = tuple[int, int, int]


def cosine(first: Array, second: Array) -> float:
    """z_i . z_j / (|z_i| |z_j|), and 0 with a zero vector."""
    lengths = math.sqrt(sum(float(x) ** 2 for x in first)) * math.sqrt(sum(float(x) ** 2 for x in second))
    return sum(float(x) * float(y) for x, y in zip(first, second, strict=True)) / lengths if lengths > 0 else 0.0


def doubles(*arrays: Array) -> list[Array]:
    """The arrays in float64."""
    return [np.asarray(array, np.float64) for array in arrays]


def log_sum_exp(values: list[float]) -> float:
    """Log of the sum of exponentials."""
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def instance_alignment(
    embeddings: Array,
    labels: Array,
    mask: Array,
    temperatures: Array,
    offsets: Array,
    gate: bool = True,
    form: Literal["inside", "printed"] = "inside",
) -> float:
    """Eqs. 3 to 6: inside is S = exp((cos - xi) / tau), printed is S = exp(cos / tau - xi)."""
    modalities, utterances = mask.shape
    valid = [(m, u) for m in range(modalities) for u in range(utterances) if mask[m, u]]
    losses = []
    for i in valid:
        positives, negatives = [], []  # log S_ij
        for j in valid:
            if j == i:
                continue
            tau, xi = float(temperatures[i[0], j[0]]), float(offsets[i[0], j[0]])
            similarity = cosine(embeddings[i], embeddings[j])
            log_s = (similarity - xi) / tau if form == "inside" else similarity / tau - xi  # Eq. 3
            if labels[j[1]] != labels[i[1]]:
                negatives.append(log_s)
            elif not gate or log_s > 0:  # S_ij > 1
                positives.append(log_s)
        terms = [log_s - log_sum_exp([log_s, *negatives]) for log_s in positives]
        losses.append(-sum(terms) / len(terms) if terms else 0.0)  # Eqs. 4 and 5
    return sum(losses) / len(losses) if losses else 0.0  # Eq. 6


def sinkhorn_converged(scores: Array, mask: Array, epsilon: float, iterations: int = 5000) -> Array:
    """The entropic plan with uniform marginals over valid rows and over columns; its rows scaled to sum to one."""
    codes = np.zeros(scores.shape, np.float64)
    valid = np.flatnonzero(mask)
    if len(valid):
        logits = np.asarray(scores, np.float64)[valid] / epsilon
        for _ in range(iterations):
            logits = logits - np.logaddexp.reduce(logits, axis=0) + math.log(len(valid) / scores.shape[1])
            logits = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        codes[valid] = np.exp(logits)
    return codes


def sinkhorn(
    scores: Array, mask: Array, epsilon: float, iterations: int, first: Literal["rows", "columns"] = "rows"
) -> Array:
    """Exactly `iterations` rounds of Sinkhorn-Knopp, from potentials of zero, then valid rows scaled to sum to one.

    A round updates the row potentials first and then the column potentials; first="columns" turns that around, which is
    the order of SwAV and of OTT (there the rows are met last, and the final scaling changes nothing).
    """
    rows, columns = [u for u in range(len(mask)) if mask[u]], range(scores.shape[1])
    row_potential, column_potential = dict.fromkeys(rows, 0.0), dict.fromkeys(columns, 0.0)
    logits = {(u, k): float(scores[u, k]) / epsilon for u in rows for k in columns}

    def update_rows() -> None:
        for u in rows:
            mass = log_sum_exp([logits[u, k] + column_potential[k] for k in columns])
            row_potential[u] = -math.log(len(rows)) - mass

    def update_columns() -> None:
        for k in columns:
            mass = log_sum_exp([logits[u, k] + row_potential[u] for u in rows])
            column_potential[k] = -math.log(len(columns)) - mass

    for _ in range(iterations if rows else 0):
        for update in (update_rows, update_columns) if first == "rows" else (update_columns, update_rows):
            update()
    codes = np.zeros(scores.shape, np.float64)
    for u in rows:
        weights = [math.exp(logits[u, k] + row_potential[u] + column_potential[k]) for k in columns]
        codes[u] = [weight / sum(weights) for weight in weights]
    return codes


def average_over_pairs(losses_of_pairs: list[list[float]], average: Literal["pairs", "entries"]) -> float:
    """Mean of the pairs' means (pairs without a common utterance left out), or of all their entries alike."""
    if average == "entries":
        losses_of_pairs = [[loss for losses in losses_of_pairs for loss in losses]]
    means = [sum(losses) / len(losses) for losses in losses_of_pairs if losses]
    return sum(means) / len(means) if means else 0.0


def prototype_alignment(
    embeddings: Array,
    prototypes: Array,
    mask: Array,
    temperature: float,
    codes: list[Array],
    average: Literal["pairs", "entries"] = "pairs",
) -> float:
    """Eqs. 7 to 11, with the minus that eqs. 9 and 10 dropped; `codes` are q[U, K] of each modality."""
    modalities, utterances = mask.shape
    losses_of_pairs = []
    for a in range(modalities):
        for b in range(modalities):
            losses = []
            for u in range(utterances):
                if a == b or not (mask[a, u] and mask[b, u]):
                    continue
                logits = [cosine(embeddings[a, u], prototype) / temperature for prototype in prototypes]
                log_p = [logit - log_sum_exp(logits) for logit in logits]  # Eqs. 7 and 8
                losses.append(-sum(float(q) * p for q, p in zip(codes[b][u], log_p, strict=True)))  # Eqs. 9 and 10
            losses_of_pairs.append(losses)
    return average_over_pairs(losses_of_pairs, average)  # Eq. 11


def latent_alignment(mean: Array, std: Array, mask: Array, average: Literal["pairs", "entries"] = "pairs") -> float:
    """Eq. 12, sigma being the standard deviation."""
    modalities, utterances = mask.shape
    losses_of_pairs: list[list[float]] = []
    for a in range(modalities):
        for b in range(a + 1, modalities):
            losses_of_pairs.append([])
            for u in range(utterances):
                if mask[a, u] and mask[b, u]:
                    of_means = sum((float(x) - float(y)) ** 2 for x, y in zip(mean[a, u], mean[b, u], strict=True))
                    of_stds = sum((float(x) - float(y)) ** 2 for x, y in zip(std[a, u], std[b, u], strict=True))
                    losses_of_pairs[-1].append(math.sqrt(of_means + of_stds))
    return 0.5 * average_over_pairs(losses_of_pairs, average)


def classification(logits: Array, labels: Array, mask: Array, balance: float = 0.0) -> float:
    """Eq. 30: mean cross-entropy over the valid utterances; rare labels weigh more where it is balanced."""
    valid = [u for u in range(len(mask)) if mask[u]]
    losses = [log_sum_exp([float(x) for x in logits[u]]) - float(logits[u, int(labels[u])]) for u in valid]
    weights = [sum(labels[other] == labels[u] for other in valid) ** -balance for u in valid]
    return sum(w * x for w, x in zip(weights, losses, strict=True)) / sum(weights) if losses else 0.0


def uncertainty_supervision(logits: Array, weights: Array, labels: Array, mask: Array) -> float:
    """The mean error of the modalities alone, and the mean cross-entropy of omega with softmax(-error)."""
    errors, differences = [], []
    for u in range(mask.shape[1]):
        own = {
            m: log_sum_exp([float(x) for x in logits[m, u]]) - float(logits[m, u, int(labels[u])])
            for m in range(len(mask))
            if mask[m, u]
        }
        errors += own.values()
        if len(own) > 1:
            total = sum(math.exp(-error) for error in own.values())
            differences.append(-sum(math.exp(-e) / total * math.log(weights[m, u]) for m, e in own.items()))
    return sum(errors) / max(len(errors), 1) + sum(differences) / max(len(differences), 1)


def fusion_weights(std: Array, available: Array, inverse: bool = False) -> Array:
    """Eqs. 14 and 15 for M modalities over those available: f64[M, ...]; inverse takes 1 / |sigma|."""
    weights = np.zeros(available.shape, np.float64)
    for place in np.ndindex(available.shape[1:]):
        sizes = {}
        for m in range(available.shape[0]):
            if available[(m, *place)]:
                norm = math.sqrt(sum(float(x) ** 2 for x in std[(m, *place)]))
                sizes[m] = 1.0 / norm if inverse else norm
        for m, size in sizes.items():
            weights[(m, *place)] = size / sum(sizes.values())
    return weights


def semantic_similarity(nodes: Array, scaled: bool = True, limit: float = 1 - 1e-6) -> Array:
    """Eq. 22 with the cosine clipped to [-limit, limit]: 1 - arccos / pi, or as printed 1 - arccos."""
    num = len(nodes)
    similarity = np.zeros((num, num), np.float64)
    for i in range(num):
        for j in range(num):
            angle = math.acos(min(max(cosine(nodes[i], nodes[j]), -limit), limit))
            similarity[i, j] = 1 - angle / math.pi if scaled else 1 - angle
    return similarity


def window_edges(dialogue: Array, mask: Array, speakers: Array, past: int, future: int) -> list[Edge]:
    """Edges (sender j, receiver i, relation): i hears j in [i - past, i + future] of its dialogue, itself included.

    Relations: 0 same speaker, past or itself; 1 same speaker, future; 2 other speaker, past; 3 other speaker, future.
    """
    edges = []
    for i in range(len(mask)):
        for j in range(len(mask)):
            if mask[i] and mask[j] and dialogue[i] == dialogue[j] and i - past <= j <= i + future:
                relation = (0 if speakers[i] == speakers[j] else 2) + (1 if j > i else 0)
                edges.append((j, i, relation))
    return edges


def relational_convolution(
    nodes: Array,
    edges: list[Edge],
    similarity: Array | None,
    relation_weights: Array,
    self_weight: Array,
    bias: Array,
) -> Array:
    """Eq. 23 before F, messages times M^s_ij (1 without `similarity`), plus a bias: f64[N, e], padding not zeroed."""
    nodes, relation_weights, self_weight = doubles(nodes, relation_weights, self_weight)
    outputs = np.zeros((len(nodes), self_weight.shape[1]))
    for i in range(len(nodes)):
        outputs[i] = nodes[i] @ self_weight + bias
        for r in range(len(relation_weights)):
            neighbours = [sender for sender, receiver, relation in edges if receiver == i and relation == r]
            for j in neighbours:
                weight = 1.0 if similarity is None else float(similarity[i, j])
                outputs[i] += weight * (nodes[j] @ relation_weights[r]) / len(neighbours)
    return outputs


def shortest_paths(num: int, past: int, future: int) -> Array:
    """hops[i, j]: edges of the shortest directed path from j to i in the window graph of a dialogue; inf if none."""
    hops = np.full((num, num), math.inf)
    for start in range(num):
        hops[start, start] = 0
        queue = deque([start])
        while queue:
            sender = queue.popleft()
            for receiver in range(num):
                if receiver - past <= sender <= receiver + future and math.isinf(hops[receiver, start]):
                    hops[receiver, start] = hops[sender, start] + 1
                    queue.append(receiver)
    return hops


def semantic_encoder(
    nodes: Array,
    dialogue: Array,
    mask: Array,
    query: Array,
    key: Array,
    value: Array,
    hop_embedding: Array,
    past: int,
    future: int,
    max_hops: int,
    use_encoding: bool = True,
    scaled: bool = True,
) -> Array:
    """Eqs. 24 to 26 with W_v g_j, over the nodes from which a path leads to i: f64[N, H * h], zero where padded."""
    nodes, query, key, value = doubles(nodes, query, key, value)
    heads, size = query.shape[1:]
    similarity = semantic_similarity(nodes, scaled)
    outputs = np.zeros((len(nodes), heads * size))
    for name in {int(dialogue[i]) for i in range(len(mask)) if mask[i]}:
        members = [i for i in range(len(mask)) if mask[i] and dialogue[i] == name]
        hops = shortest_paths(len(members), past, future)
        for head in range(heads):
            for place_i, i in enumerate(members):
                logits, values = [], []
                for place_j, j in enumerate(members):
                    if math.isinf(hops[place_i, place_j]):
                        continue
                    bias = 0.0
                    if use_encoding:  # Eq. 24
                        bias = similarity[i, j] + hop_embedding[head, int(min(hops[place_i, place_j], max_hops))]
                    queried, keyed = nodes[i] @ query[:, head], nodes[j] @ key[:, head]
                    logits.append(float(queried @ keyed) / math.sqrt(size) + bias)  # Eq. 25
                    values.append(nodes[j] @ value[:, head] + bias)
                for logit, attended in zip(logits, values, strict=True):  # Eq. 26
                    outputs[i, head * size : (head + 1) * size] += math.exp(logit - log_sum_exp(logits)) * attended
    return outputs


def gru(
    inputs: Array,
    dialogue: Array,
    mask: Array,
    input_kernel: Array,
    input_bias: Array,
    recurrent_kernel: Array,
    candidate_bias: Array,
    reverse: bool = False,
) -> Array:
    """Gated recurrent unit, gates ordered r, z, n, from a zero state in each dialogue: f64[N, h], zero where padded."""
    inputs, input_kernel, recurrent_kernel = doubles(inputs, input_kernel, recurrent_kernel)
    size = len(recurrent_kernel)
    outputs = np.zeros((len(mask), size))
    for name in {int(dialogue[i]) for i in range(len(mask)) if mask[i]}:
        members = [i for i in range(len(mask)) if mask[i] and dialogue[i] == name]
        state = np.zeros(size)
        for i in reversed(members) if reverse else members:
            x_r, x_z, x_n = np.split(inputs[i] @ input_kernel + input_bias, 3)
            h_r, h_z, h_n = np.split(state @ recurrent_kernel, 3)
            r, z = 1 / (1 + np.exp(-(x_r + h_r))), 1 / (1 + np.exp(-(x_z + h_z)))
            n = np.tanh(x_n + r * (h_n + candidate_bias))
            outputs[i] = state = (1 - z) * n + z * state
    return outputs
