import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import digest, downloads, paths
from bench.downloads import transfer
from bench.errors import BadInput, Unavailable, UnknownName

CONTENT = b"weights" * 40000
CHUNK = transfer.CHUNK
ENTRY = downloads.Download(
    name="net",
    file="net-1234.pth",
    url="http://127.0.0.1:9/net-1234.pth",
    sha256=digest.of_bytes(CONTENT)[:8],
    size_mib=0.01,
    licence="none",
)


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setitem(downloads.entries(), "net", ENTRY)


@pytest.fixture
def serve(loopback, monkeypatch):
    """The entry's file lies on a server on this machine."""
    loopback.content = CONTENT
    monkeypatch.setitem(downloads.entries(), "net", dataclasses.replace(ENTRY, url=f"{loopback.base}/net-1234.pth"))
    monkeypatch.setattr(transfer, "SECONDS", 0.5)
    return loopback


def _left(tmp_path):
    """What lies in the store for anybody to see."""
    return [path.name for path in (tmp_path / "home" / "weights").iterdir() if not path.name.startswith(".")]


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


def test_variables_know_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BENCH_HOME", "~/mine")
    assert paths.home() == tmp_path / "mine"
    monkeypatch.delenv("BENCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/cache")
    assert paths.home() == tmp_path / "cache" / "bench"


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
    path = downloads.locate("net", fetch=True)
    assert path == tmp_path / "home" / "weights" / ENTRY.file
    assert path.read_bytes() == CONTENT
    assert downloads.sha256("net") == digest.of_bytes(CONTENT)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"more"])
def test_a_wrong_file_leaves_nothing_behind(tmp_path, serve, content):
    serve.content = content
    with pytest.raises(BadInput, match="its SHA-256 begins with"):
        downloads.locate("net", fetch=True)
    assert _left(tmp_path) == []
    serve.content = CONTENT
    assert downloads.locate("net", fetch=True).read_bytes() == CONTENT


def test_a_web_page_instead_of_the_file_is_called_so(tmp_path, serve):
    serve.content = b"<!DOCTYPE html><html>Log in</html>"
    with pytest.raises(BadInput, match="answers with a web page"):
        downloads.locate("net", fetch=True)
    assert _left(tmp_path) == []


def test_a_transfer_that_breaks_off_goes_on_by_itself(serve):
    serve.cut = [2 * CHUNK, CHUNK]
    assert downloads.locate("net", fetch=True).read_bytes() == CONTENT
    assert [wanted for _, wanted in serve.asked] == ["", "", f"bytes={2 * CHUNK}-", f"bytes={3 * CHUNK}-"]


def test_a_transfer_that_breaks_off_for_good_is_gone_on_with_by_the_same_command(tmp_path, serve):
    serve.cut = [CHUNK, 0, 0]
    with pytest.raises(Unavailable, match=r"broke off after .* the same command goes on"):
        downloads.locate("net", fetch=True)
    assert _left(tmp_path) == []
    serve.asked.clear()
    assert downloads.locate("net", fetch=True).read_bytes() == CONTENT
    assert [wanted for _, wanted in serve.asked] == ["", f"bytes={CHUNK}-"]


def test_a_server_that_sends_no_parts_sends_all_again(serve):
    serve.cut, serve.ranges = [CHUNK], False
    assert downloads.locate("net", fetch=True).read_bytes() == CONTENT


def test_what_came_of_another_version_is_not_gone_on_with(serve):
    serve.content, serve.cut = b"older" * 56000, [CHUNK, 0, 0]
    with pytest.raises(Unavailable):
        downloads.locate("net", fetch=True)
    serve.content, serve.etag = CONTENT, '"two"'
    assert downloads.locate("net", fetch=True).read_bytes() == CONTENT


def test_a_redirection_is_followed(serve):
    serve.redirect = "/elsewhere/net-1234.pth"
    assert downloads.locate("net", fetch=True).read_bytes() == CONTENT


def test_a_server_that_says_no_size_is_believed_by_the_digest(serve):
    serve.says_size, serve.etag = False, ""
    assert downloads.locate("net", fetch=True).read_bytes() == CONTENT


def test_a_slow_server_has_time_and_a_silent_one_has_not(serve):
    serve.pause_s = 0.2
    assert downloads.locate("net", fetch=True).read_bytes() == CONTENT
    downloads.locate("net").unlink()
    serve.pause_s = 0.8
    with pytest.raises(Unavailable, match=r"could not be fetched .*[Tt]imed? ?out"):
        downloads.locate("net", fetch=True)


