"""Optional dependencies: the extras of `pip install 'macsgr-jax[NAME]'`."""

import importlib
from types import ModuleType

from macsgr_jax.errors import InputError


def require(module: str, extra: str) -> ModuleType:
    """Imports a module of an optional dependency.

    Args:
        module: the dotted name of the module, such as soundfile.
        extra: the extra of this package that installs it, such as speech.

    Returns:
        The module.

    Raises:
        InputError: the module is not installed; the message names the extra.
        ModuleNotFoundError: the module is installed, and one that it needs is not.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name is None or error.name.split(".")[0] != package:
            raise
        raise InputError(f"the package {package} is not installed: pip install 'macsgr-jax[{extra}]'") from None
