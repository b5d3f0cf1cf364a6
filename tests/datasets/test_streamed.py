"""A data set of the hub is read over the network by ranges: nothing is kept, and faults are told in a sentence."""

import http.server
import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

COMMIT = "0123456789abcdef0123456789abcdef01234567"
AT = "/datasets/owner/name/resolve/"
FILE = "data/test-00000-of-00001.parquet"

pytestmark = pytest.mark.slow


@dataclass
class Hub:
    """What a hub on this machine has, and what it was asked for."""

    files: dict[str, bytes]
    address: str = ""
    sent: int = 0
    """Bytes of files that left it."""
    broken: bool = False
    asked: list[str] = field(default_factory=list)


class Answer(http.server.BaseHTTPRequestHandler):
    """The few requests of the hub's interface that reading takes."""

    def do_GET(self):
        hub, (path, _, asked) = self.server.hub, self.path.partition("?")
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        hub.asked.append(f"{self.command} {path}")
        listed = [{"type": "file", "oid": "0" * 40, "size": len(b), "path": name} for name, b in hub.files.items()]
        if path.endswith(f"/tree/{COMMIT}"):
            folder = [{"type": "directory", "oid": "0" * 40, "path": "data"}]
            listed = folder + listed * ("recursive=true" in asked.lower())
        if path.startswith(AT):
            self.file(path.removeprefix(AT).partition("/")[2])
        elif path.startswith(("/api/datasets/owner/name/tree/", "/api/datasets/owner/name/paths-info/")):
            self.body(json.dumps(listed).encode())
        elif path.startswith("/api/datasets/owner/name"):
            self.body(json.dumps({"_id": "1", "id": "owner/name", "sha": COMMIT, "siblings": []}).encode())
        else:
            self.body(b"{}", 404)

    do_HEAD = do_POST = do_GET  # noqa: N815 - as the library calls them

    def file(self, name):
        hub = self.server.hub
        if name not in hub.files:
            return self.body(b"", 404, {"X-Error-Code": "EntryNotFound"})
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = hub.files[name][int(first) : int(last) + 1 if last else None]
        if hub.broken and self.command == "GET":
            return self.body(b"", 500)
        hub.sent += len(part) * (self.command == "GET")
        heads = {"ETag": '"1"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        heads["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(hub.files[name])}"
        return self.body(part, 206 if "Range" in self.headers else 200, heads)

    def body(self, content, status=200, heads=()):
        self.send_response(status)
        for name, value in dict(heads).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


def noise(seed):
    buffer = io.BytesIO()
    Image.effect_noise((256, 256), 60 + seed).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def hub():
    """Eight photographs of about 100 KB in row groups of two."""
    pytest.importorskip("datasets")
    rows = [{"bytes": noise(seed), "path": f"im{seed}.png"} for seed in range(8)]
    content = io.BytesIO()
    pq.write_table(pa.table({"image": rows}), content, row_group_size=2)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.hub = Hub({FILE: content.getvalue()}, f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.hub
    server.shutdown()


@pytest.fixture
def run(hub, tmp_path):
    """`bench run` of a name on this hub; the finished process."""

    def call(name, *more):
        words = [sys.executable, "-m", "bench", "run", "--models", "mean", "--dataset", name, "--masks", "centre"]
        words += ["--metrics", "psnr", "--keep-images", "0", "--out", str(tmp_path / "run"), *more]
        house = {"PYTHONPATH": str(Path(__file__).parents[2]), "HF_HOME": str(tmp_path / "hub")}
        kept = {"HF_ENDPOINT": hub.address, "BENCH_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        return subprocess.run(words, env=os.environ | house | kept, capture_output=True, text=True, check=False)

    return call


def test_two_photographs_of_eight_are_measured_without_the_others_and_nothing_is_kept(run, hub, tmp_path):
    done = run(f"hf-stream:owner/name@{COMMIT}", "--limit", "2", "--workers", "1", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stderr
    assert len((tmp_path / "run" / "images.txt").read_text().split()) == 2
    whole = len(hub.files[FILE])
    assert hub.sent < 0.8 * whole  # two groups at most, names and footers
    assert sum(path.stat().st_size for path in (tmp_path / "hub").rglob("*") if path.is_file()) < 0.05 * whole


def test_a_branch_is_refused_with_the_commit_to_type(run):
    done = run("hf-stream:owner/name")
    assert done.returncode == 2
    assert f"so name its commit, now: hf-stream:owner/name@{COMMIT}" in done.stderr


def test_a_hub_that_does_not_answer_is_told_in_a_sentence(run, hub):
    hub.broken = True
    done = run(f"hf-stream:owner/name@{COMMIT}")
    assert done.returncode == 2
    assert "cannot be read over the network" in done.stderr
    assert "Traceback" not in done.stderr
