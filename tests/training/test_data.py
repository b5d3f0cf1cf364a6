import dataclasses
import multiprocessing

import numpy as np
import pytest
import torch
from PIL import Image

from bench import digest
from bench.datasets.folder import Folder
from bench.errors import BadInput, UnknownName
from bench.models import contamination, guides
from bench.training import data
from bench.training.masks import MaskSampler
from bench.training.recipe import MaskRecipe
from bench.types import ModelCard


@pytest.fixture(scope="session")
def batches(toy):
    def make(photographs, recipe=toy.PAPER, seed=0, **share):
        return data.Batches(
            photographs, list(photographs.ids), recipe, MaskSampler(recipe.masks, toy.SIZE, seed, toy.MASKS), **share
        )

    return make


@pytest.fixture(scope="session")
def with_preparation(toy):
    def make(**steps):
        return dataclasses.replace(toy.PAPER, preparation=steps)

    return make


@pytest.fixture(scope="session")
def prepared(with_preparation):
    def make(picture, **steps):
        return np.asarray(data.preparation(with_preparation(**steps))(Image.fromarray(picture)))

    return make


RAMP = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)


def test_a_batch_is_a_function_of_its_number(photographs, batches):
    first, again = batches(photographs)[3], batches(photographs)[3]
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.masks, again.masks)


@pytest.fixture
def labels(photographs, tmp_path):
    """A folder of guides that repeat the red of their photographs."""
    for image_id in photographs.ids:
        file = tmp_path / f"{image_id}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(photographs.read(image_id))[..., 0]).save(file)
    return tmp_path


CUTS = {"CentreSquare": {}, "QuarterTurn": {}, "RandomCrop": {"size": 32}, "RandomHorizontalFlip": {"p": 0.5}}


@pytest.mark.parametrize("more", [{"EnlargeTo": {"size": 8}}, {"Phase": {"stride": 1}}])
def test_guides_are_cut_and_turned_with_their_photographs(photographs, labels, batches, with_preparation, more):
    card = ModelCard(title="Toy", taught=("part",), classes=256)
    found = guides.for_training(labels, card, ["part"], photographs.ids)
    for number in range(3):
        samples = batches(photographs, with_preparation(**CUTS, **more), guides=found)[number]
        assert torch.equal(samples.guides[:, 0], samples.images[:, 0])


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_fault_in_making_a_batch_is_told_as_it_is_and_leaves_no_worker(
    photographs, batches, with_preparation, workers
):
    made = batches(photographs, with_preparation(RandomCrop={"size": 5000}))
    with pytest.raises(BadInput, match=r"^\S+: \d+ x \d+ pixels are too small"):
        list(data.load(made, 0, 4, workers))
    assert not multiprocessing.active_children()


def test_without_guides_samples_have_none(photographs, batches):
    assert batches(photographs)[0].guides.numel() == 0


def test_a_guide_of_another_size_than_its_photograph_is_named(photographs, labels, batches):
    for file in labels.rglob("*.png"):
        Image.fromarray(np.zeros((9, 7), np.uint8)).save(file)
    found = guides.for_training(labels, ModelCard(title="Toy", taught=("part",)), ["part"], photographs.ids)
    with pytest.raises(BadInput, match=r"\.png has 7 x 9 pixels, its photograph \d+ x \d+"):
        batches(photographs, guides=found)[0]


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        (ModelCard(title="Toy"), "Toy learns from photographs alone"),
        (ModelCard(title="Toy", taught=("parsing",)), "labels teach Toy its terms parsing, which have no weight here"),
    ],
)
def test_guides_that_teach_nothing_are_refused(tmp_path, card, sentence):
    with pytest.raises(BadInput, match=sentence):
        guides.for_training(tmp_path, card, ["part"], ["a"])


def test_another_seed_gives_other_crops_and_holes(photographs, batches):
    first, other = batches(photographs)[0], batches(photographs, seed=1)[0]
    assert not torch.equal(first.images, other.images)
    assert not torch.equal(first.masks, other.masks)


def test_images_are_bytes_and_holes_are_ones(photographs, batches, toy):
    samples = batches(photographs)[0]
    assert samples.images.dtype == torch.uint8
    assert samples.images.shape == (4, 3, toy.SIZE, toy.SIZE)
    assert samples.masks.shape == (4, 1, toy.SIZE, toy.SIZE)
    assert samples.masks.unique().tolist() == [0, 1]


def test_an_epoch_shows_every_photograph_once_and_notes_it(photographs, batches):
    noted = [digest for number in range(2) for digest in batches(photographs)[number].digests]
    assert sorted(noted) == sorted(contamination.fingerprint(photographs.read(name)) for name in photographs.ids)


def test_later_epochs_tell_which_photographs_came_again(photographs, batches):
    again = batches(photographs)[2]
    assert again.digests == ()
    assert again.again
    assert again.again == {name: contamination.fingerprint(photographs.read(name)) for name in again.again}


def test_two_processes_share_what_one_would_see(photographs, batches):
    halves = [batches(photographs, rank=rank, world=2)[5] for rank in range(2)]
    whole = batches(photographs)[5]
    for rank, half in enumerate(halves):
        assert torch.equal(half.images, whole.images[rank::2])
        assert torch.equal(half.masks, whole.masks[rank::2])


