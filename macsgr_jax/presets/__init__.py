"""Complete configurations by name, one file per recipe: `macsgr train --preset meld`."""

from macsgr_jax.config import Config
from macsgr_jax.presets.causal import CAUSAL
from macsgr_jax.presets.default import DEFAULT
from macsgr_jax.presets.iemocap import IEMOCAP
from macsgr_jax.presets.literal import LITERAL
from macsgr_jax.presets.meld import MELD
from macsgr_jax.presets.mosei import MOSEI
from macsgr_jax.presets.mosi import MOSI
from macsgr_jax.presets.robust import ROBUST

PRESETS: dict[str, Config] = {
    "default": DEFAULT,
    "literal": LITERAL,
    "causal": CAUSAL,
    "robust": ROBUST,
    "iemocap": IEMOCAP,
    "meld": MELD,
    "mosei": MOSEI,
    "mosi": MOSI,
}

__all__ = ["CAUSAL", "DEFAULT", "IEMOCAP", "LITERAL", "MELD", "MOSEI", "MOSI", "PRESETS", "ROBUST"]
