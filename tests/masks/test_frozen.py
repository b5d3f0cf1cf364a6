"""Frozen sets: what ships, reading, pools, names, and every kind of damage."""

from __future__ import annotations

import json
import shutil
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import digest
from bench.errors import BadInput, Unavailable, UnknownName
from bench.masks import freezing, frozen, manifests, packing, ratio

SHIPPED = sorted(f"{name}-256" for name in freezing.frozen_families())
STRATIFIED = ("rectangular-256", "freeform-256", "cellular-256")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty user's folder."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    return tmp_path / "masksets"


@pytest.fixture
def copied(home):
    """A copy of a shipped set under the user's folder, which hides nothing: shipped sets come first."""
    folder = home / "mine-256"
    shutil.copytree(frozen.load("rectangular-256").folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "id": "mine-256"}))
    return folder


def test_every_family_that_is_frozen_ships_at_256(home):
    assert sorted(frozen.folders()) == SHIPPED


def test_all_shipped_sets_stay_below_fifteen_megabytes():
    files = (file for folder in frozen.folders().values() for file in folder.iterdir())
    assert sum(file.stat().st_size for file in files) < 15e6


@pytest.mark.parametrize("set_id", SHIPPED)
def test_a_manifest_says_what_the_set_is(set_id):
    manifest = frozen.load(set_id).manifest
    family = freezing.frozen_families()[manifest["family"]]
    assert (manifest["version"], manifest["source"], manifest["scaling"]) == (
        family.version, family.source, family.scaling,
    )  # fmt: skip
    assert set(manifest["digests"]) == {str(size) for size in family.sizes}
    assert manifest["digests"]["256"] == manifest["sha256"]
    for name, entry in manifest["strata"].items():
        stratum = None if name == frozen.WHOLE else ratio.STRATA[int(name[:2]) // 5]
        assert entry["parameters"] == json.loads(json.dumps(family.settings(256, stratum)))
        assert entry["count"] == family.count


@pytest.mark.parametrize("set_id", STRATIFIED)
def test_the_papers_sets_hold_250_masks_in_each_of_twelve_strata(set_id):
    held = frozen.load(set_id)
    assert held.bucketed
    assert [held.pool(bucket).count for bucket in ratio.STRATA] == [250] * 12


@pytest.mark.parametrize("set_id", STRATIFIED)
def test_every_mask_of_a_pool_lies_in_its_bucket(set_id):
    for bucket in ratio.buckets("rnon"):
        pool = frozen.load(set_id).pool(bucket)
        counts = pool.masks(range(0, pool.count, 50)).sum(axis=(1, 2)).tolist()
        assert all(ratio.bucket_of(count, 65536, (bucket,)) for count in counts)


def test_a_union_of_strata_keeps_their_order():
    pool = frozen.load("freeform-256").pool(ratio.buckets("10-20")[0])
    assert pool.count == 500
    assert (pool.name(0), pool.name(250), pool.name(499)) == ("10-15/000", "15-20/000", "15-20/249")


def test_a_bucket_that_cuts_a_stratum_takes_masks_by_their_exact_ratio():
    held = frozen.load("freeform-256")
    halves = [held.pool(bucket).count for bucket in ratio.buckets("20-22,22-25")]
    assert sum(halves) == 250
    assert min(halves) > 0


def test_border_parts_a_pool():
    held = frozen.load("freeform-256")
    parts = [held.pool(bucket).count for bucket in ratio.buckets("10-20+border,10-20-border")]
    assert sum(parts) == 500
    touching = packing.touches(held.pool(ratio.buckets("10-20+border")[0]).masks(range(20)))
    assert touching.all()


def test_an_uncut_set_has_one_pool_and_can_be_cut_by_ratio():
    held = frozen.load("deepgin-mix-256")
    assert not held.bucketed
    assert held.pool(ratio.buckets("none")[0]).count == 1000
    assert 0 < held.pool(ratio.buckets("20-30")[0]).count < 1000


def test_an_empty_pool_names_set_and_bucket():
    with pytest.raises(BadInput, match=r"centre-256 has no mask in bucket 10-20"):
        frozen.load("centre-256").pool(ratio.buckets("10-20")[0])


@given(st.text(min_size=1), st.integers(1, 5000))
def test_an_image_takes_its_mask_by_its_id_alone(image_id, count):
    pool = frozen.Pool((), ((0, 0),) * count, 256)
    assert pool.index(image_id) == digest.number(image_id) % count


def test_images_spread_over_a_pool():
    pool = frozen.load("rectangular-256").pool(ratio.buckets("10-20")[0])
    used = {pool.index(f"image{number}") for number in range(2000)}
    assert len(used) > 450


def test_a_masks_digest_is_that_of_its_packed_rows():
    pool = frozen.load("rectangular-256").pool(ratio.buckets("10-20")[0])
    (mask,) = pool.masks([3])
    assert pool.digest(3) == digest.of_bytes(np.packbits(mask, axis=1).tobytes())


def test_the_digest_of_a_set_covers_its_strata_in_order():
    held = frozen.load("rectangular-256")
    lines = [f"{entry['sha256']}  {name} 250x256x256" for name, entry in held.manifest["strata"].items()]
    assert held.digest == digest.of_bytes("\n".join(lines).encode())


@pytest.mark.parametrize("side", [1, 7, 8, 9, 30])
def test_packing_and_unpacking_are_inverse(side):
    masks = np.random.default_rng(side).random((3, side, side)) < 0.5
    assert np.array_equal(packing.unpack(packing.pack(masks), side), masks)


def test_touching_is_seen_on_each_of_the_four_sides():
    masks = np.zeros((5, 6, 6), bool)
    masks[:, 2, 2] = True
    masks[0, 0, 3] = masks[1, 5, 3] = masks[2, 3, 0] = masks[3, 3, 5] = True
    assert packing.touches(masks).tolist() == [True, True, True, True, False]


def test_names_are_families_ids_globs_and_all(home):
    assert frozen.resolve(["freeform", "centre-256", "freeform-256"], 256) == ["freeform-256", "centre-256"]
    assert frozen.resolve(["lama-*"], 256) == ["lama-medium-256", "lama-thick-256", "lama-thin-256"]
    assert frozen.resolve(["all"], 256) == SHIPPED


def test_all_unknown_names_are_told_at_once():
    with pytest.raises(UnknownName, match=r"freefrm.*freeform.*nothing"):
        frozen.resolve(["freefrm", "centre", "nothing"], 256)


def test_a_size_that_is_not_frozen_names_the_command(home):
    with pytest.raises(Unavailable, match=r"bench masks freeze freeform --size 512"):
        frozen.resolve(["freeform"], 512)


def test_a_set_of_another_size_is_refused():
    with pytest.raises(BadInput, match=r"256 px, but 512 px"):
        frozen.resolve(["freeform-256"], 512)


def test_a_set_in_the_users_folder_is_found(copied):
    assert frozen.resolve(["mine"], 256) == ["mine-256"]
    assert frozen.load("mine-256").pool(ratio.buckets("0-5")[0]).count == 250


def test_an_unknown_set_is_named():
    with pytest.raises(UnknownName, match="freeform-256"):
        frozen.load("freeform-255")


def test_a_changed_file_is_refused_when_it_is_opened(copied):
    path = copied / "10-15.npz"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    held = frozen.load("mine-256")
    assert held.pool(ratio.buckets("0-5")[0]).count == 250
    with pytest.raises(BadInput, match=r"10-15\.npz is not the file"):
        held.pool(ratio.buckets("10-20")[0])


@pytest.fixture
def forged(copied):
    """The user's set with other arrays in one file, whose digest the manifest gives."""

    def forge(count=250, **changed):
        path, manifest = copied / "10-15.npz", json.loads((copied / "manifest.json").read_text())
        with np.load(path) as held:
            arrays = dict(held) | changed
        np.savez_compressed(path, **arrays)
        entries = manifest["strata"]
        entries["10-15"] |= {"file_sha256": digest.of_file(path), "count": count}
        manifest["sha256"] = manifests.whole_digest(256, entries)
        (copied / "manifest.json").write_text(json.dumps(manifest))
        return frozen.load("mine-256").pool(ratio.buckets("10-15")[0])

    return forge


def test_a_file_that_unpacks_to_more_than_its_masks_is_refused(forged):
    with pytest.raises(BadInput, match=r"10-15\.npz is damaged: it does not hold 250 masks"):
        forged(more=np.zeros(1 << 26, np.uint8))


@pytest.mark.parametrize("changed", [{"ends": np.arange(9)}, {"ends": np.arange(250)}, {"border": np.zeros(3, bool)}])
def test_a_file_of_another_number_of_masks_is_refused(forged, changed):
    with pytest.raises(BadInput, match=r"10-15\.npz is damaged: it does not hold 250 masks"):
        forged(**changed)


@pytest.mark.parametrize("size", [0, 1, 256 * 32 - 1, 256 * 32 + 1, 1 << 26])
def test_a_stream_of_another_size_is_refused_and_never_unpacked_whole(forged, size):
    streams = [zlib.compress(bytes(size)), *[zlib.compress(bytes(256 * 32))] * 249]
    pool = forged(streams=np.frombuffer(b"".join(streams), np.uint8), ends=np.cumsum([len(one) for one in streams]))
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"10-15\.npz is damaged: its mask 0"):
        pool.masks([0])
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_missing_file_is_named(copied):
    (copied / "10-15.npz").unlink()
    with pytest.raises(BadInput, match=r"10-15\.npz is missing"):
        frozen.load("mine-256").pool(ratio.buckets("10-20")[0])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"sha256": "00", "size_px": 256, "strata": {}}'])
def test_a_damaged_manifest_is_named(copied, text):
    (copied / "manifest.json").write_text(text)
    with pytest.raises(BadInput, match=r"(damaged: .*manifest\.json|manifest\.json is damaged)"):
        frozen.load("mine-256")


def test_a_changed_digest_in_a_manifest_is_seen(copied):
    path = copied / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["strata"]["10-15"]["sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="damaged"):
        frozen.load("mine-256")


def test_a_damaged_set_that_nobody_asked_for_is_told_and_stops_nothing(copied, capsys):
    (copied / "manifest.json").write_text("{")
    assert "freeform-256" in frozen.resolve(["all", "freeform"], 256)
    assert "The mask set mine-256 is left out: A mask set is damaged: " in capsys.readouterr().err


def test_a_damaged_set_that_is_asked_for_stops_the_run(copied):
    (copied / "manifest.json").write_text('{"id": 3}')
    with pytest.raises(BadInput, match=r"manifest\.json, line 1, field 'id': must be text in quotes, not 3"):
        frozen.resolve(["mine-256"], 256)
