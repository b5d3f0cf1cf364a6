"""Runs that are copied to a store and back: the same run, also when the copy was cut short or the run is at work."""

import json
import shutil

import fsspec
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.errors import BadInput, NotComparable
from bench.report import results
from bench.run.main import run
from bench.runfolder import copies, tables
from bench.types import Execution, RunSpec


@pytest.fixture(scope="module")
def root(toys, tmp_path_factory):
    spec = RunSpec(toys("Grey"), "demo", limit=3, masks=("centre",), metrics=("psnr",), keep_images=1)
    return run(spec, tmp_path_factory.mktemp("runs") / "run", Execution(shard=2)).root


@pytest.fixture(scope="module")
def bucket():
    """A bucket of an S3 server on loopback."""
    s3fs, moto = pytest.importorskip("s3fs"), pytest.importorskip("moto.server")
    with pytest.MonkeyPatch.context() as patch:
        server = moto.ThreadedMotoServer("127.0.0.1", port=0)
        server.start()
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("ours")
        yield "s3://ours"
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


@pytest.fixture(params=["file", "memory", "s3"])
def url(request, tmp_path):
    if request.param == "s3":
        yield f"{request.getfixturevalue('bucket')}/{tmp_path.name}"
    else:
        yield f"file://{tmp_path}/store/run" if request.param == "file" else "memory://store/run"
    fsspec.filesystem("memory").store.clear()


def content(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_a_run_comes_back_as_it_went(root, url, tmp_path):
    copies.push(root, url)
    copies.pull(url, tmp_path / "back")
    assert content(tmp_path / "back") == content(root)
    assert results.load(tmp_path / "back").models == results.load(root).models


def test_parts_that_are_there_are_not_sent_again(root, url, tmp_path):
    first = copies.push(root, url)
    parts = len(list(root.glob("parts/*/*/*")))
    assert copies.push(root, url) == first - parts
    assert copies.pull(url, tmp_path / "back") == first
    assert copies.pull(url, tmp_path / "back") == first - parts


@pytest.fixture
def made_again(root, tmp_path):
    """A copy of the run whose second part, its vectors and what is folded were made again: other bytes, as many."""

    def make():
        other = shutil.copytree(root, tmp_path / "other")
        part = next(other.glob("parts/*/toys*/0000002*.parquet"))
        table = pq.read_table(part)
        place = table.schema.get_field_index("psnr")
        values = pc.add(table.column(place), 1.0)
        again = table.set_column(place, table.schema.field(place), values)
        tables.write(part, again.schema, [again])
        return other, part

    return make


def beside(part, letter):
    """Files as they lie beside parts."""
    for name in (f"{part.name.partition('.')[0]}.inception.npy", "folded.inception.000.safetensors"):
        (part.parent / name).write_bytes(letter * 100)
    (part.parent / "0000000-0000002.inception.npy").write_bytes(b"of another part")


def test_what_was_made_again_is_copied_again_though_it_is_as_large_as_before(made_again, root, url, tmp_path):
    first = shutil.copytree(root, tmp_path / "first")
    beside(next(first.glob("parts/*/toys*/0000002*.parquet")), b"a")
    sent = copies.push(first, url)
    copies.pull(url, tmp_path / "back")
    other, part = made_again()
    beside(part, b"b")
    assert part.stat().st_size == (first / part.relative_to(other)).stat().st_size
    assert copies.push(other, url) == copies.push(first, url)
    assert copies.push(other, url) < sent - 3
    copies.pull(url, tmp_path / "back")
    assert content(tmp_path / "back") == content(other)


def test_a_run_goes_on_in_what_was_pulled(root, url, tmp_path, toys):
    half = shutil.copytree(root, tmp_path / "half")
    (half / "results.parquet").unlink()
    next(half.glob("parts/*/toys*/0000002*.parquet")).unlink()
    copies.push(half, url)
    copies.pull(url, tmp_path / "back")
    spec = RunSpec(toys("Grey"), "demo", limit=3, masks=("centre",), metrics=("psnr",), keep_images=1)
    run(spec, tmp_path / "back", Execution(shard=2))
    assert (tmp_path / "back" / "results.parquet").read_bytes() == (root / "results.parquet").read_bytes()


def test_a_copy_without_its_record_is_no_run_yet(root, url, tmp_path):
    copies.push(root, url)
    files, base = fsspec.core.url_to_fs(url)
    files.rm(f"{base}/run.json")
    with pytest.raises(BadInput, match="holds no run"):
        copies.pull(url, tmp_path / "back")


def test_another_run_is_not_overwritten(root, url, tmp_path, toys):
    copies.push(root, url)
    spec = RunSpec(toys("Grey"), "demo", limit=2, masks=("centre",), metrics=("psnr",), keep_images=0)
    other = run(spec, tmp_path / "other", Execution()).root
    with pytest.raises(BadInput, match="do not hold the same run"):
        copies.push(other, url)
    with pytest.raises(BadInput, match="do not hold the same run"):
        copies.pull(url, other)


def test_a_run_that_was_measured_on_other_photographs_of_the_same_names_is_not_overwritten(root, url, tmp_path):
    copies.push(root, url)
    other = shutil.copytree(root, tmp_path / "other")
    made = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(made | {"photographs": "0" * 64}))
    with pytest.raises(NotComparable, match="photographs of the same names and other pixels"):
        copies.pull(url, other)


@pytest.mark.parametrize(
    ("address", "told"),
    [("runs/copy", "is no URL"), ("s4://bucket/run", "s4"), ("memory://nothing/here", "holds no run")],
)
def test_an_address_that_cannot_be_used_is_told_in_one_sentence(bench, tmp_path, address, told):
    status, _, err = bench("pull", address, tmp_path / "run")
    assert status == 2
    assert told in err


def test_the_command_line_sends_and_fetches(bench, root, url, tmp_path):
    status, out, _ = bench("push", root, url)
    assert status == 0
    assert f"Back: bench pull {url} DIR" in out
    assert bench("pull", url, tmp_path / "back", "--quiet")[0] == 0
    assert content(tmp_path / "back") == content(root)


def test_a_bucket_that_is_not_there_is_said_in_a_sentence(bucket, root, tmp_path):
    with pytest.raises(BadInput, match="s3://nowhere"):
        copies.push(root, "s3://nowhere/run")
    with pytest.raises(BadInput, match="holds no run"):
        copies.pull("s3://nowhere/run", tmp_path / "back")


def test_a_record_that_is_none_is_named_before_anything_is_fetched(root, url, tmp_path):
    copies.push(root, url)
    files, base = fsspec.core.url_to_fs(url)
    files.pipe_file(f"{base}/run.json", b"junk")
    with pytest.raises(BadInput, match=r"The run\.json of .* is damaged"):
        copies.pull(url, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_run_whose_list_of_images_is_damaged_is_not_sent(root, url, tmp_path):
    broken = shutil.copytree(root, tmp_path / "broken")
    (broken / "images.txt").write_text("")
    with pytest.raises(BadInput, match=r"images\.txt is damaged"):
        copies.push(broken, url)


def test_a_run_is_not_fetched_into_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="file is a file: give the folder"):
        copies.pull(f"file://{tmp_path}/store", tmp_path / "file")
