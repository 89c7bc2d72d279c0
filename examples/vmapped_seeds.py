"""Train many seeds as one vmapped program, in a plain loop that logs every epoch and stops early."""

from collections.abc import Sequence

import numpy as np

from macsgr_jax import PRESETS, override, prepare, train_runs
from macsgr_jax.data import synthetic

PATIENCE = 3


def main(dialogues: int = 120, seeds: Sequence[int] = range(10), settings: Sequence[str] = ()) -> np.ndarray:
    """Trains on generated conversations, until the validation score has not improved for PATIENCE epochs.

    Args:
        dialogues: number of dialogues to generate.
        seeds: one run each, of weights, data order, dropout and sampling.
        settings: settings of the default preset to replace, such as "train.epochs=20".

    Returns:
        f32[seeds], the validation WAF1 of each seed at the best epoch, between 0 and 1.
    """
    config = override(PRESETS["default"], list(settings))
    prepared = prepare(synthetic.generate(dialogues), config)
    best, best_epoch = np.zeros(len(seeds)), 0
    for epoch in train_runs(prepared, config, seeds):
        number, waf1 = epoch.number, epoch.report.validation["waf1"]
        print(f"epoch {number}: validation WAF1 {waf1.mean():.3f} ({waf1.min():.3f} to {waf1.max():.3f})")
        if waf1.mean() > best.mean():
            best, best_epoch = waf1, number
        if number - best_epoch >= PATIENCE:
            print(f"no better for {PATIENCE} epochs: stop")
            break
    return best


if __name__ == "__main__":
    main()
