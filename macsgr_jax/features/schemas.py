"""The schema of each kind of extractor: its description and its arrays, with their types, ranges and shapes."""

from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from pydantic import ConfigDict, FiniteFloat

from macsgr_jax.features import opensmile, tfidf
from macsgr_jax.limits import MAX_NAME, MAX_RATE, MAX_WORD

MAX_COLUMNS = 100_000
PROBE_COLUMNS = 8

Name = Annotated[str, pydantic.Field(min_length=1, max_length=MAX_NAME)]


class _Extractor(pydantic.BaseModel):
    """Known fields are checked, and others, such as versions, kept as they are."""

    model_config = ConfigDict(extra="allow", strict=True, arbitrary_types_allowed=True)


class Speech(_Extractor):
    """Functionals of openSMILE.

    Attributes:
        set: the name of openSMILE's feature set.
        rate: samples per second.
        opensmile: the version.
    """

    set: Literal["eGeMAPSv02", "ComParE_2016"]
    rate: Annotated[int, pydantic.Field(ge=opensmile.MIN_RATE, le=MAX_RATE)]
    opensmile: Name
    level: Literal["functionals"] = "functionals"


class Words(_Extractor):
    """Latent semantic analysis.

    Attributes:
        terms: strings [V], all different.
        rarity: f32[V].
        components: f32[D, V].
        tokens: the way in which a text is divided into words.
    """

    terms: Any
    rarity: Any
    components: Any
    tokens: str = "words"

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Words":
        arrays = {"terms": self.terms, "rarity": self.rarity, "components": self.components}
        kinds = {"terms": "U", "rarity": "f", "components": "f"}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind != kinds[name]:
                raise ValueError(f"{name} is no array of {'strings' if name == 'terms' else 'numbers'}")
        count = self.terms.size
        shapes = (self.terms.ndim, self.rarity.shape, self.components.ndim, self.components.shape[-1:])
        if not 1 <= count <= tfidf.MAX_TERMS or shapes != (1, (count,), 2, (count,)) or not len(self.components):
            raise ValueError("the shapes of terms, rarity and components do not fit each other")
        # A pair of words is a term too.
        if self.terms.dtype.itemsize > 4 * (2 * MAX_WORD + 1) or len(set(self.terms.tolist())) < count:
            raise ValueError("terms has a term twice, or a very long one")
        if not (np.isfinite(self.rarity).all() and np.isfinite(self.components).all()):
            raise ValueError("a number is not finite")
        return self


class Sentences(_Extractor):
    """Embeddings of sentences by a pretrained model.

    Attributes:
        model: the name of the model, which is only compared with what the user names.
        columns: the number of columns.
        probe: the first columns of the embedding of a known sentence.
    """

    model: Name
    columns: Annotated[int, pydantic.Field(ge=1, le=MAX_COLUMNS)]
    probe: Annotated[list[FiniteFloat], pydantic.Field(min_length=1, max_length=PROBE_COLUMNS)]

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Sentences":
        if len(self.probe) != min(self.columns, PROBE_COLUMNS):
            raise ValueError("probe has another number of columns")
        return self
