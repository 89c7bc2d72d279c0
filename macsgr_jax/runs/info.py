"""Describes corpus files and folders of runs, as plain values."""

from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.errors import InputError
from macsgr_jax.files import exists, read_json
from macsgr_jax.overrides import from_json, setting_names
from macsgr_jax.presets import PRESETS
from macsgr_jax.runs.folder import RUN_FILE, is_finished, read_results
from macsgr_jax.runs.schemas import Identity, check_values

SWEEP, SEARCH = "sweep", "search"


def describe_contents(corpus: Corpus) -> dict[str, Any]:
    """Describes the contents of a corpus.

    Args:
        corpus: the corpus.

    Returns:
        `name`, `sha256`, `notices`, `utterances` and `speakers`; `splits`: split -> `dialogues`, `utterances`,
        `unlabelled` (utterances without a label) and `lengths` (min, median and max of its dialogues); `emotions`:
        emotion -> split -> utterances; `features`: feature set -> `columns`, `coverage` (fraction of the utterances
        with a measured value) and `made_by` (the description of its extractor, null where it is not known).
    """
    splits = {}
    for split in SPLITS:
        lengths = corpus.lengths[corpus.dialogues_of(split)]
        splits[split] = {
            "dialogues": len(lengths),
            "utterances": int(lengths.sum()),
            "unlabelled": int(lengths.sum()) - len(corpus.labelled_of(split)),
            "lengths": [int(lengths.min()), float(np.median(lengths)), int(lengths.max())] if len(lengths) else None,
        }
    labels = {split: corpus.labels[corpus.utterances_of(split)] for split in SPLITS}
    return {
        "name": corpus.name,
        "sha256": corpus.sha256,
        "utterances": corpus.num_utterances,
        "speakers": len(corpus.speaker_names),
        "splits": splits,
        "emotions": {
            emotion: {split: int(np.sum(labels[split] == index)) for split in SPLITS}
            for index, emotion in enumerate(corpus.label_names)
        },
        "features": {
            name: {
                "columns": values.shape[1],
                "coverage": float(corpus.measured[name].any(axis=1).mean()),
                "made_by": corpus.extractors[name].description if name in corpus.extractors else None,
            }
            for name, values in sorted(corpus.features.items())
        },
        "notices": list(corpus.notices),
    }


def describe_run(run: Path) -> dict[str, Any]:
    """Describes the folder of a run, of a sweep or of a search of `macsgr tune`, finished or interrupted.

    Args:
        run: the folder.

    Returns:
        `state` and `seeds`; `networks`: name -> `preset`, `settings` (those that differ from the preset) and, of a
        finished run, `features`, `collapsed` (the seeds that were at their end) and `test` (score -> mean and standard
        deviation). Of a finished run also `version`, `corpus`, `command` and `device`; of a sweep or a search `points`
        and `kind`, and of a finished one `select` and `chosen`.

    Raises:
        InputError: it is not the folder of a run, or is damaged.
    """
    if is_finished(run):
        results = read_results(run)
        version = results.get("version", "0.1")
        try:
            return _describe_results(results) | {"version": version}
        except InputError as error:
            raise InputError(f"{run} was written by version {version} of macsgr_jax: {error}") from None
    path = run / RUN_FILE
    if not exists(path):
        raise InputError(f"{run} is not the folder of a run: give what was --out of `macsgr train`")
    identity = read_json(path, "train again")
    check_values(identity, Identity, path, "train again")
    configs = identity.get("networks") or {"every point": identity["config"]}
    seeds = identity.get("seeds")
    return {
        "state": "interrupted",
        "seeds": seeds,
        "networks": {name: describe_settings_of(from_json(config)) for name, config in configs.items()},
        **({"points": len(identity["points"]), "kind": identity.get("kind", SWEEP)} if "points" in identity else {}),
    }


def describe_settings_of(config: Config) -> dict[str, Any]:
    """Describes a configuration by its nearest preset.

    Returns:
        `preset`: the preset with the fewest differences, and `settings`: setting -> value where it differs from it.
    """
    values = {name: value for name, _, value in setting_names(config)}

    def differences(preset: Config) -> dict[str, Any]:
        return {name: values[name] for name, _, value in setting_names(preset) if values[name] != value}

    nearest = min(PRESETS, key=lambda name: len(differences(PRESETS[name])))
    return {"preset": nearest, "settings": differences(PRESETS[nearest])}


def _describe_results(results: dict[str, Any]) -> dict[str, Any]:
    described = {"state": "finished", **{name: results[name] for name in ("command", "corpus", "device")}}
    if "rounds" in results:
        chosen = results["chosen"]
        return described | {
            "seeds": list(range(results["seeds"])),
            "networks": {"chosen": describe_settings_of(from_json(chosen["config"]))},
            "points": len(results["rounds"][0]["points"]),
            "kind": SEARCH,
            "select": results["select"],
            "chosen": {name: chosen[name] for name in ("setting", "validation")},
        }
    if "points" in results:
        chosen = results["chosen"]
        return described | {
            "seeds": [seed["seed"] for seed in chosen["test_by_seed"]],
            "networks": {"every point": describe_settings_of(from_json(results["config"]))},
            "points": len(results["points"]),
            "kind": SWEEP,
            "select": results["select"],
            "chosen": {"setting": chosen["setting"], "test": chosen["test"]},
        }
    networks = results["networks"]
    return described | {
        "seeds": [seed["seed"] for seed in networks["full"]["seeds"]],
        "networks": {
            name: {
                **describe_settings_of(from_json(network["config"])),
                "features": network["features"],
                "collapsed": [seed["seed"] for seed in network["seeds"] if seed.get("collapsed") is not None],
                "test": {score: value for score, value in network["summary"]["test"].items() if score != "classes"},
            }
            for name, network in networks.items()
        },
    }
