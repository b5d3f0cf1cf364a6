"""The small weights that travel with the project, and the command that packs them."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import baselines
from bench import digest
from bench.errors import BadInput, BenchError
from bench.models import contamination, weights
from bench.training import validation

HERE = Path(baselines.__file__).parent / "weights"
SHIPPED = sorted(HERE.glob("*/starter.safetensors"))
COMPARED = sorted(HERE.glob("*/ablation-*.safetensors"))
"""Weights of variants that a table compares, trained alike."""
SPEC = importlib.util.spec_from_file_location("make", HERE / "make.py")
make = sys.modules["make"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)


LEARNED = ("one", "two", "three")


def tiny(folder, *, done=True, size=2, psnr=10.0, start=None):
    """A training as `bench train` leaves it, of the context encoder at its smallest."""
    from baselines import ce

    settings = {"width": size, "bottleneck": 4}
    record = {
        "model": "ce",
        "variant": "",
        "settings": settings,
        "seconds": 60.0,
        "recipe": {"best": "psnr"},
        "data": {"ids_sha256": digest.of_lines(sorted(LEARNED))},
        "validation": {"start": start, "scores": [{"step": 1, "psnr": psnr}, {"step": 2, "psnr": 9.0}]},
    }
    for name in ("best", "last") if done else ("best",):
        weights.save(folder / f"{name}.safetensors", ce.model(**settings).state_dict(), record)
    contamination.save(folder / "best.safetensors", ["00ff"])


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "TRAININGS", tmp_path / "trainings")
    monkeypatch.setattr(make, "HERE", tmp_path / "weights")
    return tmp_path


every_file = pytest.mark.parametrize("path", SHIPPED + COMPARED, ids=lambda path: f"{path.parent.name}-{path.stem}")


@every_file
def test_a_shipped_record_says_how_the_weights_were_made(path):
    record = weights.record(path).facts
    assert record["kind"] == "starter"
    for fact in (
        "command",
        "step",
        "steps",
        "seed",
        "device",
        "seconds",
        "losses",
        "validation",
        "licence",
        "versions",
    ):
        assert record[fact] or record[fact] == 0, fact
    assert record["data"]["ids_sha256"]


@every_file
def test_shipped_weights_are_whole_finite_and_half(path):
    state, _ = weights.read(path)
    floating = [tensor for tensor in state.values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in floating} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in floating)


@every_file
def test_the_photographs_that_were_learned_from_are_known(path):
    assert len(contamination.load(path)) == weights.record(path).facts["data"]["seen"]


every_file = pytest.mark.parametrize("path", SHIPPED + COMPARED, ids=lambda path: f"{path.parent.name}-{path.stem}")


@every_file
def test_a_shipped_record_says_the_normalisation_that_travels_with_its_weights(path):
    state, known = weights.read(path)
    assert known.facts.get("normalisation", "") == weights.normalisation(state)


def test_show_says_the_normalisation_of_weights_that_are_here(bench):
    assert "normalised by mean=0.456" in bench("models", "show", "glcic")[1]


def test_all_shipped_weights_together_stay_below_60_mb():
    assert sum(path.stat().st_size for path in SHIPPED) < 60_000_000


def test_weights_that_a_table_compares_are_small_and_of_every_variant():
    from baselines import deepgin

    assert sum(path.stat().st_size for path in COMPARED) < 9_000_000
    assert {path.stem for path in COMPARED} == {f"ablation-{variant}" for variant in deepgin.CARD.variants}


def test_weights_that_a_table_compares_had_one_budget():
    records = [weights.record(path).facts for path in COMPARED]
    for fact in ("steps", "seed", "recipe", "settings", "data"):
        told = [record[fact] | {"variant": ""} if fact == "recipe" else record[fact] for record in records]
        assert all(one == told[0] for one in told), fact


def test_a_training_is_packed_in_half_precision_with_its_best_score(places):
    tiny(places / "trainings" / "ce-starter")
    assert make.pack("ce", make.Given()).startswith("ce: 10.00 dB at step 1, 1 min")
    state, record = weights.read(places / "weights" / "ce" / "starter.safetensors")
    assert {tensor.dtype for tensor in state.values() if tensor.is_floating_point()} == {torch.float16}
    assert 0 < record.facts["halving"] < 0.01
    assert contamination.load(places / "weights" / "ce" / "starter.safetensors") == {"00ff"}


@pytest.mark.parametrize(("after", "told", "kept"), [(9.5, "9.50 dB", 9.5), (9.25, "psnr 9.25 before", 10.0)])
def test_weights_that_went_on_stay_only_if_they_are_better(places, after, told, kept):
    tiny(places / "trainings" / "ce-starter")
    make.pack("ce", make.Given())
    more = make.Given(more=9)
    tiny(make.training("ce", more), psnr=after, start={"psnr": 9.25})
    assert told in make.pack("ce", more)
    assert validation.best(weights.record(make.packed("ce")).facts)["psnr"] == kept


def test_a_training_that_goes_on_names_what_it_starts_from_and_what_is_changed():
    words = make.command("ce", make.Given(more=40, set=["batch=2"]))
    assert words[words.index("--from") : words.index("--out")] == (
        ["--from", "ce@starter", "--steps", "40", "--set", "batch=2"]
    )


def test_nothing_goes_on_from_weights_that_are_not_there(places):
    with pytest.raises(BadInput, match="ce: no weights stand here to go on from"):
        make.command("ce", make.Given(more=9))


def test_an_unfinished_training_is_not_packed(places):
    tiny(places / "trainings" / "ce-starter", done=False)
    with pytest.raises(BadInput, match=r"ce: no finished training in .*Train it: make.py --root DIR ce"):
        make.pack("ce", make.Given())
    assert not (places / "weights").exists()


def test_weights_that_are_too_large_are_refused(places, monkeypatch):
    tiny(places / "trainings" / "ce-starter")
    monkeypatch.setattr(make, "LIMIT_BYTES", 1000)
    with pytest.raises(BadInput, match="train it narrower"):
        make.pack("ce", make.Given())
    assert not list((places / "weights").rglob("*.safetensors"))


def test_after_a_training_that_fails_none_is_started(monkeypatch):
    started = []

    def train(words, device):
        started.append(words[2])
        time.sleep(0.1)
        return words[2] == "bad"

    monkeypatch.setattr(make, "train", train)
    assert make.train_all(["good", "bad", *(f"later{number}" for number in range(50))], make.Given())
    assert started == ["good", "bad"]


def test_trainings_that_all_end_well_are_said_to(monkeypatch):
    monkeypatch.setattr(make, "train", lambda words, device: 0)
    assert make.train_all(["one", "two"], make.Given(at_once=2)) == 0


def test_a_training_installs_nothing_that_would_win_over_the_starter():
    words = make.command("ce", make.Given())
    assert words[words.index("--tag") + 1] == ""


def test_every_learned_model_has_its_turn():
    assert {"ce", "pconv", "deepgin", "picnet", "rnon", "cfs", "dualpath"} <= set(make.learned())
    assert "telea" not in make.learned()


def test_wrong_input_of_the_command_is_one_sentence_and_status_two(tmp_path):
    words = [sys.executable, HERE / "make.py", "--root", tmp_path / "nosuch", "ce"]
    home = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=home, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_packed_weights_are_judged_by_photographs_that_they_have_not_seen(places, photographs):
    tiny(places / "trainings" / "ce-starter")
    make.pack("ce", make.Given())
    photographs(places / "folder", LEARNED, (300, 280))
    before = make.packed("ce").read_bytes()
    assert make.judge("ce", places / "folder").endswith("on 3 held-out photographs")
    told = weights.record(make.packed("ce")).facts["held_out"]
    assert told["masks"] == make.MASKS
    assert 0 < told["psnr"] < 60
    assert make.packed("ce").read_bytes() == before


def test_other_photographs_judge_no_packed_weights(places, photographs):
    tiny(places / "trainings" / "ce-starter")
    make.pack("ce", make.Given())
    photographs(places / "folder", ("one", "two", "four"), (300, 280))
    with pytest.raises(BadInput, match="does not hold the photographs, by name"):
        make.judge("ce", places / "folder")


@pytest.mark.parametrize(
    "words", [("--more", "0"), ("--more", "-3"), ("--root", ""), ("--root", " "), ("--at-once", "0")]
)
def test_what_would_train_anew_or_elsewhere_is_refused(places, monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["make.py", *words, "ce"])
    with pytest.raises(SystemExit) as left:
        make.main()
    assert left.value.code == 2
    assert f"argument {words[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mean", "No model with a recipe for starters 'mean'"),
        ("ce@starter", "No model with a recipe for starters 'ce@starter'"),
        ("ce:centre", "ce:centre: no variant that a table compares. There are, of deepgin: "),
        ("deepgin:zzz", "deepgin:zzz: no variant that a table compares"),
    ],
)
def test_what_has_no_starter_is_named_before_anything_is_trained(name, told):
    with pytest.raises(BenchError, match=told):
        make.check(["pconv", name])


def test_judging_needs_photographs(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["make.py", "--judge", "ce"])
    with pytest.raises(BadInput, match="--judge needs --root"):
        make.main()