@pytest.mark.slow
def test_worker_processes_change_nothing(photographs, batches):
    source = batches(photographs)
    for alone, made in zip(data.load(source, 1, 5, workers=0), data.load(source, 1, 5, workers=2), strict=True):
        assert torch.equal(alone.images, made.images)
        assert torch.equal(alone.masks, made.masks)


def test_a_batch_leaves_the_global_generator_alone(photographs, batches):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    batches(photographs)[0]
    assert torch.equal(torch.rand(1), expected)


def test_each_photograph_stands_once_for_each_family(photographs, batches, toy):
    recipe = dataclasses.replace(toy.PAPER, masks=MaskRecipe(("left-half", "centre"), mix="each"))
    samples = batches(photographs, recipe)[0]
    assert len(samples.images) == 8
    assert torch.equal(samples.images[0], samples.images[1])
    assert not torch.equal(samples.masks[0], samples.masks[1])


def test_a_photograph_smaller_than_the_crop_is_named(photographs, batches, with_preparation):
    with pytest.raises(BadInput, match="48 x 40 pixels are too small"):
        batches(photographs, with_preparation(RandomCrop={"size": 64}))[0]


def test_no_photographs_are_refused(photographs, toy):
    with pytest.raises(BadInput, match="No photographs"):
        data.Batches(photographs, [], toy.PAPER, MaskSampler(toy.PAPER.masks, toy.SIZE, 0, toy.MASKS))


def test_one_in_twenty_is_held_out_for_validation(tmp_path):
    for number in range(60):
        Image.fromarray(RAMP).save(tmp_path / f"{number}.png")
    learned, held = data.split(Folder(tmp_path))
    assert not set(learned) & set(held)
    assert len(learned) + len(held) == 60
    assert 0 < len(held) < 12


def test_very_few_photographs_serve_for_both(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "only.png")
    assert data.split(Folder(tmp_path)) == (["only"], ["only"])


def test_held_out_photographs_meet_as_many_frozen_masks_as_others_do():
    """A frozen set deals 1,000 masks by the id's digest; of about 100 photographs few may share one."""

    class Many:
        ids = tuple(f"photo{number}" for number in range(2000))

    _, held = data.split(Many())
    masks = {digest.number(name) % 1000 for name in held}
    assert len(held) > 60
    assert len(masks) > 0.9 * len(held)


def test_an_unknown_preparation_is_answered_with_near_ones(with_preparation):
    with pytest.raises(UnknownName, match="RandomCrop"):
        data.preparation(with_preparation(RandomCorp={"size": 3}))


@pytest.mark.parametrize("arguments", [{"sise": 3}, {"size": 3, "interpolation": "tricubic"}])
def test_a_preparation_with_wrong_arguments_is_refused(arguments, with_preparation):
    with pytest.raises(BadInput, match="Resize does not take"):
        data.preparation(with_preparation(Resize=arguments))


def test_a_preparation_must_end_in_a_square(with_preparation):
    with pytest.raises(BadInput, match="16 x 8"):
        data.size_px(with_preparation(CenterCrop={"size": (8, 16)}))


def test_only_smaller_images_are_enlarged(prepared):
    assert prepared(RAMP, EnlargeTo={"size": 8}).shape == (12, 8, 3)
    assert np.array_equal(prepared(RAMP, EnlargeTo={"size": 4}), RAMP)


def test_the_centred_square_keeps_the_shorter_side(prepared):
    assert np.array_equal(prepared(RAMP, CentreSquare={}), RAMP[1:5])


def test_a_phase_is_one_of_the_sub_images(prepared):
    phases = [RAMP[top::2, left::2].tobytes() for top in range(2) for left in range(2)]
    found = {prepared(RAMP, Phase={"stride": 2}).tobytes() for _ in range(60)}
    assert found == set(phases)


def test_quarter_turns_reach_all_four(prepared):
    square = RAMP[:4]
    found = {prepared(square, QuarterTurn={}).tobytes() for _ in range(60)}
    assert found == {np.rot90(square, turns).tobytes() for turns in range(4)}


def test_flips_really_happen(prepared):
    found = {prepared(RAMP, RandomHorizontalFlip={"p": 0.5}).tobytes() for _ in range(40)}
    assert found == {RAMP.tobytes(), RAMP[:, ::-1].tobytes()}


def test_photographs_are_decoded_once_while_there_is_room(photographs, batches, monkeypatch):
    read, original = [], type(photographs).read
    monkeypatch.setattr(type(photographs), "read", lambda self, name: read.append(name) or original(self, name))
    kept = batches(photographs)
    first = [kept[number].images for number in range(8)]
    assert sorted(read) == sorted(photographs.ids)
    monkeypatch.setattr(data, "KEPT_BYTES", 0)
    bare = batches(photographs)
    assert all(torch.equal(bare[number].images, found) for number, found in enumerate(first))
    assert len(read) == 8 + 8 * 4


@pytest.mark.parametrize(("batch_s", "expected"), [(1e6, 0), (0.1, 2), (1e-6, 7)])
def test_as_many_processes_read_as_steps_need(batch_s, expected, photographs, batches, monkeypatch):
    monkeypatch.setattr(data.os, "sched_getaffinity", lambda _: range(8))
    ticks = iter((0.0, 0.1))
    monkeypatch.setattr(data.time, "perf_counter", lambda: next(ticks))
    assert data.workers_needed(batches(photographs), 0, batch_s) == expected
