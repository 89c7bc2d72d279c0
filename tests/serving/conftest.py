"""A server of predictions in a thread, with a tiny model of words."""

import http.client
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from macsgr_jax.runs.predictor import EmotionPredictor, load_predictor
from tests.testing.corpora import compile_quickly
from tests.testing.random_model import write_random_model

NEEDED = "pip install 'macsgr-jax[serve]' serves predictions"
MAX_UPLOAD = 200_000


class Answer(NamedTuple):
    """Status, headers in lower case, and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client(NamedTuple):
    """Sends requests to the server that is running."""

    port: int
    temporary: Path

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named, encode_chunked="transfer-encoding" in named)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def predict(self, values: Any) -> Answer:
        return self.send("POST", "/predict", json.dumps(values).encode(), content_type="application/json")

    def upload(self, *files: tuple[str, str, bytes], accept: str = "*/*", **fields: str) -> Answer:
        """A form as browsers send it: files are (field, name, content)."""
        parts = [(f'name="{field}"; filename="{name}"', content) for field, name, content in files]
        parts += [(f'name="{field}"', value.encode()) for field, value in fields.items()]
        body = b"".join(
            b"--edge\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
            for head, content in parts
        )
        kind = "multipart/form-data; boundary=edge"
        return self.send("POST", "/predict", body + b"--edge--\r\n", content_type=kind, accept=accept)


@pytest.fixture(scope="session")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> EmotionPredictor:
    pytest.importorskip("safetensors", reason="pip install 'macsgr-jax[cli]' reads published models")
    pytest.importorskip("sklearn", reason="pip install 'macsgr-jax[text]' makes text features")
    return load_predictor(write_random_model(tmp_path_factory.mktemp("words") / "tiny"), context=16, samples=2)


@pytest.fixture(scope="session")
def client(predictor: EmotionPredictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server in a thread, whose temporary folder is one of its own."""
    uvicorn = pytest.importorskip("uvicorn", reason=NEEDED)
    pytest.importorskip("starlette", reason=NEEDED)
    pytest.importorskip("python_multipart", reason=NEEDED)
    from macsgr_jax.serving.app import make_app
    from macsgr_jax.serving.listening import listen

    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch, listen("127.0.0.1", 0) as socket, compile_quickly():
        patch.setattr(tempfile, "tempdir", str(temporary))
        predictor.predict(["nobody came", "rain"])
        app = make_app(predictor, "tiny", max_upload=MAX_UPLOAD, max_utterances=50)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Client(socket.getsockname()[1], temporary)
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()
