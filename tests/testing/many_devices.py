"""Ten seeds on eight forced devices: a script of its own, since the devices have to be there before JAX looks.

    python -m tests.testing.many_devices FOLDER

It leaves FOLDER/split_N.npz, what `ten_seeds.train_seeds` gives where N devices share each batch, and
FOLDER/split_N.json, how often the epoch was compiled and which collectives its program has, in loops and outside.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.models import build_network
from macsgr_jax.training.devices import make_mesh, place_runs, replicate
from macsgr_jax.training.loop import epoch_indices, init_runs_on_mesh, pad_runs, stack_configs, train_runs_epoch
from tests.testing.corpora import compile_quickly
from tests.testing.ten_seeds import (
    SEEDS,
    count_epoch_programs,
    make_config,
    make_prepared,
    train_seeds,
    watch_compilations,
)

COLLECTIVE = re.compile(r"= .*? (all-\w+|collective-\w+|reduce-scatter|ragged-\w+)(?:-start)?\(")


def compile_epoch(prepared: PreparedCorpus, config: Config, mesh: Any) -> str:
    """The program of an epoch as `train_runs` has it, as text; read from the cache."""
    runs = init_runs_on_mesh(prepared, config, SEEDS, mesh)
    utterances, validation = replicate((prepared.utterances, prepared.evaluation_rows("validation")), mesh)
    rows, configs = place_runs(pad_runs((epoch_indices(prepared, SEEDS, 1), stack_configs([config] * 10)), mesh), mesh)
    network = build_network(config.model, prepared.corpus.num_classes)
    lowered = train_runs_epoch.lower(runs, utterances, rows, validation, configs, network=network, mesh=mesh)
    return str(lowered.compile().as_text())


def find_collectives(program: str) -> dict[str, list[str]]:
    """The collective operations of the main computation, and those of all others, such as the bodies of loops."""
    main, others = [], []
    inside_main = False
    for line in program.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            inside_main = line.startswith("ENTRY")
        (main if inside_main else others).extend(COLLECTIVE.findall(line))
    return {"main": main, "loops": others}


def main(folder: Path) -> None:
    assert len(jax.devices()) == 8
    config = make_config()
    prepared = make_prepared(config)
    for split_batch in (1, 2):
        mesh = make_mesh(split_batch)
        with compile_quickly(), watch_compilations() as names:
            outcome = train_seeds(prepared, config, mesh=mesh)
            programs = count_epoch_programs(names)
            collectives = find_collectives(compile_epoch(prepared, config, mesh))
        np.savez(folder / f"split_{split_batch}.npz", **outcome)
        (folder / f"split_{split_batch}.json").write_text(json.dumps({"programs": programs, **collectives}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
