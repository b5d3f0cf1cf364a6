import dataclasses
import http.server
import threading
from pathlib import Path

import pytest

from bench import digest, downloads
from bench.errors import BadInput, Unavailable, UnknownName

CONTENT = b"weights" * 1000
ENTRY = downloads.Download(
    name="net",
    file="net-1234.pth",
    url="http://127.0.0.1:9/net-1234.pth",
    sha256=digest.of_bytes(CONTENT)[:8],
    size_mib=0.01,
    licence="none",
    needed_by="tests",
)


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setitem(downloads.entries(), "net", ENTRY)


@pytest.fixture
def serve(monkeypatch):
    """A server on this machine that answers every request with the given bytes."""
    servers = []

    def start(content, *, announced=None, status=200):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(announced or len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        entry = dataclasses.replace(ENTRY, url=f"http://127.0.0.1:{server.server_port}/net")
        monkeypatch.setitem(downloads.entries(), "net", entry)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _put(folder, content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ENTRY.file
    path.write_bytes(content)
    return path


def test_a_file_in_bench_home_is_found(tmp_path):
    path = _put(tmp_path / "home" / "weights")
    assert downloads.locate("net") == path


def test_a_file_in_torchs_cache_is_found(tmp_path):
    path = _put(tmp_path / "torch" / "hub" / "checkpoints")
    assert downloads.locate("net") == path


@pytest.mark.parametrize("variable", ["TORCH_HOME", "XDG_CACHE_HOME"])
def test_torchs_cache_is_sought_where_torch_would_look(tmp_path, monkeypatch, variable):
    torch_hub = pytest.importorskip("torch.hub")
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    path = _put(Path(torch_hub.get_dir()) / "checkpoints")
    assert path.is_relative_to(tmp_path)
    assert downloads.locate("net") == path


def test_the_variable_goes_before_every_folder(tmp_path, monkeypatch):
    _put(tmp_path / "home" / "weights")
    path = _put(tmp_path / "mine")
    monkeypatch.setenv("BENCH_WEIGHTS_NET", str(path))
    assert downloads.locate("net") == path


def test_a_variable_that_names_nothing_is_an_error(monkeypatch):
    monkeypatch.setenv("BENCH_WEIGHTS_NET", "/no/such/file")
    with pytest.raises(BadInput, match=r"BENCH_WEIGHTS_NET names /no/such/file"):
        downloads.locate("net")


def test_a_missing_file_is_named_with_its_place_and_its_command(tmp_path):
    with pytest.raises(Unavailable) as fault:
        downloads.locate("net")
    for part in (ENTRY.file, str(tmp_path / "home" / "weights"), "bench metrics fetch net"):
        assert part in str(fault.value)


def test_a_file_with_another_digest_is_refused(tmp_path):
    _put(tmp_path / "home" / "weights", b"something else")
    with pytest.raises(BadInput, match="its SHA-256 begins with"):
        downloads.locate("net")


def test_a_file_that_changes_is_checked_again(tmp_path):
    path = _put(tmp_path / "home" / "weights")
    downloads.locate("net")
    path.write_bytes(b"something shorter")
    with pytest.raises(BadInput):
        downloads.locate("net")


def test_fetching_stores_the_whole_file_under_its_name(tmp_path, serve):
    serve(CONTENT)
    path = downloads.locate("net", fetch=True)
    assert path == tmp_path / "home" / "weights" / ENTRY.file
    assert path.read_bytes() == CONTENT
    assert downloads.sha256("net") == digest.of_bytes(CONTENT)


@pytest.mark.parametrize("content", [CONTENT[:-1], b"<html>not found</html>"])
def test_a_wrong_download_leaves_nothing_behind(tmp_path, serve, content):
    serve(content)
    with pytest.raises(BadInput, match="its SHA-256 begins with"):
        downloads.locate("net", fetch=True)
    assert list((tmp_path / "home" / "weights").iterdir()) == []


def test_a_transfer_that_breaks_off_leaves_nothing_behind(tmp_path, serve):
    serve(CONTENT, announced=2 * len(CONTENT))
    with pytest.raises(Unavailable, match="could not be fetched"):
        downloads.locate("net", fetch=True)
    assert list((tmp_path / "home" / "weights").iterdir()) == []


def test_an_address_that_is_gone_is_told(tmp_path, serve):
    serve(b"", status=404)
    with pytest.raises(Unavailable, match=r"could not be fetched .*404.*put it into"):
        downloads.locate("net", fetch=True)
    assert list((tmp_path / "home" / "weights").iterdir()) == []


def test_fetching_without_a_network_says_where_to_put_the_file(tmp_path):
    with pytest.raises(Unavailable, match=r"could not be fetched.*put it into"):
        downloads.locate("net", fetch=True)


def test_a_brought_file_is_copied_under_its_own_name(tmp_path):
    source = tmp_path / "download (1).bin"
    source.write_bytes(CONTENT)
    assert downloads.bring("net", source).name == ENTRY.file
    assert downloads.locate("net").read_bytes() == CONTENT


def test_a_brought_file_with_another_digest_is_not_copied(tmp_path):
    source = tmp_path / ENTRY.file
    source.write_bytes(b"something else")
    with pytest.raises(BadInput):
        downloads.bring("net", source)
    assert downloads.find("net") is None


def test_a_file_whose_digest_nobody_states_is_brought_and_never_fetched(tmp_path, serve, monkeypatch):
    serve(CONTENT)
    monkeypatch.setitem(downloads.entries(), "net", dataclasses.replace(downloads.entry("net"), sha256=""))
    with pytest.raises(Unavailable, match="fetch net --from FILE"):
        downloads.locate("net", fetch=True)
    source = tmp_path / "brought.pth"
    source.write_bytes(CONTENT)
    downloads.bring("net", source)
    assert downloads.locate("net").read_bytes() == CONTENT


def test_an_unknown_name_brings_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean: inception-fid"):
        downloads.locate("inception")


@pytest.mark.parametrize("entry", downloads.entries().values(), ids=lambda entry: entry.name)
def test_a_digest_is_whole_or_stands_in_the_name_as_torch_writes_it_or_nobody_states_any(entry):
    assert len(entry.sha256) in {0, 64} or entry.file.endswith(f"-{entry.sha256}.pth")
    assert entry.url.endswith(f"/{entry.file}")
