"""Names, texts and reasons from elsewhere cannot steer a terminal or turn the writing, wherever a report shows them."""

import json

import pytest

from bench.report.page import build
from bench.report.study import questions
from bench.runfolder import logs

STEERING = "a\x1b[2J\x07b\u202ec\x9b1m\u2028\r"
SIGNS = set(STEERING) - set("a[2Jbc1m")


@pytest.fixture(scope="module")
def foreign(write_run, with_pictures, tmp_path_factory):
    """A run in which whatever somebody else may have written holds such signs."""

    def edit(summary, results, facts):
        facts["command"] = facts["device"] = facts["dataset"] = STEERING
        facts["settings"]["dataset"]["name"] = facts["spec"]["dataset"] = STEERING
        facts["models"]["ns" + STEERING] |= {"title": STEERING, "reason": STEERING}
        summary.loc[3, ["value", "low", "high", "reason"]] = [float("nan")] * 3 + [STEERING]

    names = ("telea", "ns" + STEERING)
    root = write_run(
        tmp_path_factory.mktemp("foreign") / "run", models=names, metrics=("psnr",), buckets=("10-20",), edit=edit
    )
    return with_pictures(root, models=names)


@pytest.mark.parametrize("name", ["page", "page.html"])
def test_a_page(foreign, tmp_path, name):
    build.write(foreign, tmp_path / name)
    files = (
        [tmp_path / name] if name.endswith("html") else [tmp_path / name / "index.html", tmp_path / name / "data.js"]
    )
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert "\\u202ec" in text
    assert not SIGNS & set(text.partition("/* Vega, ")[0])  # whose code is its own
    data = json.loads(text.split("window.PAGE = ", 1)[1].split(";\n", 1)[0])
    assert not SIGNS & set("".join(model["id"] + model["title"] for model in data["models"]))


def test_a_study(foreign, tmp_path):
    questions.write([foreign], tmp_path / "study", kind="rating", questions=2, checks=1, seed=0)
    shown = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "study/page").glob("*.*"))
    assert not SIGNS & set(shown)


@pytest.mark.parametrize("words", [("report",), ("audit", "--metrics", "psnr"), ("report", "--format", "csv")])
def test_what_a_command_prints(bench, foreign, words):
    status, out, said = bench(words[0], foreign, *words[1:])
    assert (status, said) == (0, "")
    assert not SIGNS & set(out + said)


def test_a_comparison(bench, foreign):
    status, out, said = bench("compare", f"{foreign}:telea", f"{foreign}:ns{STEERING}")
    assert (status, said) == (0, "")
    assert "\\u202e" in out
    assert not SIGNS & set(out)


def test_a_log_when_nobody_writes_to_it_any_more(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/m.txt").write_bytes(b"10%\r20%\r\n\x1b[2Jgone\n\xff caf\xc3\xa9\n")
    logs.sweep(tmp_path)
    assert (tmp_path / "logs/m.txt").read_text("utf-8") == "10%\n20%\n\\u001b[2Jgone\n\\xff caf\u00e9\n"
