"""The server over HTTP: what it predicts, what it refuses, and that nothing of an upload is left."""

import json
from pathlib import Path
from typing import Any

import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.runs.predictor import EmotionPredictor
from tests.serving.conftest import MAX_UPLOAD, Answer, Client

SAID = [{"speaker": "Ann", "text": "nobody came", "label": "sad"}, {"speaker": "Bob", "text": "rain"}]
SUBTITLES = b"1\n00:00:00,000 --> 00:00:01,500\nAnn: nobody came\n\n2\n00:00:02,000 --> 00:00:03,000\nBob: rain\n"


def test_json_is_predicted_as_in_python(client: Client, predictor: EmotionPredictor) -> None:
    answer = client.predict({"utterances": SAID, "name": "talk"})
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    expected = predictor.predict(SAID, name="talk")
    document = answer.json()
    assert document["utterances"] == expected.to_dicts() and document["scores"] == expected.scores
    assert document["format"] == "macsgr_jax.predictions/1" and document["model"] == "tiny"


def test_a_transcript_is_uploaded(client: Client, predictor: EmotionPredictor) -> None:
    """As a file of any kind under any name, or pasted; nothing of it is left."""
    for name in ("talk.srt", "../../talk.SRT", "C:\\talks\\talk.srt"):
        answer = client.upload(("transcript", name, SUBTITLES), ("recording", "", b""), text="")
        assert answer.status == 200, answer.body
        assert [one["text"] for one in answer.json()["utterances"]] == ["nobody came", "rain"]
        assert answer.json()["utterances"][0]["conversation"] == "talk"
    pasted = client.upload(text="Ann: nobody came\nBob: rain\n")
    assert [one["speaker"] for one in pasted.json()["utterances"]] == ["Ann", "Bob"]
    assert list(client.temporary.iterdir()) == []


def test_a_browser_gets_the_page(client: Client) -> None:
    answer = client.upload(("transcript", "talk.srt", SUBTITLES), accept="text/html,*/*;q=0.8")
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<title>Predicted emotions</title>" in answer.body and b"nobody came" in answer.body
    refused = client.upload(("transcript", "<b>.exe", b"x"), accept="text/html")
    assert refused.status == 422 and b"&lt;b&gt;.exe" in refused.body and b"<b>" not in refused.body


def test_the_home_page_loads_nothing(client: Client) -> None:
    answer = client.send("GET", "/")
    page = answer.body.decode()
    assert answer.status == 200 and "calm, glad, sad" in page and "{{" not in page
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "form-action 'self'" in policy and "unsafe" not in policy
    assert "://" not in page and "frame-ancestors 'none'" in policy and answer.headers["cache-control"] == "no-store"


def test_health_and_description(client: Client) -> None:
    health = client.send("GET", "/healthz").json()
    assert health["status"] == "ok" and health["model"] == "tiny" and health["features"] == ["text_lsa"]
    described = client.send("GET", "/openapi.json").json()
    assert described["openapi"] == "3.1.0" and set(described["paths"]) == {"/predict", "/healthz"}
    schemas = described["components"]["schemas"]
    text = json.dumps(described)
    for name in (part.split('"')[0] for part in text.split("#/components/schemas/")[1:]):
        assert name in schemas, name
    record = client.predict({"utterances": SAID}).json()["utterances"][0]
    assert set(record) <= set(schemas["PredictionRecord"]["properties"])
    assert set(schemas["PredictionRecord"]["required"]) <= set(record)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "the request does not fit: utterances: field required"),
        ({"utterances": []}, "utterances: list should have at least 1 item"),
        ({"utterances": SAID, "path": "/etc"}, "path: unexpected keyword argument"),
        ({"utterances": [{"text": []}]}, "utterances.0.text"),
        ({"utterances": [{"speaker": "Ann"}], "strict": True}, "there is neither text nor audio"),
    ],
)
def test_json_that_cannot_be_understood(values: Any, sentence: str, client: Client) -> None:
    answer = client.predict(values)
    assert answer.status == 422 and sentence in answer.json()["error"], answer.body


