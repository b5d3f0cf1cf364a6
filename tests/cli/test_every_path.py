"""Whatever a command takes as a path may be anything: it is used, or refused in one sentence."""

import functools

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
    "bench datasets split": {"name": "folder", "counts": "a=1", "--root": "PHOTOGRAPHS", "--out": "NEW"},
    "bench masks show": {"set_id": "freeform-256", "--out": "NEW.png"},
    "bench masks freeze": {"families": "rectangular", "--into": "NEW", "": ("--size", "64")},
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
    from bench.run.main import run
    from bench.types import Execution, RunSpec

    root = tmp_path_factory.mktemp("room")
    progress.quiet = True
    run(RunSpec(models=("mean",), masks=("freeform",), buckets="20-30", limit=1), root / "run", Execution())
    (root / "empty").mkdir()
    (root / "photographs").mkdir()
    Image.new("RGB", (300, 300), "teal").save(root / "photographs" / "teal.png")
    (root / "some text.txt").write_text("nothing that anybody expects\n")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(("command", "path"), PATHS, ids=map(" ".join, PATHS))
def test_any_path_is_used_or_refused_in_one_sentence(bench, room, tmp_path, monkeypatch, command, path, wrong):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    assert bench("check", room / "run", "--write", tmp_path / "written.json")[0] == 0
    places = {
        "RUN": room / "run",
        "WRITTEN": tmp_path / "written.json",
        "PHOTOGRAPHS": room / "photographs",
        "FOLDER": room / "empty",
        "NEW": tmp_path / "new",
        "ROOM": room,
    }
    words = command.split()[1:]
    for name, value in {**NEEDED[command], path: wrong}.items():
        if not name:
            words += value
            continue
        word = functools.reduce(lambda text, place: text.replace(place, str(places[place])), places, value)
        words += [name, word] if name.startswith("--") else [word]
    status, _, said = bench(*words)
    assert status in (0, 1, 2)
    if status == 2:
        assert said.strip().splitlines()[-1].startswith("error: ")
