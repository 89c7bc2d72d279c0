"""The application: GET / is the page, POST /predict predicts, GET /healthz and /openapi.json tell about the server."""

import html
import re
import shutil
import tempfile
from collections.abc import Collection, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import pydantic
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from macsgr_jax import __version__
from macsgr_jax.data.dialogue import Dialogue
from macsgr_jax.data.transcript import RECORDINGS, read_conversations
from macsgr_jax.data.transcripts import FORMATS
from macsgr_jax.errors import InputError
from macsgr_jax.features.channels import parse_channels
from macsgr_jax.inference.records import group_records
from macsgr_jax.runs.prediction_files import make_document
from macsgr_jax.runs.predictor import EmotionPredictor, Predictions, make_conversations
from macsgr_jax.serving.guard import LOOPBACK, Guard
from macsgr_jax.serving.openapi import PredictRequest, describe_api
from macsgr_jax.viewer import digest as digest_of
from macsgr_jax.viewer import render_page
from macsgr_jax.viewer.predictions import arrange

MAX_UTTERANCES = 20_000
MAX_WAITING = 8  # Requests that wait for the one that is predicted.
PASTED = ".txt"
REQUEST = pydantic.TypeAdapter(PredictRequest)


class Upload(NamedTuple):
    """What is to be predicted.

    Attributes:
        conversation: the transcript in a temporary folder, or a list of utterances.
        recording: the recording in the temporary folder, or None.
        channels: as for `macsgr predict --channels`.
        strict: whether faults are refused.
        name: the name of a conversation that is a list.
    """

    conversation: Path | list[dict[str, Any]]
    recording: Path | None = None
    channels: str = "auto"
    strict: bool = False
    name: str = "conversation"


class Server:
    """Answers the requests; one conversation is predicted at a time.

    Args:
        predictor: the networks.
        model: the name of the model.
        max_utterances: the number of utterances of the largest request.
    """

    def __init__(self, predictor: EmotionPredictor, model: str, max_utterances: int = MAX_UTTERANCES) -> None:
        self._predictor = predictor
        self._model = model
        self._max_utterances = max_utterances
        self._limiter: anyio.CapacityLimiter | None = None  # It belongs to the event loop that is running.

    async def show_home(self, request: Request) -> Response:
        """Returns the page with the form."""
        content, policy = render_home(self._model, self._predictor.label_names)
        return HTMLResponse(content, headers={"content-security-policy": policy})

    async def tell_health(self, request: Request) -> Response:
        """Tells that the server answers, and which model."""
        return JSONResponse(
            {
                "status": "ok",
                "version": __version__,
                "model": self._model,
                "emotions": list(self._predictor.label_names),
                "features": list(self._predictor.model.extractors),
            }
        )

    async def tell_api(self, request: Request) -> Response:
        """Returns the description of the API."""
        return JSONResponse(describe_api(self._predictor.label_names))

    async def predict(self, request: Request) -> Response:
        """Predicts a conversation; returns JSON, or the page where the browser's form asks."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise HTTPException(503, f"{MAX_WAITING} requests are waiting already: try again in a moment")
        with tempfile.TemporaryDirectory(prefix="macsgr-") as name:
            folder = Path(name).resolve()
            try:
                upload = await read_upload(request, folder)
                predictions = await anyio.to_thread.run_sync(self._predict, upload, folder, limiter=self._limiter)
            except InputError as error:
                raise HTTPException(422, str(error).replace(f"{folder}/", "")) from None
        document = make_document(
            self._model,
            predictions.to_dicts(),
            predictions.scores,
            [notice.replace(f"{folder}/", "") for notice in (*self._predictor.notices, *predictions.notices)],
        )
        if wants_page(request):
            return HTMLResponse(render_page(arrange(group_records(predictions.records))))
        return JSONResponse(document)

    def _predict(self, upload: Upload, folder: Path) -> Predictions:
        notices: list[str] = []
        if isinstance(upload.conversation, Path):
            conversations = read_conversations(
                upload.conversation,
                upload.recording,
                strict=upload.strict,
                on_notice=notices.append,
                allow_outside=True,  # They are left out, wherever they lie.
            )
        else:
            conversations = make_conversations(
                upload.conversation, upload.recording, upload.name, upload.strict, notices.append
            )
        count = sum(len(conversation.utterances) for conversation in conversations)
        if count > self._max_utterances:
            raise HTTPException(413, f"there are {count} utterances, and {self._max_utterances} are predicted at once")
        predictions = self._predictor.predict_conversations(
            leave_out_clips(conversations, upload.recording, notices),
            channels=parse_channels(upload.channels),
            strict=upload.strict,
            cache=folder / "features",
        )
        return Predictions(predictions.records, predictions.scores, (*notices, *predictions.notices))


def make_app(
    predictor: EmotionPredictor,
    model: str,
    *,
    hosts: Sequence[str] = LOOPBACK,
    max_upload: int = 200_000_000,
    max_utterances: int = MAX_UTTERANCES,
) -> Guard:
    """Makes the ASGI application.

    Args:
        predictor: the networks.
        model: the name of the model.
        hosts: the host names, without ports, under which it answers.
        max_upload: the size of the largest request in bytes.
        max_utterances: the number of utterances of the largest request.

    Returns:
        The application.
    """
    server = Server(predictor, model, max_utterances)
    routes = [
        Route("/", server.show_home),
        Route("/predict", server.predict, methods=["POST"]),
        Route("/healthz", server.tell_health),
        Route("/openapi.json", server.tell_api),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: tell_error, ClientDisconnect: end_early})
    return Guard(app, hosts, max_upload)


async def tell_error(request: Request, error: Exception) -> Response:
    """Returns the sentence of a refusal, as JSON or as a page."""
    assert isinstance(error, HTTPException)
    if not wants_page(request):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not predicted</title>'
        f'<h1>Not predicted</h1><p id="error">{html.escape(error.detail)}</p><p><a href="/">Back</a></p></html>'
    )
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'"
    return HTMLResponse(page, error.status_code, headers={"content-security-policy": policy})


async def end_early(request: Request, error: Exception) -> Response:
    """Answers a client that has gone before its request was complete, and hears no answer."""
    return Response(status_code=400)


def wants_page(request: Request) -> bool:
    """Returns whether a browser asks for a page, and not a program for JSON."""
    return "text/html" in request.headers.get("accept", "")


async def read_upload(request: Request, folder: Path) -> Upload:
    """Reads a request into a temporary folder.

    Raises:
        InputError: it is neither JSON nor a form, or something is missing.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _read_json(await request.body())
    if kind != "multipart/form-data":
        raise HTTPException(415, "send application/json, or multipart/form-data with the file `transcript`")
    async with request.form(max_files=2, max_fields=8) as form:
        unknown = form.keys() - {"transcript", "recording", "text", "channels", "strict"}
        if unknown:
            raise InputError(
                f"the form has a field {min(unknown)[:60]!r}: there are transcript, recording, text,"
                " channels and strict"
            )
        transcript, recording = (form.get(name) for name in ("transcript", "recording"))
        text = str(form.get("text") or "")
        if isinstance(transcript, UploadFile) and transcript.filename:
            path = await _save(transcript, folder, FORMATS, "transcript")
        elif text.strip():
            path = folder / f"conversation{PASTED}"
            await anyio.to_thread.run_sync(lambda: path.write_text(text, encoding="utf-8"))
        else:
            raise InputError(
                "there is no conversation: send the file `transcript`, or `text` with one line per utterance"
            )
        found = None
        if isinstance(recording, UploadFile) and recording.filename:
            found = await _save(recording, folder, RECORDINGS, "recording")
        return Upload(path, found, str(form.get("channels") or "auto"), bool(form.get("strict")))


