import dataclasses
import json
import sys
import tomllib

import pytest

from bench import cli, digest, downloads
from bench.metrics import registry as metric_registry
from bench.protocols import registry as protocol_registry


@pytest.fixture(autouse=True)
def _bare(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


@pytest.fixture
def bench(monkeypatch, capsys):
    """Run a command as the console script does: (exit status, standard output, standard error)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, words)])
        with pytest.raises(SystemExit) as leave:
            cli.main()
        return (leave.value.code, *capsys.readouterr())

    return run


def test_the_list_names_every_variant_and_what_is_missing(bench):
    status, out, _ = bench("metrics", "list")
    assert status == 0
    names = [line.split()[0] for line in out.splitlines()[1:]]
    assert names[: len(metric_registry.cards())] == list(metric_registry.cards())
    (line,) = (line for line in out.splitlines() if line.startswith("fid "))
    assert "bench metrics fetch inception-fid" in line
    assert next(line for line in out.splitlines() if line.startswith("psnr ")).endswith("ready")


def test_the_list_for_machines_holds_the_same(bench):
    rows = {row["name"]: row for row in json.loads(bench("metrics", "list", "--json")[1])}
    assert list(rows) == list(metric_registry.cards())
    kid = {"name": "kid", "kind": "set", "title": "KID", "better": "lower", "unit": "", "scope": "whole"}
    assert rows["kid"] == kid | {"missing": ["inception-fid"]}


def test_a_sheet_prints_the_card_and_the_file_to_bring(bench):
    _, out, _ = bench("metrics", "show", "fid")
    for part in (metric_registry.cards()["fid"].formula, "pytorch-fid 0.3.0", "500", "2048", "is not on this machine"):
        assert part in out
    assert "minimum" not in bench("metrics", "show", "psnr")[1]


def test_a_glob_shows_several(bench):
    assert list(json.loads(bench("metrics", "show", "kid*", "--json")[1])) == ["kid", "kid-100x1000"]


def test_an_unknown_metric_ends_with_status_2_and_one_line(bench):
    status, out, err = bench("metrics", "show", "sism-wang")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "Did you mean: ssim-wang" in err


def test_a_brought_file_is_taken_over(bench, tmp_path, monkeypatch):
    content = b"weights"
    entry = dataclasses.replace(downloads.entry("inception-fid"), sha256=digest.of_bytes(content))
    monkeypatch.setitem(downloads.entries(), "inception-fid", entry)
    (tmp_path / "brought.pth").write_bytes(content)
    status, out, _ = bench("metrics", "fetch", "inception-fid", "--from", tmp_path / "brought.pth")
    assert (status, out.strip()) == (0, str(tmp_path / "home" / "weights" / entry.file))
    assert metric_registry.unavailable("fid") is None


def test_a_brought_file_that_is_another_is_refused(bench, tmp_path):
    (tmp_path / "brought.pth").write_bytes(b"another")
    status, _, err = bench("metrics", "fetch", "inception-fid", "--from", tmp_path / "brought.pth")
    assert status == 2
    assert "is not pt_inception" in err


def test_one_file_cannot_be_brought_under_two_names(bench, tmp_path):
    status, _, err = bench("metrics", "fetch", "all", "--from", tmp_path / "x")
    assert status == 2
    assert "brings one file" in err


def test_protocols_are_listed_with_those_that_cannot_be_run(bench):
    _, out, _ = bench("protocols", "list")
    lines = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert list(lines) == protocol_registry.names()
    assert {name for name, line in lines.items() if "cannot be run" in line} == {
        name for name in protocol_registry.names() if protocol_registry.load(name).blocked
    }


def test_a_protocol_is_shown_with_every_origin(bench):
    _, out, _ = bench("protocols", "show", "deepgin-256")
    found = protocol_registry.load("deepgin-256")
    for field, value in protocol_registry.fields(found).items():
        assert not value or f"{field:22} {value}" in out
    assert all(origin in out for origin in found.origin.values())


def test_a_protocol_for_machines_is_the_whole_of_it(bench):
    shown = json.loads(bench("protocols", "show", "rnon", "--json")[1])
    written = tomllib.loads((protocol_registry.FOLDER / "rnon@1.toml").read_text())
    assert shown["preparation"] == written["preparation"]
    assert shown["metrics"] == written["metrics"]


def test_two_protocols_are_compared_field_by_field(bench):
    _, out, _ = bench("protocols", "diff", "bench", "rnon")
    assert "composite\n  - yes   [chosen: " in out
    assert "\n  + no   [inferred: " in out
    assert bench("protocols", "diff", "bench", "bench@1")[1] == "bench and bench@1 do not differ.\n"
    assert json.loads(bench("protocols", "diff", "bench", "rnon", "--json")[1])[0]["field"] == "title"
