"""Refuses what a local server should not answer: other host names, pages of other sites, and too large uploads."""

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}


class Guard:
    """An ASGI application around another one.

    A page of another site can send requests to a server on this machine, also under a host name that it lets point
    here: so the name has to be one that is known, and the page one of this server.

    Args:
        app: the application.
        hosts: the host names, without ports, under which it answers.
        max_bytes: the size of the largest request.
    """

    def __init__(self, app: Application, hosts: Sequence[str], max_bytes: int) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._max_bytes = max_bytes

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._describe_limit())
            return message

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        status, reason = self._refuse(Headers(scope=scope))
        if status:
            body = json.dumps({"error": reason}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send_safely({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await self._app(scope, receive_counted, send_safely)

    def _refuse(self, headers: Headers) -> tuple[int, str]:
        """Returns the status and the reason of a refusal; 0 where the request may be answered."""
        host = headers.get("host", "")
        name = split_host(host)
        if name not in self._hosts:
            return 403, f"this server does not answer under the name {name[:100]!r}: use {min(self._hosts)}"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "this server answers its own page and programs, and no page of another site"
        if headers.get("sec-fetch-site") == "cross-site":
            return 403, "this server answers its own page and programs, and no page of another site"
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            return 400, "the content-length is no number"
        if int(length) > self._max_bytes:
            return 413, self._describe_limit()
        return 0, ""

    def _describe_limit(self) -> str:
        return f"the upload is larger than {self._max_bytes / 1e6:g} MB: send less, or restart with --max-upload"


def split_host(host: str) -> str:
    """Returns the name in a Host header, without port and brackets, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
