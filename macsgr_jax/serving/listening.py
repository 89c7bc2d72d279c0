"""Opens the port of the server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from macsgr_jax.errors import InputError


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Listens at an address, and closes it when the block ends.

    Args:
        host: a name or an address.
        port: the port; 0 takes one that is free.

    Yields:
        The socket.

    Raises:
        InputError: the address does not exist, or the port is taken.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        server = socket.socket(family, kind, number)
    except OSError as error:
        raise InputError(f"--host {host} is no address of this machine ({error.strerror}): give another") from None
    with server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(address)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{host}:{port} cannot be listened at ({reason}): give another --host or --port") from None
        yield server