def leave_out_clips(conversations: Sequence[Dialogue], recording: Path | None, notices: list[str]) -> list[Dialogue]:
    """Takes away audio files that a transcript names: they would be files of the server's machine."""
    left_out = 0
    kept = []
    for conversation in conversations:
        utterances = []
        for utterance in conversation.utterances:
            named = utterance.clip is not None and utterance.clip.path != recording
            left_out += named
            utterances.append(utterance._replace(clip=None) if named else utterance)
        kept.append(conversation._replace(utterances=utterances))
    if left_out:
        notices.append(f"{left_out} utterances name audio files, which are not read here: upload one recording.")
    return kept


def render_home(model: str, label_names: Sequence[str]) -> tuple[str, str]:
    """Returns the page with the form, and its content security policy."""
    files = resources.files(__package__)
    style, script, page = (
        files.joinpath(name).read_text(encoding="utf-8") for name in ("home.css", "home.js", "home.html")
    )
    parts = {
        "style": style,
        "script": script,
        "model": html.escape(model),
        "emotions": html.escape(", ".join(label_names)),
        "transcripts": ",".join(FORMATS),
        "recordings": ",".join(RECORDINGS),
    }
    policy = (
        f"default-src 'none'; style-src {digest_of(style)}; script-src {digest_of(script)}; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page), policy


def _read_json(body: bytes) -> Upload:
    try:
        wanted = REQUEST.validate_json(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the request does not fit: {where or 'the body'}: {first['msg'].lower()}") from None
    return Upload(wanted.utterances, None, "auto", wanted.strict, wanted.name)


async def _save(upload: UploadFile, folder: Path, endings: Collection[str], what: str) -> Path:
    """Saves a file under a harmless form of its own name."""
    name = re.split(r"[/\\]", upload.filename or "")[-1]
    ending = Path(name).suffix.lower()
    if ending not in endings:
        raise InputError(f"the {what} {name[:80]!r} should end in one of {', '.join(endings)}")
    stem = re.sub(r"[^\w -]", "_", Path(name).stem)[:80].strip() or "conversation"
    path = folder / f"{stem}{ending}"

    def copy() -> None:
        with path.open("xb") as file:
            shutil.copyfileobj(upload.file, file)

    await anyio.to_thread.run_sync(copy)
    return path
