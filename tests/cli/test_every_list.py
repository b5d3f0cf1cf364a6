"""Whatever a command takes as a text or a list of names: one name, several, none, strange ones, in any case."""

import itertools

import click
import pytest
import typer

from bench import cli
from bench.errors import BadInput, UnknownName
from bench.metrics import registry as metric_registry
from bench.models import registry as model_registry
from bench.run.spec import from_file

LISTS = {
    "bench audit": {"--metrics": "psnr"},
    "bench compare": {"--metrics": "psnr"},
    "bench export": {"--masks": "freeform", "--buckets": "20-30"},
    "bench figure": {"--models": "mean", "--metric": "psnr", "--masks": "freeform"},
    "bench report": {"--models": "mean", "--metrics": "psnr", "--masks": "freeform", "--buckets": "20-30"},
    "bench run": {"--models": "mean", "--metrics": "psnr", "--masks": "freeform", "--buckets": "20-30"},
    "bench study make": {"--models": "mean,telea"},
}
"""What each option takes in the run of the tests."""
SMALL = ("--dataset", "demo", "--limit", "1", "--workers", "0", "--quiet", "--protocol", "bench@1")
REFUSED = {
    "bench figure": ["--images"],
    "bench run": ["--devices"],
    "bench score": ["--metrics", "--masks", "--buckets"],
    "bench train": ["--without"],
}
"""Lists of which the tests have nothing right to give."""
OPTIONS = [(command, option) for command, taken in LISTS.items() for option in taken]


EVERY = [*OPTIONS, *((command, option) for command, options in REFUSED.items() for option in options)]


def commands(command, name="bench"):
    below = command.commands.items() if isinstance(command, click.Group) else ()
    return [found for word, one in below for found in commands(one, f"{name} {word}")] or [(name, command)]


TEXTS = [
    (name, parameter.opts[-1])
    for name, command in commands(typer.main.get_command(cli.build()))
    for parameter in command.params
    if isinstance(parameter.type, cli.UserText | cli.UserPath) and parameter.opts[-1].startswith("--")
]


@pytest.mark.parametrize(("command", "option"), TEXTS, ids=map(" ".join, TEXTS))
def test_an_empty_text_is_refused_and_named(bench, command, option):
    for empty in ("", "  "):
        status, _, said = bench(*command.split()[1:], option, empty)
        assert status == 2
        assert said.startswith(f"error: Invalid value for '{option}': it is empty: leave it out, or name ")


NUMBERS = [
    (name, parameter)
    for name, command in commands(typer.main.get_command(cli.build()))
    for parameter in command.params
    if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType | click.IntRange)
]


@pytest.mark.parametrize(("command", "parameter"), NUMBERS, ids=lambda one: getattr(one, "name", one))
def test_a_number_has_a_least_value_and_what_is_made_of_it_a_largest(command, parameter):
    assert getattr(parameter.type, "min", None) is not None
    assert parameter.type.max or parameter.name not in ("size", "checks", "threshold")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    from bench import progress
    from bench.run.main import run
    from bench.types import Execution, RunSpec

    root = tmp_path_factory.mktemp("measured") / "run"
    progress.quiet = True
    run(
        RunSpec(("mean", "telea"), masks=("freeform",), buckets="20-30,30-40", metrics=("psnr", "ssim"), limit=1),
        root,
        Execution(),
    )
    return root


def _words(given):
    return [word for name, right in given.items() for word in (name, right)]


@pytest.fixture
def ask(bench, measured, tmp_path, monkeypatch):
    """A command with one of its lists given, all else as it should be."""
    count = itertools.count()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    own = {
        "bench compare": (f"{measured}:mean", f"{measured}:telea"),
        "bench figure": (measured, "--kind", "curves", "--out", "x.png"),
        "bench study make": (measured, "--questions", "1"),
        "bench run": (*SMALL, "--out", "new"),
        "bench train": ("pconv", "--recipe", "starter", "--plan"),
        "bench score": ("--predictions", measured, "--dataset", "demo", "--limit", "1"),
    }

    def give(command, option, value):
        lists = LISTS[command] if command in ("bench run", "bench export") else {}
        if option == "--images":
            lists = {"--kind": "grid"}
        if command == "bench export":
            return bench("export", f"export{next(count)}", "--limit", "1", *_words({**lists, option: value}))
        words = _words({**lists, option: value})
        words += ["--out", f"study{next(count)}"] if command == "bench study make" else []
        return bench(*command.split()[1:], *own.get(command, (measured,)), *words)

    return give


