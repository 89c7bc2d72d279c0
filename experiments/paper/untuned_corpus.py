"""DailyDialog: a corpus for which no setting was chosen, by the measures of its field."""

from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from experiments.paper.default_preset import list_parts, train_part
from experiments.paper.formatting import format_percent
from experiments.paper.study import NetworkCache
from experiments.paper.variants import PLAIN, PLAIN_NAME
from macsgr_jax.runs.references import LINEAR, MAJORITY, choose_logistic_regression, join_features, log_class_shares
from macsgr_jax.significance import score_seeds

REMARKS = (
    "Test split; the default preset as it is. micro-F1: over all emotions but the most frequent one, in which none is",
    "expressed, as usual on this corpus. linear: logistic regression on the same features, its penalty chosen by the",
    "validation split.",
)


def score_untuned(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes a table with one row per model: WAF1, and micro-F1 without the most frequent emotion."""
    part = next(iter(list_parts(corpus)))
    full, plain = train_part(cache, corpus, part), train_part(cache, corpus, part, PLAIN_NAME, PLAIN)
    frequent = int(np.argmax(log_class_shares(full.corpus)))
    others = [emotion for emotion in range(full.corpus.num_classes) if emotion != frequent]
    linear, _ = choose_logistic_regression(full.prepared.corpus, join_features(full.prepared))
    predicted = {
        MAJORITY: np.full((1, len(full.labels)), frequent),
        LINEAR: linear[full.utterances].argmax(axis=-1)[None],
        "recurrence and classifier": plain.predicted,
        "full network": full.predicted,
    }
    models = {
        name: {
            "waf1": score_seeds(classes, full.labels, full.corpus.num_classes).tolist(),
            "micro_f1": [
                float(f1_score(full.labels, of_seed, labels=others, average="micro", zero_division=0))
                for of_seed in classes
            ],
        }
        for name, classes in predicted.items()
    }
    rows = [[name, *map(format_percent, scores.values())] for name, scores in models.items()]
    return {"head": ["", "WAF1", "micro-F1"], "rows": rows, "models": models}
