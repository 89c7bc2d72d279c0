"""The command `macsgr serve`."""

import dataclasses
from typing import Annotated

import tyro

from macsgr_jax.cli.common import make_console
from macsgr_jax.errors import InputError
from macsgr_jax.extras import require

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclasses.dataclass(frozen=True)
class Serve:
    """Open a local page to drop conversations on, with a small JSON API: POST /predict, GET /healthz, /openapi.json.

    Only programs and browsers of this machine reach it, unless --host says otherwise. Uploads stay in a temporary
    folder until they are predicted.

    Attributes:
        model: As for `macsgr predict`; by default meld-text, for English text.
        host: Address to listen at.
        port: Port to listen at; 0 takes one that is free.
        allow_host: With another --host, a host name under which browsers reach it; may be repeated.
        max_upload: Size of the largest upload in MB.
        seed: Seed of one network of the model; by default the probabilities of all of them are averaged.
        context: Utterances that a network sees at once.
        samples: Number of draws of the latent Gaussians, for the uncertainty.
        sentence_model: Where the sentence model of text_sentence is now, if it has moved: a name or a folder.
    """

    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = ""
    host: str = "127.0.0.1"
    port: int = 8000
    allow_host: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME")] = ()
    max_upload: int = 200
    seed: int | None = None
    context: int = 512
    samples: int = 16
    sentence_model: str = ""


def main(command: Serve) -> None:
    """Loads the networks, predicts once so that everything is compiled, and serves until Ctrl-C."""
    if command.max_upload < 1 or not 0 <= command.port < 65536 or command.context < 4 or command.samples < 1:
        raise InputError(
            "--max-upload and --samples must be at least 1, --context at least 4, and --port between 0 and 65535"
        )
    local = command.host in LOOPBACK
    if not local and not command.allow_host:
        raise InputError(
            f"--host {command.host}: also give --allow-host NAME, the name or address under which browsers reach it"
        )
    for module in ("starlette", "python_multipart", "anyio"):
        require(module, "serve")
    uvicorn = require("uvicorn", "serve")
    from macsgr_jax.runs.models import choose_default, name_model
    from macsgr_jax.runs.predictor import load_predictor
    from macsgr_jax.serving.app import make_app
    from macsgr_jax.serving.listening import listen

    console = make_console()
    name = command.model or choose_default()
    predictor = load_predictor(
        name,
        context=command.context,
        samples=command.samples,
        seed=command.seed,
        sentence_model=command.sentence_model,
    )
    for notice in predictor.notices:
        console.print(f"note: {notice}", soft_wrap=True)
    predictor.predict(["Hello."])
    hosts = (*command.allow_host, *LOOPBACK)
    app = make_app(predictor, name_model(predictor.model.run), hosts=hosts, max_upload=command.max_upload * 1_000_000)
    with listen(command.host, command.port) as socket:
        address = f"[{command.host}]" if ":" in command.host else command.host
        if not local:
            console.print("note: everyone who can reach this machine can use the server: it has no password")
        console.print(f"serving {name} at http://{address}:{socket.getsockname()[1]}; Ctrl-C ends it", soft_wrap=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[socket])
