"""Tiles: pictures larger than a network's own size."""

import json
from dataclasses import replace

import pytest
import torch

from bench.models import predict, tiling
from bench.models import registry as model_registry
from bench.types import ModelCard

CARD = ModelCard(title="Toy", size_px=32, multiple=32, largest_px=32, square=True)


class Toy(torch.nn.Module):
    """Fills the hole with one level; keeps the sizes that it was given."""

    def __init__(self, fill=lambda images, masks: torch.full_like(images, 0.5)):
        super().__init__()
        self.fill, self.seen, self.seeds = fill, [], []

    def predict(self, images, masks, seeds=None):
        self.seen.append(tuple(images.shape))
        self.seeds.append(seeds)
        return images * (1 - masks) + self.fill(images, masks) * masks


def filled(toy, height, width, card=CARD):
    torch.manual_seed(0)
    images, masks = torch.rand(2, 3, height, width), (torch.rand(2, 1, height, width) > 0.6).float()
    model, open_card = tiling.tiled(toy, card, "native")
    return images, masks, predict.raw(model, open_card, images, masks, [3, 4])


@pytest.mark.parametrize("size", [(32, 32), (24, 30)])
def test_a_picture_that_fits_into_a_tile_gives_the_bits_of_no_tiling(size):
    images, masks, found = filled(Toy(), *size)
    assert torch.equal(found, predict.raw(Toy(), CARD, images, masks, [3, 4]))


@pytest.mark.parametrize("size", [(33, 32), (64, 100), (20, 90), (129, 57)])
def test_tiles_cover_a_picture_of_any_size_and_keep_what_is_known(size):
    images, masks, found = filled(Toy(), *size)
    torch.testing.assert_close(found, images * (1 - masks) + 0.5 * masks)


def test_no_network_sees_more_than_its_own_size():
    toy = Toy()
    filled(toy, 100, 70)
    assert {shape[2:] for shape in toy.seen} == {(32, 32)}


def test_neighbours_share_a_quarter_of_their_side_or_more():
    tiles = list(tiling.cut((100, 32), 32, 8))
    assert [(tile.rows.start, tile.rows.stop) for tile in tiles] == [(0, 32), (23, 55), (45, 77), (68, 100)]
    assert min(tile.shared[1] for tile in tiles[:-1]) >= 8


def test_tiles_are_blended_without_a_step():
    """Tiles that disagree by 1 meet in a ramp: no pixel differs from its neighbour by more than the ramp's slope."""
    levels = iter([0.0, 1.0])
    toy = Toy(lambda images, masks: torch.full_like(images, next(levels)))
    model, card = tiling.tiled(toy, CARD, "native")
    found = predict.raw(model, card, torch.zeros(1, 3, 32, 56), torch.ones(1, 1, 32, 56), [0])
    steps = found[0, 0, 0].diff()
    assert steps.max() <= 1 / 8
    assert (found[0, 0, 0, 0], found[0, 0, 0, -1]) == (0, 1)


def test_every_tile_of_an_image_draws_with_a_seed_of_its_own():
    toy = Toy()
    filled(toy, 32, 56)
    assert toy.seeds[0] == [3, 4]
    assert not set(toy.seeds[0]) & set(toy.seeds[1])


def test_a_network_of_any_size_is_left_alone():
    toy, card = Toy(), ModelCard(title="Any")
    assert tiling.tiled(toy, card, "native") == (toy, card)
    assert tiling.tiled(toy, CARD, "") == (toy, CARD)


def test_a_network_that_fills_larger_pictures_by_itself_is_given_them_whole():
    toy = Toy()
    card = replace(CARD, larger="as sub-images", square=False, largest_px=0)
    filled(toy, 64, 96, card)
    assert toy.seen == [(2, 3, 64, 96)]


@pytest.mark.parametrize(
    "ref", model_registry.choose(["all", "crfill:nearestx2", "hrii:guided", "migan:512", "mat:256"])
)
def test_a_tile_has_the_size_that_the_variant_was_made_for(ref):
    """Whoever has a size can be fed with it: tiles are padded no further."""
    card = ref.card
    assert card.size_px % card.multiple == 0
    assert not card.size_px or card.minimum_px <= card.size_px
    assert not card.largest_px or card.size_px <= card.largest_px
    if ref.variant.isdigit():
        assert card.size_px == int(ref.variant)


RUN = ("--dataset", "demo", "--limit", 1, "--masks", "freeform", "--buckets", "20-30", "--metrics", "psnr")


@pytest.mark.slow
def test_tiling_stands_in_what_decides_a_number_and_below_the_table(bench, tmp_path, monkeypatch):
    text = (
        "import torch\nfrom bench.types import ModelCard\nCARD = ModelCard(title='T', kind='classical', size_px=64)\n"
    )
    text += "class T:\n    def predict(self, images, masks):\n        return images + masks * images.shape[-1] / 1024\n"
    (tmp_path / "t.py").write_text(text + "def model(variant=''):\n    return T()\n")
    digests = []
    for words in ((), ("--tiling", "native")):
        assert bench("run", "--models", tmp_path / "t.py", *RUN, *words, "--out", tmp_path / f"run{len(words)}")[0] == 0
        record = json.loads((tmp_path / f"run{len(words)}" / "run.json").read_text())
        digests.append(record["settings"].get("tiling", ""))
    assert digests == ["", "native"]
    assert "in tiles of it, which share a quarter and are blended" in bench("report", tmp_path / "run2")[1]
    assert "in tiles of it" not in bench("report", tmp_path / "run0")[1]


@pytest.mark.slow
def test_a_model_that_fills_larger_pictures_by_itself_stands_below_the_table_of_a_tiled_run(bench, tmp_path):
    text = "from bench.types import ModelCard\nCARD = ModelCard(title='T', kind='classical', larger='as it likes')\n"
    text += "class T:\n    def predict(self, images, masks):\n        return images\n"
    (tmp_path / "t.py").write_text(text + "def model(variant=''):\n    return T()\n")
    assert bench("run", "--models", tmp_path / "t.py", *RUN, "--tiling", "native", "--out", tmp_path / "run")[0] == 0
    assert "fills larger pictures by itself: as it likes." in bench("report", tmp_path / "run")[1]


def test_a_tiling_that_there_is_not_is_refused(bench):
    status, _, err = bench("run", "--models", "telea", "--tiling", "nativ", "--plan")
    assert status == 2
    assert "No tiling 'nativ'. Did you mean: native?" in err
