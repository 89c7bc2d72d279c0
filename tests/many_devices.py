"""Ten seeds on eight forced devices: a script of its own, since the devices have to be there before JAX looks.

    python -m tests.many_devices FOLDER

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
from macsgr_jax.devices import make_mesh, place_runs, replicate
from macsgr_jax.hparams import without_traced
from macsgr_jax.models import build_network
from macsgr_jax.sweep import draw_rows, fill_up, stack_hparams, start_runs, train_runs_epoch
from macsgr_jax.task import Task
from tests.corpora import compile_quickly
from tests.ten_seeds import SEEDS, count_epoch_programs, make_config, make_task, train_seeds, watch_compilations

COLLECTIVE = re.compile(r"= .*? (all-\w+|collective-\w+|reduce-scatter|ragged-\w+)(?:-start)?\(")


def compile_epoch(task: Task, config: Config, mesh: Any) -> str:
    """The program of an epoch as `train_runs` has it, as text; read from the cache."""
    runs = start_runs(task, config, SEEDS, mesh)
    utterances, validation = replicate((task.utterances, task.evaluation_rows("validation")), mesh)
    rows, numbers = place_runs(fill_up((draw_rows(task, SEEDS, 1), stack_hparams([config] * 10, task)), mesh), mesh)
    network = build_network(config.model, task.corpus.num_classes)
    static = {"network": network, "config": without_traced(config), "mesh": mesh}
    return str(train_runs_epoch.lower(runs, utterances, rows, validation, numbers, **static).compile().as_text())


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
    task = make_task(config)
    for split_batch in (1, 2):
        mesh = make_mesh(split_batch)
        with compile_quickly(), watch_compilations() as names:
            outcome = train_seeds(task, config, mesh=mesh)
            programs = count_epoch_programs(names)
            collectives = find_collectives(compile_epoch(task, config, mesh))
        np.savez(folder / f"split_{split_batch}.npz", **outcome)
        (folder / f"split_{split_batch}.json").write_text(json.dumps({"programs": programs, **collectives}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
