"""Finds models by name: those that ship with the package, folders, and those of the Hugging Face hub."""

import re
from pathlib import Path

from macsgr_jax.errors import InputError
from macsgr_jax.extras import require
from macsgr_jax.inference.published import FILES, Description, is_published, read_description

DEFAULT_MODEL, DEFAULT_CAUSAL_MODEL = "meld-text", "meld-text-causal"
SHIPPED = Path(__file__).parent / "pretrained"
HUB = "hf:"
HUB_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}(@[\w./-]{1,96})?")


def list_models() -> dict[str, Description]:
    """Returns the models that ship with the package, by name."""
    folders = sorted(path for path in SHIPPED.iterdir() if is_published(path)) if SHIPPED.is_dir() else []
    return {folder.name: read_description(folder) for folder in folders}


def choose_default(causal: bool = False) -> str:
    """Returns the name of the model that is used where none is named.

    Args:
        causal: whether a conversation is predicted line by line.
    """
    return DEFAULT_CAUSAL_MODEL if causal else DEFAULT_MODEL


def name_model(folder: Path) -> str:
    """Returns the name of the model in a folder: that of its description, or that of the folder of a run."""
    return read_description(folder).name if is_published(folder) else folder.resolve().name


def find_model(name: str | Path) -> Path:
    """Finds the folder of a model.

    Args:
        name: the name of a model that ships, such as meld-text; the folder of a run, of a sweep or of
            `macsgr publish`; or hf:USER/NAME, a model of the hub (hf:USER/NAME@REVISION), which is downloaded into the
            cache of huggingface_hub. Nothing else is ever downloaded.

    Returns:
        The folder.

    Raises:
        InputError: there is no such model, or it cannot be downloaded.
    """
    text = str(name)
    if text.startswith(HUB):
        return _download(text.removeprefix(HUB))
    if isinstance(name, str) and is_published(SHIPPED / name) and Path(name).name == name:
        return SHIPPED / name
    folder = Path(name)
    if not folder.is_dir() and folder.name == text:  # A path gets the sentence of its kind when it is opened.
        shipped = ", ".join(list_models())
        raise InputError(
            f"there is no model {text}: give the folder of a run or of `macsgr publish`, or the name of a model that"
            f" ships ({shipped})"
        )
    return folder


def _download(name: str) -> Path:
    if not HUB_NAME.fullmatch(name):
        raise InputError(f"{HUB}{name} is no name of the hub: write {HUB}USER/NAME or {HUB}USER/NAME@REVISION")
    hub = require("huggingface_hub", "hub")
    repository, _, revision = name.partition("@")
    try:
        folder = hub.snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES))
    except Exception as error:  # Of the network, of the hub, or of the disk.
        first = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise InputError(f"{HUB}{name} cannot be downloaded ({first}): check the name and the connection") from None
    return Path(folder)
