"""`bench run --protocol P` is tried for every protocol that ships, on small copies with the official layouts."""

import numpy as np
import pandas as pd
import pytest

from bench.errors import BadInput, Unavailable
from bench.masks import draw, frozen, imported, load, packing, ratio, writing
from bench.protocols import registry as protocol_registry
from bench.run.main import run
from bench.run.spec import resolve
from bench.types import Execution, RunSpec

COPIES = {
    "places2": ("test_256", (256, 256)),
    "places2-large": ("val_large", (640, 512)),
    "celeba": ("img_align_celeba", (178, 218)),
    "celeba-hq": ("data1024x1024", (1024, 1024)),
    "ffhq": ("images1024x1024", (300, 212)),
    "oxford-buildings": ("oxbuild_images", (300, 256)),
    "paris-streetview": ("paris_eval/paris_eval_gt", (256, 256)),
}
"""Data set -> official folder, and the size of our small photographs in it."""
DATA = {
    "aotgan": "places2-large",
    "bench": "places2",
    "cfs": "places2",
    "comodgan": "places2-large",
    "context-encoder": "paris-streetview",
    "deepfillv1": "places2",
    "deepfillv2": "places2",
    "deepgin-256": "oxford-buildings",
    "deepgin-ablation": "celeba-hq",
    "deepgin-os": "ffhq",
    "dualpath": "places2",
    "edgeconnect": "places2",
    "gmcnn": "paris-streetview",
    "lama-celeba": "celeba-hq",
    "lama-places": "places2-large",
    "mat-celeba": "celeba-hq",
    "mat-places": "places2-large",
    "pconv": "places2-large",
    "rnon": "celeba",
}
SHARES = (10, 30, 50, 70, 90)
"""One mask for each range of Co-Mod-GAN's."""
BLOCKED = ("mmagic", "pluralistic")


def small_set(root, family, size, strata):
    """A set like the one that `bench masks freeze` writes, with two masks in each of its files."""
    ranges = ratio.STRATA if strata else (None,)
    parts = []
    for stratum in ranges:
        masks = draw(family, size, 0, [0, 1], stratum)
        name = ratio.stratum_name(stratum) if stratum else frozen.WHOLE
        parts.append(frozen.stratum(name, packing.pack(masks), size))
    about = {"id": f"{family}-{size}", "family": family, "version": 1}
    writing.write(root / "masksets" / about["id"], parts, size, {}, about)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A user's folder with small sets of the sizes that have to be frozen, and masks like MAT's."""
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(root))
        small_set(root, "centre", 128, strata=False)
        small_set(root, "irregular", 512, strata=True)
        small_set(root, "deepgin-mix", 1024, strata=False)
        for name in ("lama-thin", "lama-medium", "lama-thick"):
            small_set(root, name, 512, strata=False)
        for name in ("mat-small", "mat-large"):
            masks = [(f"{place}.png", mask) for place, mask in enumerate(draw("deepgin-rectangular", 512, 1, [0, 1]))]
            imported.freeze(name, masks, {"kind": "folder"}, force=False)
        shares = np.arange(512 * 512).reshape(512, 512) < 2621 * np.array(SHARES)[:, None, None]
        whole = frozen.stratum(frozen.WHOLE, packing.pack(shares), 512)
        about = {"id": "comodgan-512", "family": "comodgan", "version": 1}
        writing.write(root / "masksets" / "comodgan-512", [whole], 512, {}, about)
        yield root


@pytest.fixture(scope="module")
def copies(tmp_path_factory, photographs):
    root = tmp_path_factory.mktemp("copies")
    for name, (folder, size) in COPIES.items():
        photographs(root / name / folder, ["0", "1"], size)
    lines = "".join(f"{name}.png 2\n" for name in ("0", "1"))
    (root / "celeba" / "list_eval_partition.txt").write_text(lines)
    return root


def measured(protocol, copies, tmp_path):
    copy = DATA[protocol]
    split = "test" if copy == "places2" else None
    spec = RunSpec(("mean",), copy.removesuffix("-large"), str(copies / copy), split, protocol=protocol, keep_images=1)
    return run(spec, tmp_path / "run", any_count=True)


def test_every_protocol_is_tried():
    assert {name.partition("@")[0] for name in protocol_registry.names()} == {*DATA, *BLOCKED}


@pytest.mark.slow
@pytest.mark.parametrize("protocol", DATA)
def test_a_protocol_fills_every_cell_but_those_whose_networks_are_missing(protocol, home, copies, tmp_path):
    outcome = measured(protocol, copies, tmp_path)
    assert not outcome.faults
    empty = outcome.summary[outcome.summary.value.isna() & (outcome.summary.excluded == 0)]
    assert set(empty.metric) <= {"lpips-alex", "lpips-vgg", "fid"}, empty
    assert all("bench metrics fetch" in reason for reason in empty.reason)


def test_a_protocols_ranges_cut_its_own_masks_though_these_are_frozen_in_one_piece(home, copies):
    spec = RunSpec(("mean",), "places2", str(copies / "places2-large"), protocol="comodgan")
    assert [cell.bucket.label for cell in resolve(spec).cells] == ["0-20", "20-40", "40-60", "60-80", "80-100"]


@pytest.mark.parametrize("protocol", BLOCKED)
def test_what_a_harness_that_hides_the_truth_cannot_follow_is_refused_with_its_reason(protocol):
    with pytest.raises(Unavailable, match="cannot be run: it"):
        protocol_registry.runnable(protocol)


def test_photographs_at_their_own_sizes_have_masks_of_these_sizes(home, copies, tmp_path):
    outcome = measured("deepgin-os", copies, tmp_path)
    rows = pd.read_parquet(outcome.root / "results.parquet")
    assert set(rows.mask_set) == {"deepgin-rectangular-original", "deepgin-mix-original"}
    assert rows["mask"].str.startswith("300x212/").all()
    again = load("deepgin-mix-original", None).take(ratio.buckets("none")[0], ["0"], (212, 300))
    found = rows[(rows.mask_set == "deepgin-mix-original") & (rows.image == "0")].mask_digest.item()
    assert found == bytes.fromhex(again.digests[0][:32])


def test_a_part_of_several_images_is_refused_where_each_has_its_own_size(home, copies, tmp_path):
    spec = RunSpec(("mean",), "ffhq", str(copies / "ffhq"), protocol="deepgin-os")
    with pytest.raises(BadInput, match="--shard-size 2: deepgin-os@1 has images of several sizes"):
        run(spec, tmp_path / "run", Execution(shard=2))
