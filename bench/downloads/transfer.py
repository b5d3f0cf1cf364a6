"""One file over HTTP: what a server offers, and the bytes, from where an earlier transfer broke off."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench import digest

if TYPE_CHECKING:
    import requests

MIB = 1 << 20
CHUNK = 1 << 16
"""Bytes that are written at once; so many may be lost where a transfer breaks off."""
SECONDS = 60.0
"""So long a server may be silent."""
ATTEMPTS = 3
"""So often a transfer that breaks off goes on by itself."""
HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Offer:
    """What a server says of a file before it sends it."""

    url: str
    size: int
    """Bytes; 0 where the server does not say."""
    validator: str
    """ETag, else the time of the last change: two transfers of one validator are of one content. Empty: not said."""

    @property
    def digest(self) -> str:
        """Eight digits that stand for address, size and validator."""
        return digest.of_bytes(f"{self.url} {self.size} {self.validator}".encode())[:8]


def address(url: str) -> str:
    """Where a file is asked for: at HF_ENDPOINT instead of huggingface.co, else in the tree of files at BENCH_MIRROR.

    The tree lies as `wget -x` writes it: `BENCH_MIRROR/HOST/PATH`.
    """
    endpoint, mirror = os.environ.get("HF_ENDPOINT", "").rstrip("/"), os.environ.get("BENCH_MIRROR", "").rstrip("/")
    if endpoint and url.startswith(f"{HUB}/"):
        return endpoint + url.removeprefix(HUB)
    parts = urlsplit(url)
    return f"{mirror}/{parts.hostname}{parts.path}" if mirror else url


def offered(url: str) -> Offer:
    """Ask for a file's head; redirections are followed. Raises `OSError` (requests' own) where it cannot be had."""
    with _asked(url, {}) as answer:
        headers = answer.headers
        return Offer(
            url, int(headers.get("Content-Length", 0)), headers.get("ETag") or headers.get("Last-Modified", "")
        )


def receive(offer: Offer, beside: Path, advance: Callable[[int], object]) -> None:
    """Bring the bytes that `beside` lacks; what it holds already is part of the same offer.

    advance: is told how many bytes came. A transfer that breaks off goes on, `ATTEMPTS` times in all. Raises `OSError`:
    requests' own for the network's faults, the system's for the disk's; what came stays.
    """
    import requests

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _rest(offer, beside, advance)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if attempt == ATTEMPTS:
                raise
    return None


def _rest(offer: Offer, beside: Path, advance: Callable[[int], object]) -> None:
    import requests

    have = beside.stat().st_size if beside.exists() else 0
    if have and have == offer.size:
        return
    wanted = {"Range": f"bytes={have}-"} | ({"If-Range": offer.validator} if offer.validator else {}) if have else {}
    with _asked(offer.url, wanted) as answer:
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        advance(0 if goes_on else -have)
        with beside.open("ab" if goes_on else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                advance(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if beside.stat().st_size < offer.size:
        raise requests.ConnectionError("the server closed the connection early")


def _asked(url: str, headers: dict[str, str]) -> requests.Response:
    import requests

    plain = {"Accept-Encoding": "identity", **headers}  # lengths and ranges are those of the file itself
    answer = requests.get(url, headers=plain, stream=True, timeout=SECONDS)
    try:
        answer.raise_for_status()
    except requests.HTTPError:
        answer.close()
        raise
    return answer
