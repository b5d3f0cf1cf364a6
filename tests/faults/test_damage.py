"""One bit flipped, a file cut short or emptied: it is named, nothing is averaged, and the next run restores it."""

import os
import random
import shutil

import pytest

from bench.errors import BadInput, BenchError
from bench.report import results
from bench.report.analysis import set_differences
from bench.runfolder import folded as folded_vectors
from bench.runfolder import record
from bench.runfolder.names import TRUTH
from bench.runfolder.parts import Parts
from bench.runfolder.pictures import kept

KINDS = {
    "the record": "run.json",
    "the list of images": "images.txt",
    "the results": "results.parquet",
    "the summary": "summary.parquet",
    "a part": "parts/*/toys.py*/0000000*.parquet",
    "a part of the photographs": "parts/*/truth/0000003*.parquet",
    "a batch": "parts/*/toys.py*/batch.*.json",
    "vectors": "parts/*/toys.py*/0000003*.npy",
    "vectors of the photographs": "parts/*/truth/0000000*.npy",
    "folded vectors": "parts/*/toys.py*/folded.*.001.safetensors",
    "folded vectors of the photographs": "parts/*/truth/folded.*.safetensors",
    "a photograph": "images/*/*/*/truth.png",
    "a mask": "images/*/*/*/mask.png",
    "a masked photograph": "images/*/*/*/masked.png",
    "an output": "images/*/*/*/models/*.png",
}
POSITIONS = 20


def flip(content, dice):
    changed = bytearray(content)
    changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


WAYS = {
    "flipped": flip,
    "cut short": lambda content, dice: content[: dice.randrange(1, len(content))],
    "emptied": lambda content, dice: b"",
}


def everything(root):
    """All that readers make of a run."""
    run = results.load(root)
    rows = {model: run.rows_of(model).column("output_digest").to_pylist() for model in run.models}
    pictures = [(one.given(what).tobytes()) for one in kept(root, run.record) for what in ("truth", "mask", "masked")]
    pictures += [one.made(model).tobytes() for one in kept(root, run.record) for model in one.models]
    ids = record.read_images(root, run.record)
    parts = Parts(root, run.record.settings.digest)
    keys = [TRUTH, *(run.record.key(model) for model in run.models)]
    read = [_read(list(parts.read(key))) for key in keys]
    difference = set_differences.differences(
        *(set_differences.Source(root, model) for model in run.models), {"freeform-256/20-30": ["fid"]}
    )
    return repr((run.numbers, rows, pictures, ids, read, difference, run.record))


def _read(parts):
    return [part.rows.to_pylist() for part in parts], [
        _vectors(parts, cell) for cell in range(len(parts[0].facts.cells) or 1)
    ]


def _vectors(parts, cell):
    held = folded_vectors.read(parts, "inception", cell)
    return vars(held) if held else [part.vectors("inception", cell).tobytes() for part in parts]


def disturbed(path, way, dice):
    before = path.read_bytes()
    path.write_bytes(WAYS[way](before, dice))


@pytest.fixture
def given(spec, folding, undisturbed, folded, tmp_path):
    """For a kind of file: the spec of a run that has it, that run, and a copy of it, a new one each time."""

    def make(kind):
        asked, whole = (folding, folded) if "folded" in kind else (spec, undisturbed)
        copy = tmp_path / "run"
        shutil.rmtree(copy, ignore_errors=True)
        return asked, whole, shutil.copytree(whole, copy)

    return make


@pytest.fixture
def check(given, go_on, lasting, capsys):
    """Disturb a file of a kind; readers say so or see no difference, the next run names it and restores it."""

    def see(kind, way, dice, times=1):
        for _ in range(times):
            asked, whole, copy = given(kind)
            truthful = everything(whole)
            path = min(copy.glob(KINDS[kind]))
            disturbed(path, way, dice)
            try:
                assert everything(copy) == truthful
            except BenchError as fault:
                assert path.name in str(fault)  # noqa: PT017 - either is right
            capsys.readouterr()
            go_on(asked, copy)
            assert path.name in capsys.readouterr().err
            assert lasting(copy) == lasting(whole)
            assert everything(copy)

    return see


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named_and_made_good(check, kind, way):
    check(kind, way, random.Random(kind + way))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["flipped", "cut short"])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_anywhere_is_named_and_made_good(check, kind, way):
    check(kind, way, random.Random(way + kind), POSITIONS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("times", [1, pytest.param(POSITIONS, marks=pytest.mark.slow)])
def test_damaged_vectors_that_runs_share_are_named_and_made_again(
    go_on, spec, undisturbed, lasting, capsys, tmp_path, monkeypatch, way, times
):
    shutil.copytree(os.environ["BENCH_HOME"], tmp_path / "home")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    dice = random.Random(way)
    for place in range(times):
        path = min((tmp_path / "home" / "features").rglob("*.safetensors"))
        before = path.read_bytes()
        disturbed(path, way, dice)
        capsys.readouterr()
        again = go_on(spec, tmp_path / f"run{place}").root
        assert path.name in capsys.readouterr().err
        assert lasting(again) == lasting(undisturbed)
        assert path.read_bytes() == before


@pytest.mark.parametrize("folds", [False, True])
def test_every_kind_of_file_that_readers_trust_is_disturbed(undisturbed, folded, folds):
    root = folded if folds else undisturbed
    left = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    known = {path.relative_to(root).as_posix() for pattern in KINDS.values() for path in root.glob(_whole(pattern))}
    assert {name for name in left - known if name != ".lock" and not name.startswith("logs/")} == set()


def _whole(pattern):
    """The same for all places and cells."""
    return pattern.replace("0000000*", "0*").replace("0000003*", "0*").replace(".001.", ".*.")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "photograph" in kind or "output" in kind or "part" in kind])