def test_an_address_that_is_gone_is_told(tmp_path, serve):
    serve.status = 404
    with pytest.raises(Unavailable, match=r"could not be fetched .*404.*put it into"):
        downloads.locate("net", fetch=True)
    assert _left(tmp_path) == []


def test_a_file_larger_than_the_free_disk_is_not_begun(serve, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(BadInput, match=r"needs .* MiB more in .*: make room"):
        downloads.locate("net", fetch=True)
    assert len(serve.asked) == 1


FILL = """
import resource, sys
from pathlib import Path
from bench import downloads
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
from bench.errors import BadInput
entry = downloads.Download(name="net", file="net.pth", url=sys.argv[1], licence="none")
try:
    downloads.fetched(entry, Path(sys.argv[2]))
except BadInput as fault:
    print(fault)
"""


def test_a_disk_that_fills_keeps_what_came(tmp_path, serve):
    words = [sys.executable, "-c", FILL, f"{serve.base}/net.pth", str(tmp_path)]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "cannot be written" in said.stdout
    assert "the same command then goes on" in said.stdout
    assert next(tmp_path.glob(".net.pth.*.part")).read_bytes() == CONTENT[:65536]


def test_two_processes_fetch_once(tmp_path, serve):
    serve.pause_s = 0.3
    words = [sys.executable, "-c", FILL.replace("(65536, 65536)", "(-1, -1)"), f"{serve.base}/net.pth", str(tmp_path)]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(one.communicate()[1] for one in both)
    assert [one.returncode for one in both] == [0, 0]
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert len(serve.asked) == 2  # the head and the file
    assert "Another process is fetching net.pth" in said


def test_a_mirror_is_a_tree_of_hosts(serve, monkeypatch):
    entry = dataclasses.replace(ENTRY, url="https://example.org/a/net-1234.pth")
    monkeypatch.setitem(downloads.entries(), "net", entry)
    monkeypatch.setenv("BENCH_MIRROR", f"{serve.base}/mirror/")
    downloads.locate("net", fetch=True)
    assert serve.asked[0][0] == "/mirror/example.org/a/net-1234.pth"


def test_hugging_faces_own_variable_names_another_hub(serve, monkeypatch):
    entry = dataclasses.replace(ENTRY, url="https://huggingface.co/me/net/resolve/main/net-1234.pth")
    monkeypatch.setitem(downloads.entries(), "net", entry)
    monkeypatch.setenv("HF_ENDPOINT", serve.base)
    downloads.locate("net", fetch=True)
    assert serve.asked[0][0] == "/me/net/resolve/main/net-1234.pth"


def test_without_a_stated_digest_the_first_file_is_held_against_later_ones(tmp_path, serve):
    entry = dataclasses.replace(downloads.entry("net"), sha256="")
    downloads.fetched(entry, tmp_path).unlink()
    downloads.fetched(entry, tmp_path).unlink()
    serve.content = b"another" * 1000
    with pytest.raises(BadInput, match="is not the file that was fetched before"):
        downloads.fetched(entry, tmp_path)


def test_an_md5_alone_is_held_against_the_file(tmp_path, serve):
    right, wrong = hashlib.md5(CONTENT).hexdigest(), "0" * 32
    entry = dataclasses.replace(downloads.entry("net"), sha256="", md5=right)
    assert downloads.fetched(entry, tmp_path).read_bytes() == CONTENT
    with pytest.raises(BadInput, match=f"its MD5 begins with {right}"):
        downloads.fetched(dataclasses.replace(entry, md5=wrong), tmp_path)


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


@pytest.mark.parametrize("field", ["sha256 = 'no digest'", "sha256 = 'abcd'", "md5 = 'ABCDEF0123'", "name = 'other'"])
def test_an_entry_with_no_digest_in_it_is_refused_with_its_line(tmp_path, field):
    (tmp_path / "net.toml").write_text(f"file = 'n.pth'\nurl = 'http://a'\nlicence = 'none'\n{field}\n")
    with pytest.raises(BadInput, match=rf"net\.toml, line 4, field '{field.split()[0]}'"):
        downloads.read(tmp_path / "net.toml", "net")
