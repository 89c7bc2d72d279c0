"""The command `macsgr models`."""

import dataclasses
import json

import tyro

from macsgr_jax.cli.common import make_console


@dataclasses.dataclass(frozen=True)
class Models:
    """List the models that ship with the package, or show the card of one.

    Attributes:
        model: A model: a name of the list, a folder of `macsgr publish`, or hf:USER/NAME; by default all are listed.
        json: Print the description as JSON instead.
    """

    model: tyro.conf.Positional[str | None] = None
    json: bool = False


def main(command: Models) -> None:
    """Prints the list or the card."""
    from macsgr_jax.inference.published import CARD_FILE, read_description
    from macsgr_jax.runs.models import find_model, list_models
    from macsgr_jax.runs.tables import as_screen_table

    if command.model is not None:
        folder = find_model(command.model)
        description = read_description(folder)
        if command.json:
            print(json.dumps(dataclasses.asdict(description), indent=2))
        else:
            print((folder / CARD_FILE).read_text(encoding="utf-8").rstrip())
        return
    models = list_models()
    if command.json:
        print(json.dumps({name: dataclasses.asdict(one) for name, one in models.items()}, indent=2))
        return
    rows = [
        [
            name,
            one.corpus.name,
            ", ".join(features.name for features in one.features),
            str(len(one.seeds)),
            f"{100 * one.scores['test']['waf1']:.1f}" if "test" in one.scores else "",
            "yes" if one.config["model"]["causal"] else "no",
            ", ".join(one.labels),
        ]
        for name, one in models.items()
    ]
    head = ["model", "corpus", "features", "seeds", "test WAF1", "line by line", "emotions"]
    make_console().print(as_screen_table(head, rows))
