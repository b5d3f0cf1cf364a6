"""What all commands share: help, wrong options, paths, consoles."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click
import pytest
import typer

from bench import cli, locks


def parameters(command, words=()):
    """(Words of the command, parameter) for every option and argument of all commands."""
    yield from ((words, parameter) for parameter in command.params)
    for name, below in getattr(command, "commands", {}).items():
        yield from parameters(below, (*words, name))


PATHS = [
    (words, parameter.name)
    for words, parameter in parameters(typer.main.get_command(cli.build()))
    if isinstance(parameter.type, click.Path)
]


@pytest.mark.parametrize("words", [[], ["models"], ["masks"]])
def test_a_noun_alone_prints_its_help_and_no_error(bench, words):
    status, out, err = bench(*words)
    assert (status, err) == (0, "")
    assert "Commands" in out


@pytest.mark.parametrize(
    ("words", "see"),
    [
        (["run", "--modles", "mean"], "See: bench run --help"),
        (["models", "show"], "See: bench models show --help"),
        (["masks", "shwo"], "See: bench masks --help"),
        (["rnu"], "See: bench --help"),
    ],
)
def test_wrong_words_point_to_the_help_that_lists_the_right_ones(bench, words, see):
    status, out, err = bench(*words)
    assert (status, out) == (2, "")
    assert err.strip().endswith(see)


def test_a_wrong_word_is_suggested_once(bench):
    _, _, err = bench("rnu")
    assert err.count("Did you mean 'run'?") == 1


@pytest.mark.parametrize(("words", "name"), PATHS, ids=lambda part: "-".join(part) if isinstance(part, tuple) else part)
def test_the_home_folder_may_stand_in_every_path(monkeypatch, words, name):
    monkeypatch.setenv("HOME", "/somebody")
    command = typer.main.get_command(cli.build())
    for word in words:
        command = command.commands[word]
    (path,) = (parameter for parameter in command.params if parameter.name == name)
    assert path.type.convert("~/x", path, None) == "/somebody/x"


def test_the_home_folder_may_stand_behind_an_equals_sign(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert bench("report", "--layout", "dualpath-table1", "--out=~/table.csv")[0] == 0
    assert (tmp_path / "table.csv").is_file()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder to stand in, with a file called `afile`."""
    (tmp_path / "afile").write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = ["--models", "mean", "--limit", "1", "--masks", "centre", "--metrics", "psnr", "--quiet"]
PRINTED = ["report", "--layout", "dualpath-table1", "--out"]


@pytest.mark.parametrize(
    "words",
    [
        *(["run", *SMALL, "--out", out] for out in ("afile", "afile/sub", "/proc/x", "n" * 300)),
        *([*PRINTED, out] for out in (".", "afile/t.tex", "none/t.tex", "/proc/t.tex", f"{'n' * 300}.tex")),
        ["masks", "show", "freeform-256", "--out", "m.xyz"],
        ["masks", "show", "freeform-256", "--out", "afile/m.png"],
        ["export", "afile", "--limit", "1"],
        ["run", "--spec", "."],
        ["check", "afile", "--against", "."],
        ["report", "afile"],
        ["compare", "afile", "."],
        ["board", "afile"],
        ["submit", "afile", "--out", "none/s.zip"],
        ["datasets", "verify", "folder", "--root", "afile"],
        ["score", "--predictions", "afile", "--limit", "1"],
        ["models", "import", "pconv", "."],
        ["masks", "import", "mine", "none"],
    ],
    ids=" ".join,
)
def test_a_path_that_cannot_be_used_is_one_sentence_and_status_two(bench, files, words):
    status, out, err = bench(*words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("out", ["afile", "afile/sub", "nowhere"])
def test_what_stands_in_a_folders_place_is_told(bench, files, out):
    (files / "nowhere").symlink_to(files / "gone")
    assert "stands where a folder must be" in bench("run", *SMALL, "--out", out)[2]


def test_a_working_folder_that_is_gone_is_told(bench, files):
    folder = files / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    assert bench("models", "list")[2] == (
        "error: The folder in which this command was started is gone: change into one that exists.\n"
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_the_caller_has_closed_are_no_fault(closed):
    ended = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m bench version {closed}"], capture_output=True, check=False
    )
    assert ended.returncode == 0
    assert b"Traceback" not in ended.stderr


def test_a_console_that_lacks_a_sign_shows_another(tmp_path):
    words = [sys.executable, "-m", "bench", "report", "--layout", "survey-table2"]
    done = subprocess.run(words, capture_output=True, check=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.stderr == b""
    assert b"?" in done.stdout


@pytest.mark.parametrize("began", [False, True])
def test_a_full_disk_says_that_nothing_finished_is_lost_where_something_was_begun(bench, monkeypatch, began):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "x.tex")

    monkeypatch.setattr("bench.disk.write_text", full)
    monkeypatch.setattr(locks, "began", began)
    status, _, err = bench(*PRINTED, "x.tex")
    assert status == 2
    assert err == f"error: cannot write x.tex: No space left on device.{' What was finished is kept.' * began}\n"


def test_the_version_is_told(bench):
    import bench as library

    assert bench("--version") == (0, f"bench {library.__version__}\n", "")
    assert {"evaluate", "load_model", "metrics", "__version__"} <= set(dir(library))


@pytest.mark.parametrize(
    ("words", "head"),
    [
        ("models list", "model title year kind parameters CPU s held against weights"),
        ("metrics list", "name title better unit kind scope here"),
        ("masks list", "set masks strata ratio % sha256"),
        ("protocols list", "name title"),
        ("datasets list", "name type year images splits; resolution"),
        ("figure --layouts", "layout figure what it shows"),
        ("report --layouts", "layout title"),
    ],
)
def test_lists_begin_with_what_their_columns_are(bench, words, head):
    status, out, _ = bench(*words.split())
    assert (status, " ".join(out.splitlines()[0].split())) == (0, head)


def test_the_list_of_models_says_how_large_each_is_and_what_it_costs(bench):
    rows = json.loads(bench("models", "list", "--json")[1])
    assert [row["id"] for row in rows if row["seconds"] is None] == []
    assert [row["id"] for row in rows if row["kind"] == "learned" and not row["parameters"]] == []
    line = next(line for line in bench("models", "list")[1].splitlines() if line.startswith("hr "))
    assert line.split()[4:7] == ["71.2M", "11", "(quick)"]
