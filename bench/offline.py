"""Code of others that fetches files by itself: kept from the network where nobody has asked for a transfer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class Reached(BaseException):
    """Somebody asked for the address of a server; nothing that a retry or an `except Exception` catches."""


@contextmanager
def without_network() -> Iterator[None]:
    """Inside, whoever looks up a server, in any thread of this process, meets `Reached`."""

    def refuse(host: object, *_: object, **__: object) -> NoReturn:
        raise Reached(str(host))

    before = socket.getaddrinfo
    socket.getaddrinfo = refuse
    try:
        yield
    finally:
        socket.getaddrinfo = before