@pytest.mark.parametrize(("command", "option"), EVERY, ids=map(" ".join, EVERY))
@pytest.mark.parametrize("wrong", [",", " , ,", "NoSuch", "\x1b[2J,no\nsuch", "*nothing*", "[]"])
def test_a_list_of_nothing_that_is_known_is_refused_in_one_sentence(ask, command, option, wrong):
    status, out, said = ask(command, option, wrong)
    assert (status, out) == (2, "")
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "\x1b" not in said


@pytest.mark.slow
@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=map(" ".join, OPTIONS))
def test_a_name_in_another_case_is_known_or_its_own_is_told(ask, command, option):
    right = LISTS[command][option]
    assert ask(command, option, right)[0] in (0, 1)
    status, _, said = ask(command, option, right.upper())
    assert status in (0, 1) or right.partition(",")[0] in said


@pytest.mark.slow
def test_a_run_takes_names_in_any_case_and_each_once(bench, ask, tmp_path):
    assert ask("bench run", "--models", "Mean, MEAN,mean")[0] == 0
    lists = ("--models", "mean", "--metrics", "PSNR, psnr", "--masks", "FreeForm,freeform", "--buckets", "20-30")
    assert bench("run", *SMALL, "--out", "new", *lists)[0] == 0


PLAIN = {"ssim": "ssim-wang", "SSIM": "ssim-wang", "Lpips": "lpips-alex", "FID": "fid", "PSNR": "psnr"}
PLAIN |= {"MS-SSIM": "ms-ssim", "l1": "l1", "kid": "kid"}


@pytest.mark.parametrize("plain", PLAIN)
def test_a_metric_answers_to_its_plain_name_in_any_case(plain):
    assert metric_registry.choose([plain]) == [PLAIN[plain]]


OF_A_RUN = ["audit --metrics", "compare --metrics", "figure --metric", "report --metrics", "report --sort"]


@pytest.mark.parametrize("option", OF_A_RUN)
def test_a_metric_of_a_run_does_too(ask, option):
    command, option = option.split()
    assert ask(f"bench {command}", option, "Ssim")[0] == 0


def test_the_weights_of_a_metric_answer_to_its_plain_name(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    (tmp_path / "no.pth").touch()
    said = bench("metrics", "fetch", "LPIPS", "--from", tmp_path / "no.pth")[2]
    assert "alexnet-owt-7be5be79.pth" in said


@pytest.mark.parametrize("wrong", ["ssmi", "lpip", "psnrr"])
def test_a_slip_in_a_plain_name_is_led_to_it(wrong):
    with pytest.raises(UnknownName, match=r"Did you mean: .*(ssim|lpips|psnr)"):
        metric_registry.choose([wrong])


@pytest.mark.parametrize(("plain", "name"), [("navier-stokes", "ns"), ("Telea", "telea"), ("MEAN", "mean")])
def test_a_model_does_too(plain, name):
    assert [ref.name for ref in model_registry.choose([plain])] == [name]


@pytest.mark.parametrize("field", ["models", "masks", "metrics", "buckets", "dataset", "protocol"])
@pytest.mark.parametrize("empty", ["[]", '""'])
def test_an_empty_field_of_a_run_file_is_named(tmp_path, field, empty):
    (tmp_path / "a.toml").write_text(f"{field} = {empty}\n")
    with pytest.raises(BadInput, match=rf"a\.toml, line 1, field '{field}': (is empty|must be)"):
        from_file(tmp_path / "a.toml")


@pytest.mark.parametrize("field", ["models", "masks", "metrics", "buckets"])
def test_a_run_file_takes_a_text_a_list_and_a_list_of_one(tmp_path, field):
    right = LISTS["bench run"][f"--{field}"]
    found = []
    for way in (f'"{right}"', f'["{right}"]', f'" {right} "'):
        (tmp_path / "a.toml").write_text(f"{field} = {way}\n")
        found.append(from_file(tmp_path / "a.toml")[field])
    assert {str(one).strip() for one in found} in ({str((right,))}, {right})
