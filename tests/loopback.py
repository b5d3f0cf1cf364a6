"""A server on this machine that keeps a file, and every way in which real ones fail."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from dataclasses import dataclass, field

import pytest


@dataclass
class Shelf:
    """What the server has and how it behaves; tests change it between requests."""

    content: bytes = b""
    status: int = 200
    etag: str = '"one"'
    ranges: bool = True
    cut: list[int] = field(default_factory=list)
    """Bytes after which each of the next transfers breaks off."""
    pause_s: float = 0
    """Before each answer."""
    redirect: str = ""
    says_size: bool = True
    base: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range of every request."""


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        shelf = self.server.shelf
        wanted = self.headers.get("Range", "")
        shelf.asked.append((self.path, wanted))
        time.sleep(shelf.pause_s)
        if shelf.redirect and self.path != shelf.redirect:
            self.send_response(302)
            self.send_header("Location", shelf.redirect)
            self.end_headers()
            return
        start = self._start(wanted)
        self.send_response(206 if start else shelf.status)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(shelf.content) - 1}/{len(shelf.content)}")
        if shelf.says_size:
            self.send_header("Content-Length", str(len(shelf.content) - start))
        if shelf.etag:
            self.send_header("ETag", shelf.etag)
        self.end_headers()
        self._send(shelf.content[start:])

    def _start(self, wanted):
        shelf = self.server.shelf
        same = self.headers.get("If-Range", shelf.etag) == shelf.etag
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and shelf.ranges and same else 0

    def _send(self, content):
        shelf = self.server.shelf
        head_only = len([path for path, _ in shelf.asked if path == self.path]) == 1  # the first asks for the head
        if shelf.cut and not head_only:
            content = content[: shelf.cut.pop(0)]
        with contextlib.suppress(OSError):  # whoever asked for the head has gone
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def loopback():
    """A `Shelf` at `loopback.base`, on 127.0.0.1."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.shelf = Shelf(base=f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.shelf
    server.shutdown()
    server.server_close()