def test_what_is_lost_is_made_again(given, go_on, lasting, kind):
    asked, whole, copy = given(kind)
    min(copy.glob(KINDS[kind])).unlink()
    go_on(asked, copy)
    assert lasting(copy) == lasting(whole)


def test_a_lost_photograph_does_not_make_the_models_run_again(copy, spec, go_on, undisturbed, lasting, monkeypatch):
    def refuse(*_):
        raise AssertionError("a model was asked again")

    next(copy.glob(KINDS["a photograph"])).unlink()
    monkeypatch.setattr("bench.run.models.Models.open", refuse)
    go_on(spec, copy)
    assert lasting(copy) == lasting(undisturbed)


def test_what_belongs_to_another_model_is_refused_and_named(copy, spec, go_on):
    ours, theirs = sorted(copy.glob("parts/*/toys.py*/0000000*.parquet"))
    theirs.write_bytes(ours.read_bytes())
    with pytest.raises(BadInput, match="does not belong there"):
        go_on(spec, copy)


def swaps(undisturbed, folded):
    """Path of a file -> what else is put there: every kind of file of its own run, and its like of another run."""
    here = {kind: min(undisturbed.glob(pattern), default=None) for kind, pattern in KINDS.items()}
    there = {kind: min(folded.glob(pattern), default=None) for kind, pattern in KINDS.items()}
    for kind, path in here.items():
        for other in [*here.values(), there[kind]] if path else ():
            if other and other.read_bytes() != path.read_bytes():
                yield path.relative_to(undisturbed), other


@pytest.mark.parametrize("share", [pytest.param(1, marks=pytest.mark.slow), 40])
def test_any_file_in_the_place_of_another_is_named_or_harmless(undisturbed, folded, copy, share):
    truthful = everything(undisturbed)
    pairs = list(swaps(undisturbed, folded))
    for name, other in random.Random(share).sample(pairs, len(pairs) // share):
        (copy / name).write_bytes(other.read_bytes())
        try:
            assert everything(copy) == truthful, (name, other)
        except BenchError as fault:
            assert name.name in str(fault), (name, other)  # noqa: PT017 - either is right
        shutil.copy(undisturbed / name, copy / name)


@pytest.mark.parametrize("share", [pytest.param(4, marks=pytest.mark.slow), 80])
def test_any_file_in_the_place_of_another_is_made_again_or_refused(
    spec, go_on, lasting, undisturbed, folded, copy, capsys, share
):
    pairs = list(swaps(undisturbed, folded))
    for name, other in random.Random(share).sample(pairs, len(pairs) // share):
        (copy / name).write_bytes(other.read_bytes())
        capsys.readouterr()
        try:
            go_on(spec, copy)
            told = capsys.readouterr().err  # results and summary are written anew by every run
            assert name.name in told or name.name in ("results.parquet", "summary.parquet"), (name, other)
        except BadInput as fault:
            assert f"{name} does not belong there" in str(fault), (name, other)  # noqa: PT017 - either is right
            (copy / name).unlink()
            go_on(spec, copy)
        assert lasting(copy) == lasting(undisturbed), (name, other)


@pytest.mark.parametrize("kind", ["the record", "the list of images", "the results", "the summary"])
def test_what_names_the_run_is_made_again_when_it_is_lost(given, go_on, lasting, kind):
    asked, whole, copy = given(kind)
    (copy / KINDS[kind]).unlink()
    go_on(asked, copy)
    assert lasting(copy) == lasting(whole)
    assert everything(copy) == everything(whole)


def test_a_quiet_run_names_what_it_sets_aside(copy, spec, go_on, monkeypatch, capsys):
    from bench import progress

    monkeypatch.setattr(progress, "quiet", True)
    (copy / "summary.parquet").write_bytes(b"")
    go_on(spec, copy)
    said = capsys.readouterr().err
    assert said.strip().endswith("it is empty. It is renamed to summary.parquet.damaged and to be made again.")
    assert said.count("\n") == 1


def test_a_record_of_somebody_else_is_no_run_and_is_left_alone(spec, go_on, tmp_path):
    for content in ("{}", '{"digest": "", "name": "theirs"}'):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(BadInput, match=r"is not a run: its run\.json is not the record of one"):
            go_on(spec, tmp_path)
        assert (tmp_path / "run.json").read_text() == content
