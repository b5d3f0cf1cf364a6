"""Freezing and verifying: the same bits again, and a single flipped one found."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from bench import digest
from bench.errors import BadInput
from bench.masks import freezing, frozen, ratio, writing
from bench.masks import registry as mask_registry
from bench.progress import Ticker


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    return tmp_path / "masksets"


@pytest.fixture
def small(home, monkeypatch):
    """A family of few small rectangles, frozen in strata."""
    member = dataclasses.replace(mask_registry.find("rectangular"), name="small", count=5, sizes=(32, 64))
    monkeypatch.setattr(mask_registry, "families", lambda: {"small": member})
    return member


def forge(folder, name, change):
    """Change a stored stratum and make file digests and manifest fit, as a forger would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    parts = frozen.MaskSet(folder, manifest).open(list(manifest["strata"]))
    size_px = manifest["size_px"]
    strata = [frozen.stratum(part.name, part.bits(range(len(part.streams))), size_px) for part in parts]
    changed = [change(stratum) if stratum.name == name else stratum for stratum in strata]
    writing.write(folder, changed, size_px, {}, manifest)


@pytest.mark.parametrize("set_id", ["centre-256", "deepgin-rectangular-256"])
def test_a_shipped_set_is_drawn_again_bit_for_bit(set_id):
    assert freezing.verify(set_id) == []


@pytest.mark.parametrize("name", ["freeform", "cellular", "lama-thin", "lama-medium", "lama-thick", "deepgin-mix"])
def test_the_first_masks_of_a_shipped_set_are_drawn_again(name):
    member, held = mask_registry.find(name), frozen.load(f"{name}-256")
    task = freezing.tasks(member, 256)[-1]
    few, _ = freezing.redraw(dataclasses.replace(task, family=dataclasses.replace(member, count=3)), Ticker())
    (part,) = held.open([task.name])
    assert np.array_equal(part.bits(range(3)), few.bits)


@pytest.mark.slow
def test_every_shipped_set_is_drawn_again_bit_for_bit():
    assert [fault for set_id in frozen.folders() for fault in freezing.verify(set_id)] == []


def test_a_frozen_set_verifies_and_is_kept(small, home):
    held = freezing.freeze("small", 32)
    assert freezing.verify("small-32") == []
    before = (home / "small-32" / "manifest.json").stat().st_mtime_ns
    assert freezing.freeze("small", 32).digest == held.digest
    assert (home / "small-32" / "manifest.json").stat().st_mtime_ns == before


def test_freezing_again_gives_the_same_manifest(small, home):
    freezing.freeze("small", 32)
    before = (home / "small-32" / "manifest.json").read_bytes()
    freezing.freeze("small", 32, again=True)
    assert (home / "small-32" / "manifest.json").read_bytes() == before


def test_every_stratum_of_a_frozen_set_is_within_its_ends(small):
    held = freezing.freeze("small", 64)
    for bucket in ratio.STRATA:
        assert held.pool(bucket).count == 5


def test_verify_finds_a_single_flipped_bit(small, home):
    freezing.freeze("small", 32)

    def flip(stratum):
        bits = stratum.bits.copy()
        bits[3, 7, 1] ^= 1 << 6
        return frozen.stratum(stratum.name, bits, 32)

    forge(home / "small-32", "20-25", flip)
    (fault,) = [line for line in freezing.verify("small-32") if "differs" in line]
    assert "20-25.npz: mask 3 differs in 1 pixels" in fault


def test_verify_finds_counts_that_do_not_fit(small, home):
    freezing.freeze("small", 32)
    forge(home / "small-32", "20-25", lambda stratum: dataclasses.replace(stratum, missing=stratum.missing + 1))
    assert any("counts" in line for line in freezing.verify("small-32"))


def test_verify_names_a_damaged_file_and_goes_on(small, home):
    freezing.freeze("small", 32)
    (home / "small-32" / "20-25.npz").write_bytes(b"nothing")
    faults = freezing.verify("small-32")
    assert len(faults) == 1
    assert "20-25.npz" in faults[0]