def test_uploads_that_cannot_be_understood(client: Client) -> None:
    def refuse(answer: Answer, status: int, sentence: str) -> None:
        assert answer.status == status and sentence in answer.json()["error"], answer.body

    refuse(client.upload(text=" "), 422, "there is no conversation: send the file `transcript`")
    refuse(client.upload(("transcript", "a.exe", b"x")), 422, "the transcript 'a.exe' should end in one of .csv")
    bad = client.upload(("transcript", "a.csv", b"x,y\n1,2\n"))
    refuse(bad, 422, "a.csv: no column holds text")
    assert str(client.temporary) not in bad.json()["error"]
    sound = ("recording", "a.txt", b"x")
    refuse(client.upload(("transcript", "t.srt", SUBTITLES), sound), 422, "the recording 'a.txt' should end in")
    refuse(client.upload(text="Ann: Yes.", other="1"), 422, "the form has a field 'other'")
    refuse(client.send("POST", "/predict", b"x", content_type="text/plain"), 415, "send application/json")
    refuse(client.send("GET", "/predict"), 405, "Method Not Allowed")
    refuse(client.send("GET", "/etc/passwd"), 404, "Not Found")
    refuse(client.predict({"utterances": [{"text": "rain"}] * 51}), 413, "there are 51 utterances, and 50")
    assert list(client.temporary.iterdir()) == []


def test_uploads_that_are_too_large(client: Client) -> None:
    """Refused by the length they announce, or when they have gone on for too long."""
    answer = client.upload(("transcript", "t.srt", b"x" * MAX_UPLOAD))
    assert answer.status == 413 and "the upload is larger than 0.2 MB" in answer.json()["error"]
    pieces = (b"x" * 10_000 for _ in range(30))
    answer = client.send("POST", "/predict", pieces, content_type="application/json", transfer_encoding="chunked")
    assert answer.status == 413 and "--max-upload" in answer.json()["error"]
    assert list(client.temporary.iterdir()) == []


def test_files_of_the_server_are_not_read(client: Client, tmp_path: Path) -> None:
    table = f"speaker,text,clip\nAnn,rain,{tmp_path / 'secret.wav'}\n".encode()
    answer = client.upload(("transcript", "t.csv", table))
    assert (
        answer.status == 200 and "1 utterances name audio files, which are not read here" in answer.json()["notices"][0]
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:8000"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
    ],
)
def test_other_names_and_other_sites_are_refused(headers: dict[str, str], client: Client) -> None:
    answer = client.send("GET", "/healthz", **headers)
    assert answer.status == 403 and "this server" in answer.json()["error"]


def test_its_own_names_are_served(client: Client) -> None:
    for host in ("localhost", f"127.0.0.1:{client.port}", "[::1]:9", "LOCALHOST:1"):
        assert client.send("GET", "/healthz", host=host, origin=f"http://{host.lower()}").status == 200
    from macsgr_jax.serving.guard import split_host

    assert split_host("[::1]:80") == "::1" and split_host("[x") == "" and split_host("a:b@c") == "c"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: also give --allow-host NAME"),
        (["--port", "70000"], "--port between 0 and 65535"),
        (["--model", "nowhere"], "there is no model nowhere"),
    ],
)
def test_options_that_do_not_fit(options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn")
    assert main(["serve", *options]) == 2
    assert sentence in capsys.readouterr().err


def test_a_port_that_is_taken(predictor: EmotionPredictor, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn")
    from macsgr_jax.serving.listening import listen

    with listen("127.0.0.1", 0) as socket:
        socket.listen()
        model, port = str(predictor.model.run), str(socket.getsockname()[1])
        assert main(["serve", "--model", model, "--context", "16", "--samples", "2", "--port", port]) == 2
    assert f"127.0.0.1:{port} cannot be listened at (Address already in use)" in capsys.readouterr().err
