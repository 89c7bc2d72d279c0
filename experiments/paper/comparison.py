"""Tables in which every network is compared with the full one: scores, paired tests, the paper's numbers."""

from collections.abc import Sequence
from typing import Any

from experiments.paper.formatting import format_p_value, format_percent, format_reported
from experiments.paper.study import NetworkCache, TrainedNetwork
from experiments.paper.variants import FULL
from macsgr_jax.significance import adjust, compare_over_dialogues, compare_over_seeds, count_by_dialogue

ALPHA = 0.05
OTHER_FEATURES = "The paper's numbers were measured on other features."
REMARKS = (
    OTHER_FEATURES,
    "p: two-sided, after Holm's correction within the corpus; over seeds by the paired t-test, over dialogues by a",
    "paired bootstrap of 10,000 resamples. † and ‡: full is better over seeds, over dialogues, p < 0.05.",
)
HEAD = [
    *("", "WAA", "WAF1", "full - this, WAF1", "p over seeds", "95 % over dialogues", "p over dialogues"),
    "paper: WAF1",
]
STORED_SCORES = ("waa", "waf1", "macro_f1")


def compare_with_full(
    cache: NetworkCache,
    corpus: str,
    variants: dict[str, tuple[str, ...]],
    reported: dict[str, tuple[float, float]],
) -> dict[str, Any]:
    """Computes a table with one row per network, each tested against the full network.

    Args:
        cache: trains the networks.
        corpus: the name of the corpus, such as iemocap.
        variants: name of the network -> settings in which it differs from the full one.
        reported: name of the network -> WAA and WAF1 of the paper.

    Returns:
        The part of the corpus: `head` and `rows` as text, `networks` as numbers.
    """
    full = cache.train(corpus, FULL)
    networks = {name: cache.train(corpus, name, settings) for name, settings in variants.items()}
    tests = compare_networks(full, list(networks.values()))
    rows, numbers = [], {}
    for (name, network), test in zip(networks.items(), tests, strict=True):
        rows.append(
            [
                name + mark_significance(test),
                format_percent(network.scores("waa")),
                format_percent(network.scores("waf1")),
                f"{100 * test['difference']:+.1f}",
                format_p_value(test["seeds_p"]),
                f"{100 * test['low']:+.1f} to {100 * test['high']:+.1f}",
                format_p_value(test["dialogues_p"]),
                format_reported(reported[name][1]) if name in reported else "",
            ]
        )
        numbers[name] = {score: network.scores(score) for score in STORED_SCORES} | {"against_full": test}
    scores = [format_percent(full.scores(score)) for score in ("waa", "waf1")]
    rows.append([FULL, *scores, "", "", "", "", format_reported(reported[FULL][1])])
    numbers[FULL] = {score: full.scores(score) for score in STORED_SCORES}
    return {"head": HEAD, "rows": rows, "networks": numbers}


def compare_networks(full: TrainedNetwork, others: Sequence[TrainedNetwork]) -> list[dict[str, Any]]:
    """Tests the difference in WAF1 between the full network and each of the others.

    Args:
        full: the full network.
        others: networks with the same test split.

    Returns:
        One dictionary per other network: `difference`, its 95 % interval over dialogues `low` and `high`, and p values
        after Holm's correction, `seeds_p` (None for a single seed) and `dialogues_p`.
    """
    classes = full.corpus.num_classes
    counts = [count_by_dialogue(one.predicted, one.labels, one.dialogue, classes) for one in (full, *others)]
    over_dialogues = [compare_over_dialogues(counts[0], other) for other in counts[1:]]
    dialogues_p = adjust([test.p_value for test in over_dialogues])
    seeds_p: list[float | None] = [None] * len(others)
    if len(full.scores("waf1")) > 1:
        seeds_p = list(adjust([compare_over_seeds(full.scores("waf1"), one.scores("waf1")).p_value for one in others]))
    return [
        {"difference": test.difference, "low": test.low, "high": test.high, "seeds_p": of_seeds, "dialogues_p": p_value}
        for test, of_seeds, p_value in zip(over_dialogues, seeds_p, dialogues_p, strict=True)
    ]


def mark_significance(test: dict[str, Any]) -> str:
    """Returns † and ‡ where the full network is significantly better over seeds and over dialogues."""
    signs = (("†", test["seeds_p"]), ("‡", test["dialogues_p"]))
    return "".join(sign for sign, p in signs if test["difference"] > 0 and p is not None and p < ALPHA)
