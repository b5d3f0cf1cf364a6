"""One bit flipped, a file cut short or emptied: it is named, nothing is averaged, and the next run restores it."""

import random

import pytest

from bench.errors import BadInput, BenchError
from bench.report import results
from bench.report.analysis import set_differences
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
    "vectors": "parts/*/toys.py*/0000003*.npy",
    "vectors of the photographs": "parts/*/truth/0000000*.npy",
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
    read = [_read(part) for key in keys for part in parts.read(key)]
    difference = set_differences.differences(
        *(set_differences.Source(root, model) for model in run.models), {"freeform-256/50-60": ["fid"]}
    )
    return repr((run.numbers, rows, pictures, ids, read, difference, run.record))


def _read(part):
    cells = range(len(part.facts.cells) or 1)
    return part.rows.to_pylist(), [part.vectors("inception", cell).tobytes() for cell in cells]


def disturbed(path, way, dice):
    before = path.read_bytes()
    path.write_bytes(WAYS[way](before, dice))


@pytest.fixture(scope="module")
def truthful(undisturbed):
    return everything(undisturbed)


@pytest.fixture
def check(copy, spec, go_on, undisturbed, lasting, truthful, capsys):
    """Disturb a file; readers say so or see no difference, the next run names it and restores it."""

    def see(pattern, way, dice):
        path = min(copy.glob(pattern))
        disturbed(path, way, dice)
        try:
            assert everything(copy) == truthful
        except BenchError as fault:
            assert path.name in str(fault)  # noqa: PT017 - either is right
        capsys.readouterr()
        go_on(spec, copy)
        assert path.name in capsys.readouterr().err
        assert lasting(copy) == lasting(undisturbed)
        assert everything(copy)
        for left in copy.rglob("*.damaged"):
            left.unlink()

    return see


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named_and_made_good(check, kind, way):
    check(KINDS[kind], way, random.Random(kind + way))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["flipped", "cut short"])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_anywhere_is_named_and_made_good(check, kind, way):
    dice = random.Random(way + kind)
    for _ in range(POSITIONS):
        check(KINDS[kind], way, dice)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "photograph" in kind or "output" in kind or "part" in kind])
def test_what_is_lost_is_made_again(copy, spec, go_on, undisturbed, lasting, kind):
    path = min(copy.glob(KINDS[kind]))
    path.unlink()
    go_on(spec, copy)
    assert lasting(copy) == lasting(undisturbed)


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
