"""A look through a copy finds what is missing or broken, and the command line says so."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli import datasets as command
from bench.datasets import registry as dataset_registry
from bench.datasets.verify import verify


@pytest.fixture
def copy(tmp_path):
    for number, size in enumerate([(8, 6), (20, 30), (10, 10)]):
        (tmp_path / "val_256").mkdir(exist_ok=True)
        Image.new("RGB", size).save(tmp_path / "val_256" / f"{number}.jpg")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(command.app, [str(word) for word in arguments])


def test_sizes_count_and_digest_are_told(copy):
    found = verify("folder", str(copy))
    assert found.whole
    assert (found.count, found.decoded, found.smallest, found.largest) == (3, 3, (8, 6), (20, 30))
    assert found.list_sha256 == dataset_registry.list_digest(["val_256/0", "val_256/1", "val_256/2"])


def test_a_count_that_is_not_the_official_one_is_not_whole(copy):
    found = verify("places2", str(copy))
    assert (found.split, found.count, found.official, found.whole) == ("val", 3, 36_500, False)


def test_a_broken_photograph_is_named_with_its_fault(copy):
    (copy / "val_256" / "9.jpg").write_bytes(b"?")
    found = verify("folder", str(copy))
    assert not found.whole
    assert list(found.broken) == ["val_256/9"]
    assert "no picture" in found.broken["val_256/9"]


def test_a_sample_is_drawn_by_digest(copy):
    assert verify("folder", str(copy), sample=2).decoded == 2


def test_the_command_ends_with_status_one_where_something_is_wrong(copy):
    assert run("verify", "folder", "--root", copy).exit_code == 0
    wrong = run("verify", "places2", "--root", copy)
    assert wrong.exit_code == 1
    assert "places2 val: 3 photographs of 36,500 official" in wrong.stdout


def test_the_command_writes_a_list_that_reads_back(copy):
    run("verify", "places2", "--root", copy, "--write-list", copy / "mine.txt")
    assert dataset_registry.read_list(copy / "mine.txt") == ["0", "1", "2"]


def test_the_command_speaks_json(copy):
    found = json.loads(run("verify", "folder", "--root", copy, "--json").stdout)
    assert (found["count"], found["broken"], found["smallest"]) == (3, {}, [8, 6])


def test_the_list_names_every_data_set():
    text = run("list").stdout
    assert not [name for name in dataset_registry.known() if f"\n{name} " not in f"\n{text}"]


@pytest.mark.parametrize("name", dataset_registry.known())
def test_every_data_set_has_a_sheet(name):
    assert run("show", name).exit_code == 0
    assert json.loads(run("show", name, "--json").stdout)["name"] == name


def test_a_sheet_tells_layout_licence_and_tables():
    text = run("show", "places2").stdout
    for word in ("val_256", "36500", "licence", "cfs-table1", "survey Table 3", "1000000"):
        assert word in text


def test_every_kind_of_fault_is_found_at_once(copy):
    (copy / "val_256" / "9.jpg").write_bytes(b"?")
    (copy / "val_256" / "8.jpg").write_bytes((copy / "val_256" / "1.jpg").read_bytes())
    (copy / "val_256" / "0.png").write_bytes(b"")
    (copy / "val_256" / "a.gif").touch()
    (copy / "list.txt").write_text("".join(f"val_256/{name}\n" for name in (0, 1, 2, 8, 9, 77)))
    done = run("verify", "folder", "--root", copy, "--split", copy / "list.txt")
    assert done.exit_code == 1
    for word in (
        "broken: 1",
        "no picture",
        "0.jpg and val_256/0.png have one name",
        "names 1 photograph that folder does not hold: val_256/77",
        "1 .gif",
        "doubles by content: 1",
        "val_256/1 = val_256/8",
        "smaller than what bench@1 asks for: 4",
        "val_256/0: 8 x 6",
    ):
        assert word in done.stdout.replace("0.png and val_256/0.jpg", "0.jpg and val_256/0.png")


def test_doubles_and_small_photographs_alone_break_no_copy(copy):
    (copy / "val_256" / "8.jpg").write_bytes((copy / "val_256" / "1.jpg").read_bytes())
    assert run("verify", "folder", "--root", copy).exit_code == 0


def test_names_cannot_steer_the_terminal(copy):
    (copy / "val_256" / "\x1b[2J.jpg").write_bytes(b"?")
    shown = run("verify", "folder", "--root", copy).stdout
    assert "\x1b[2J" not in shown
    assert "\\x1b[2J" in shown


def test_what_is_broken_does_not_count_as_decoded(copy):
    (copy / "val_256" / "9.jpg").write_bytes(b"?")
    told = run("verify", "folder", "--root", copy).stdout
    assert "decoded: 3 of 4, broken: 1" in told
    assert "widths: 8 to 20 pixels, heights: 6 to 30" in told


def test_where_nothing_could_be_decoded_no_size_is_told(tmp_path):
    (tmp_path / "9.jpg").write_bytes(b"?")
    told = run("verify", "folder", "--root", tmp_path).stdout
    assert "folder: 1 photograph\n" in told
    assert "decoded: 0 of 1, broken: 1" in told
    assert "widths" not in told
