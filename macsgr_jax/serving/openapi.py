"""The description of the API, as OpenAPI 3.1, made of the types that check the requests and make the answers."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pydantic

from macsgr_jax import __version__
from macsgr_jax.inference.records import PredictionRecord

Cell = str | float | None


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """A conversation as JSON.

    Attributes:
        utterances: one object per utterance, in order of time: speaker, text, and optionally id, start, end and label.
        name: the name of the conversation.
        strict: whether faults are refused instead of being repaired.
    """

    utterances: Annotated[list[dict[str, Cell]], pydantic.Field(min_length=1)]
    name: Annotated[str, pydantic.Field(min_length=1, max_length=200)] = "conversation"
    strict: bool = False


@dataclasses.dataclass(frozen=True)
class PredictResponse:
    """The predictions, as `macsgr predict --out FILE.json` writes them.

    Attributes:
        format: macsgr_jax.predictions/1.
        version: the version of macsgr_jax.
        model: the name of the model.
        notices: sentences on what was repaired or could not be used.
        scores: waa, waf1, confusion and more where utterances have labels; otherwise null.
        utterances: one object per utterance.
    """

    format: str
    version: str
    model: str
    notices: list[str]
    scores: dict[str, Any] | None
    utterances: list[PredictionRecord]


@dataclasses.dataclass(frozen=True)
class ErrorResponse:
    """A refusal.

    Attributes:
        error: one sentence: what is wrong, where, and what to do.
    """

    error: str


def describe_api(label_names: Sequence[str]) -> dict[str, Any]:
    """Returns the OpenAPI document.

    Args:
        label_names: the emotions of the model.
    """
    types: tuple[type[Any], ...] = (PredictRequest, PredictResponse, ErrorResponse)
    mode: Literal["validation"] = "validation"
    inputs = [(one.__name__, mode, pydantic.TypeAdapter(one)) for one in types]
    references, definitions = pydantic.TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    schemas = definitions.get("$defs", {})

    def content(name: str) -> dict[str, Any]:
        return {"application/json": {"schema": references[name, mode]}}

    form = {
        "type": "object",
        "properties": {
            "transcript": {"type": "string", "format": "binary", "description": "the transcript, of any kind"},
            "text": {"type": "string", "description": "instead: lines such as `Ann: Yes.`"},
            "recording": {"type": "string", "format": "binary", "description": "the recording, if there is one"},
            "channels": {"type": "string", "description": "auto, mix, speaker, or Ann=left,Bob=right"},
            "strict": {"type": "string", "description": "anything: faults are refused instead of being repaired"},
        },
    }
    errors = {
        "413": "the upload is too large",
        "415": "neither JSON nor a form",
        "422": "the conversation cannot be understood",
        "503": "too many requests are waiting",
    }
    answers: dict[str, Any] = {"200": {"description": "the predictions", "content": content("PredictResponse")}}
    answers |= {status: {"description": told, "content": content("ErrorResponse")} for status, told in errors.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "macsgr_jax",
            "version": __version__,
            "description": f"Predicts the emotion of every utterance of a conversation: {', '.join(label_names)}.",
        },
        "paths": {
            "/predict": {
                "post": {
                    "summary": "Predict a conversation",
                    "requestBody": {
                        "required": True,
                        "content": {**content("PredictRequest"), "multipart/form-data": {"schema": form}},
                    },
                    "responses": answers,
                }
            },
            "/healthz": {
                "get": {
                    "summary": "Whether the server answers, and with which model",
                    "responses": {"200": {"description": "status, version, model, emotions and features"}},
                }
            },
        },
        "components": {"schemas": schemas},
    }
