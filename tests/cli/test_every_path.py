"""Whatever a command takes as a path may be anything: it is used, or refused in one sentence."""

import contextlib
import ctypes
import functools
import resource

import click
import pytest
import typer

from bench import cli

SMALL = ("--dataset", "demo", "--masks", "freeform", "--buckets", "20-30", "--limit", "1")
MEASURED = ("--models", "mean", *SMALL, "--workers", "0", "--quiet")
NEEDED = {
    "bench audit": {"run": "RUN"},
    "bench board": {"folder": "FOLDER"},
    "bench check": {"run": "RUN", "--against": "WRITTEN"},
    "bench collect": {"run": "RUN"},
    "bench export": {"out": "NEW", "": SMALL},
    "bench figure": {"run": "RUN", "--out": "NEW.svg"},
    "bench pull": {"url": "file://FOLDER", "folder": "NEW"},
    "bench push": {"run": "RUN", "url": "file://NEW"},
    "bench ranks": {"run": "RUN"},
    "bench report": {"runs": "RUN"},
    "bench reproduce": {"layout": "survey-table2"},
    "bench run": {"--out": "NEW", "": MEASURED},
    "bench score": {"--predictions": "FOLDER", "--out": "NEW", "": SMALL},
    "bench submit": {"run": "RUN", "--out": "NEW.zip"},
    "bench train": {"model": "ce", "": ("--recipe", "starter", "--steps", "1", "--plan", "--quiet")},
    "bench study make": {"run": "RUN", "--out": "NEW"},
    "bench study tally": {"study": "FOLDER", "files": "WRITTEN"},
    "bench datasets verify": {"name": "folder", "--root": "PHOTOGRAPHS"},
    "bench datasets split": {"name": "folder", "--counts": "a=1", "--root": "PHOTOGRAPHS", "--out": "NEW"},
    "bench masks show": {"set_id": "freeform-256", "--out": "NEW.png"},
    "bench masks freeze": {"families": "centre", "--into": "NEW", "": ("--size", "512")},
    "bench masks import": {"name": "mine", "source": "FOLDER"},
    "bench metrics fetch": {"names": "vgg16-imagenet", "--from": "FOLDER"},
    "bench models verify": {"name": "mean", "--run": "RUN"},
}
"""What each command needs, by argument or option in the order of the command line; "": further words."""
WRONG = {
    "missing": "ROOM/no/such/place",
    "a folder": "ROOM/empty",
    "a text file": "ROOM/some text.txt",
    "300 letters": "ROOM/" + "n" * 300,
    "nobody's home": "~nosuchuser/x",
    "two lines": "ROOM/one\ntwo",
}
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
"""By which root passes over permissions."""
WRITTEN = {
    ("bench board", "--html"): "NEW",
    ("bench check", "--write"): "NEW.json",
    ("bench check", "--junit"): "NEW.xml",
    ("bench check", "--markdown"): "NEW.md",
    ("bench export", "out"): "NEW",
    ("bench figure", "--out"): "NEW.png",
    ("bench pull", "folder"): "NEW",
    ("bench report", "--out"): "NEW.md",
    ("bench report", "--html"): "NEW",
    ("bench run", "--out"): "NEW",
    ("bench submit", "--out"): "NEW.zip",
    ("bench datasets verify", "--write-list"): "NEW.txt",
    ("bench datasets split", "--out"): "NEW",
    ("bench masks show", "--out"): "NEW.png",
    ("bench masks freeze", "--into"): "NEW",
    ("bench study make", "--out"): "NEW",
}
"""What each option writes."""
MORE = {
    ("bench check", "--write"): {"--against": None},
    ("bench figure", "--out"): {"--kind": "grid"},
    ("bench study make", "--out"): {"--kind": "rating", "--questions": "1", "--checks": "0"},
}
"""What they need otherwise, so that there is something to write; None: which is left out."""
EMPTY = (("bench board", "--html"), ("bench pull", "folder"))
"""Options of commands that have nothing to write in these tests."""
FILES = [*(place for place, name in WRITTEN.items() if "." in name), ("bench ranks", "--out")]


def commands(command, name="bench"):
    below = command.commands.items() if isinstance(command, click.Group) else ()
    return [found for word, one in below for found in commands(one, f"{name} {word}")] or [(name, command)]