def test_a_family_whose_version_moved_must_be_frozen_again(small, home, monkeypatch):
    freezing.freeze("small", 32)
    newer = dataclasses.replace(small, version=2)
    monkeypatch.setattr(mask_registry, "families", lambda: {"small": newer})
    assert "freeze it again" in freezing.verify("small-32")[0]


def test_bits_that_the_project_does_not_know_are_not_written(small, home, monkeypatch):
    monkeypatch.setattr(freezing, "known_digests", lambda _: {"32": "0" * 64})
    with pytest.raises(BadInput, match="Nothing was written"):
        freezing.freeze("small", 32)
    assert not home.exists()


def test_bits_that_the_project_knows_are_written(small, home, monkeypatch):
    known = freezing.freeze("small", 32).digest
    monkeypatch.setattr(freezing, "known_digests", lambda _: {"32": known})
    assert freezing.freeze("small", 32, again=True).digest == known


def test_verify_tells_a_digest_that_the_project_does_not_know(small, monkeypatch):
    freezing.freeze("small", 32)
    monkeypatch.setattr(freezing, "known_digests", lambda _: {"32": "0" * 64})
    assert "the project knows" in freezing.verify("small-32")[0]


@pytest.mark.parametrize(("name", "size"), [("freeform", 255), ("lama-thin", 1024), ("deepfillv2", 256)])
def test_a_size_or_family_that_is_not_frozen_is_refused(name, size):
    with pytest.raises(BadInput, match="is not frozen at"):
        freezing.freeze(name, size)


@pytest.mark.parametrize("name", ["centre", "deepgin-rectangular"])
def test_a_larger_size_meets_the_digest_that_the_manifest_holds(name, home):
    held = freezing.freeze(name, 512)
    assert held.digest == freezing.known_digests(mask_registry.find(name))["512"]


def test_strata_scale_their_strokes_with_the_size():
    member = mask_registry.find("freeform")
    low, high = member.settings(256, ratio.STRATA[11])["strokes"]
    assert member.settings(1024, ratio.STRATA[11])["strokes"] == [4 * low, 4 * high]
    assert member.settings(1024, None)["strokes"] == [1, 3]


def test_lama_has_its_own_constants_at_512():
    member = mask_registry.find("lama-thick")
    assert member.settings(256, None)["lines"]["width"] == [5, 104]
    assert member.settings(512, None)["lines"]["width"] == [5, 254]


def test_a_key_is_the_digest_of_its_names():
    assert freezing.key_of("frozen", "freeform", 256, "10-15") == digest.number("frozen/freeform/256/10-15")


def test_a_set_that_is_there_is_said_to_be_kept(small, home, capsys):
    freezing.freeze("small", 32)
    capsys.readouterr()
    freezing.freeze("small", 32)
    assert "small-32 is in" in capsys.readouterr().err


def test_a_set_is_drawn_into_a_folder_though_the_user_has_it(small, home, tmp_path):
    freezing.freeze("small", 32)
    assert freezing.freeze("small", 32, into=tmp_path / "other").folder.parent == tmp_path / "other"


def test_a_set_takes_up_the_digests_of_the_larger_ones_that_are_here(small, home):
    larger = freezing.freeze("small", 64)
    assert freezing.freeze("small", 32).manifest["digests"]["64"] == larger.digest


@pytest.mark.parametrize("drawn", [np.zeros((5, 32, 32)), np.zeros((5, 32, 31), bool), None])
def test_a_family_that_draws_no_masks_is_named(small, home, monkeypatch, drawn):
    broken = dataclasses.replace(small, draw=lambda *_, **__: drawn, strata=())
    monkeypatch.setattr(mask_registry, "families", lambda: {"small": broken})
    with pytest.raises(BadInput, match=r"family small must draw bool \[5, 32, 32\]"):
        freezing.freeze("small", 32)
