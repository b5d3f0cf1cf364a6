"""Code of others that fetches files by itself: kept from the network where nobody has asked for a transfer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class Reached(BaseException):
    """Somebody asked for the address of a server; nothing that a retry or an `except Exception` catches."""


_LOCK = threading.Lock()
_FOUND = socket.getaddrinfo
_inside = 0
"""How many are kept from the network: threads may overlap, and the last one out opens it again."""


@contextmanager
def without_network() -> Iterator[None]:
    """Inside, whoever looks up a server, in any thread of this process, meets `Reached`."""
    global _inside  # noqa: PLW0603 - one socket module for all threads
    with _LOCK:
        _inside += 1
        socket.getaddrinfo = _refuse
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if not _inside:
                socket.getaddrinfo = _FOUND


def _refuse(host: object, *_: object, **__: object) -> NoReturn:
    raise Reached(str(host))