PATHS = [
    (name, parameter.opts[-1])
    for name, command in commands(typer.main.get_command(cli.build()))
    for parameter in command.params
    if isinstance(parameter.type, click.Path)
]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A finished run, what `bench check` wrote of it, a folder with a photograph, an empty folder, a text file."""
    from PIL import Image

    from bench import progress
    from bench.report.analysis import regression
    from bench.run.main import run
    from bench.types import Execution, RunSpec

    root = tmp_path_factory.mktemp("room")
    progress.quiet = True
    run(RunSpec(models=("mean",), masks=("freeform",), buckets="20-30", limit=1), root / "run", Execution())
    regression.write(root / "written.json", regression.expectations(root / "run", {}))
    (root / "empty").mkdir()
    (root / "photographs").mkdir()
    Image.new("RGB", (300, 300), "teal").save(root / "photographs" / "teal.png")
    (root / "some text.txt").write_text("nothing that anybody expects\n")
    return root


TEXTS = {
    ("bench compare", "a"): ("{}:mean", {"b": "RUN:mean"}),
    ("bench datasets verify", "--split"): ("{}.txt", {}),
    ("bench export", "--protocol"): ("{}@1.toml", {}),
    ("bench figure", "--layout"): ("{}.toml", {}),
    ("bench models import", "files"): ("{}", {"name": "pconv"}),
    ("bench push", "url"): ("file://{}", {}),
    ("bench pull", "url"): ("file://{}", {}),
    ("bench report", "--layout"): ("{}.toml", {"runs": "RUN"}),
    ("bench reproduce", "layout"): ("{}.toml", {}),
    ("bench reproduce", "--root"): ("celeba={}", {"layout": "rnon-table3"}),
    ("bench run", "--models"): ("{}/x.py:Model", {}),
    ("bench run", "--protocol"): ("{}@1.toml", {}),
}
"""Texts that may hold a path: how, and what else the command needs where `NEEDED` does not say it."""


@pytest.fixture
def ask(bench, room, tmp_path, monkeypatch):
    """A command with one of its paths given, all else as it should be; whatever comes of it is one sentence at most."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    places = {
        "RUN": room / "run",
        "WRITTEN": room / "written.json",
        "PHOTOGRAPHS": room / "photographs",
        "FOLDER": room / "empty",
        "NEW": tmp_path / "new",
        "ROOM": room,
    }

    def give(command, path, value, more=()):
        words = command.split()[1:]
        needed = {**NEEDED.get(command, {}), **dict(more), path: value}
        for name, given in ((name, given) for name, given in needed.items() if given is not None):
            if not name:
                words += given
                continue
            word = functools.reduce(lambda text, place: text.replace(place, str(places[place])), places, given)
            words += [name, word] if name.startswith("--") else [word]
        status, _, said = bench(*words)
        assert status in (0, 1, 2)
        if status == 2:
            assert said.strip().splitlines()[-1].startswith("error: ")
        return status, said

    return give


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(("command", "path"), PATHS, ids=map(" ".join, PATHS))
def test_any_path_is_used_or_refused_in_one_sentence(ask, command, path, wrong):
    ask(command, path, wrong)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "path"), TEXTS, ids=map(" ".join, TEXTS))
def test_any_path_within_a_text_is_used_or_refused_in_one_sentence(ask, command, path):
    form, more = TEXTS[command, path]
    for wrong in WRONG.values():
        status, said = ask(command, path, form.format(wrong), more.items())
        assert status != 0 or path == "url", said


@pytest.fixture(scope="module")
def locked(room):
    """A folder that nobody may enter, one in which nobody may write, a file that nobody may read."""
    inner = room / "locked"
    inner.mkdir()
    (inner / "inner").mkdir()
    (room / "unreadable.txt").write_text("secret\n")
    (room / "sealed").mkdir()
    modes = {inner: 0o000, room / "unreadable.txt": 0o000, room / "sealed": 0o555}
    for path, mode in modes.items():
        path.chmod(mode)
    yield {"in a locked folder": "ROOM/locked/inner", "an unreadable file": "ROOM/unreadable.txt"} | {
        "a locked folder": "ROOM/locked",
        "in a sealed folder": "ROOM/sealed/new",
    }
    for path in modes:
        path.chmod(0o755)


@pytest.fixture
def unprivileged():
    """Root is asked for its permissions as everybody is: two capabilities are laid down for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, before = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    dropped = (ctypes.c_uint32 * 6)(*before)
    dropped[0] &= ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)
    assert libc.capset(header, dropped) == 0
    yield
    assert libc.capset(header, before) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("command", "path"), PATHS, ids=map(" ".join, PATHS))
def test_a_path_without_permission_is_refused_in_one_sentence(ask, locked, unprivileged, command, path):
    for kind, value in locked.items():
        status, said = ask(command, path, value, MORE.get((command, path), {}).items())
        replaces = kind == "an unreadable file" and (command, path) in FILES  # the folder may be written into
        assert status == 2 or replaces, (kind, said)


@pytest.fixture
def full():
    """No file takes a byte more, as on a full disk; the system says so of every write, whoever does it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextlib.contextmanager
    def held():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return held


@pytest.mark.slow
@pytest.mark.parametrize(("command", "path"), WRITTEN, ids=map(" ".join, WRITTEN))
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on_where_there_is_room(
    ask, full, tmp_path, command, path
):
    more = MORE.get((command, path), {}).items()
    with full():
        status, said = ask(command, path, WRITTEN[command, path], more)
    assert status == 2, said
    assert not [left for left in tmp_path.glob("new.*") if left.is_file()]
    if (command, path) not in EMPTY:
        status, said = ask(command, path, WRITTEN[command, path], more)
        assert status == 0, said
