"""The house as a library: the same numbers as a run, inside somebody's own loop."""

import pandas as pd
import pytest
import torch

import bench
from bench import Validation, digest, evaluate, load_masks, load_model, metrics
from bench.datasets import registry as dataset_registry
from bench.errors import BadInput, ContractBroken, Unavailable, UnknownName
from bench.images import prepare
from bench.run.main import run
from bench.types import Preparation, RunSpec


@pytest.fixture(scope="module")
def ids():
    return digest.subset(dataset_registry.open_dataset("demo").ids, 3)


@pytest.fixture(scope="module")
def photos(ids):
    demo = dataset_registry.open_dataset("demo")
    pixels = [torch.from_numpy(prepare(demo.read(name), Preparation())) for name in ids]
    return torch.stack(pixels).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="module")
def masks(ids):
    return load_masks("freeform", "20-30", ids)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Dropout()

    def forward(self, images, masks):
        assert not self.training
        return self.inner(images)


@pytest.mark.parametrize("model", ["telea", "ce@starter"])
def test_a_model_scores_as_in_a_run(model, ids, photos, masks, tmp_path):
    spec = RunSpec((model,), "demo", None, None, ("freeform",), "20-30", (), "bench@1", len(ids), 0)
    rows = pd.read_parquet(run(spec, tmp_path / "run").root / "results.parquet")
    found = evaluate(load_model(model), photos, masks)
    pd.testing.assert_frame_equal(found, rows[list(found)], check_exact=True)


def test_masks_are_frozen_and_lie_in_the_bucket(masks):
    assert masks.dtype == torch.bool
    assert ((masks.float().mean((1, 2, 3)) > 0.2) & (masks.float().mean((1, 2, 3)) <= 0.3)).all()
    assert torch.equal(load_masks("freeform-256", "20-30", 5), load_masks("freeform", "20-30", 5))


@pytest.mark.parametrize(("bucket", "said"), [("", "name one, such as 20-30"), ("deciles", "is 6 buckets")])
def test_masks_of_one_bucket_are_given(bucket, said):
    with pytest.raises(BadInput, match=said):
        load_masks("freeform", bucket)


def test_a_function_is_a_model(photos, masks):
    seen = []

    def grey(images, holes):
        seen.append((images * holes).abs().max().item())
        return torch.full_like(images, 0.5)

    assert len(evaluate(grey, photos, masks)) == len(photos)
    assert set(seen) == {0.0}


def test_a_module_is_scored_at_rest_and_left_as_it_was(photos, masks):
    net = Net()
    net.inner.eval()
    evaluate(net, photos, masks)
    assert net.training
    assert not net.inner.training


def test_a_validation_prepares_the_photographs_once(photos, masks, monkeypatch):
    validate = Validation(photos, masks)
    for metric in validate.metrics.values():
        monkeypatch.setattr(type(metric), "prepare", lambda *_: pytest.fail("prepared again"))
    assert validate(Net()).equals(validate(Net()))


def test_one_metric_on_finished_images(photos, masks):
    values = metrics.measure("l1-255", photos, photos.flip(0), masks)
    gap = (photos.double() - photos.flip(0).double()).abs().mean((1, 2, 3))
    assert values == pytest.approx(gap.numpy())


@pytest.mark.parametrize("wrong", [lambda images, _: images * 255, lambda images, _: images[:, :1]])
def test_an_answer_that_is_no_image_is_refused(wrong, photos, masks):
    with pytest.raises(ContractBroken):
        evaluate(wrong, photos, masks)


def test_a_function_that_does_not_repeat_is_refused_as_in_a_run(photos, masks):
    with pytest.raises(ContractBroken, match="not repeatable"):
        evaluate(lambda images, _: torch.rand_like(images), photos, masks)


def test_a_function_that_draws_from_seeds_is_scored(photos, masks):
    def dice(images, _, seeds):
        draws = [torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(draws)

    assert evaluate(dice, photos, masks).equals(evaluate(dice, photos, masks))


IMAGES = {
    "NumPy": (lambda images: images.numpy(), "torch tensor, .* this is numpy.ndarray"),
    "channels last": (lambda images: images.permute(0, 2, 3, 1), r"\[N, 3, H, W\].*permute\(0, 3, 1, 2\)"),
    "one alone": (lambda images: images[0], r"\[N, 3, H, W\]"),
    "grey": (lambda images: images[:, :1], r"\[N, 3, H, W\]"),
    "none": (lambda images: images[:0], "N 1 or more"),
}
MASKS = {
    "bytes": (lambda masks: masks.to(torch.uint8) * 255, "masks must be bool.* masks > 0"),
    "floats": (lambda masks: masks.float(), "masks must be bool"),
    "flat": (lambda masks: masks[:, 0], r"masks must be of shape \[3, 1, 256, 256\]"),
    "too few": (lambda masks: masks[:1], r"one an image; these are \[1, 1, 256, 256\]"),
    "another size": (lambda masks: masks[..., :128], r"\[3, 1, 256, 128\]"),
    "NumPy": (lambda masks: masks.numpy(), "torch tensor"),
}


@pytest.mark.parametrize(("wrong", "said"), IMAGES.values(), ids=IMAGES)
def test_images_are_checked_at_the_door(wrong, said, photos, masks):
    with pytest.raises(BadInput, match=said):
        evaluate(Net(), wrong(photos), masks)


@pytest.mark.parametrize(("wrong", "said"), MASKS.values(), ids=MASKS)
def test_masks_are_checked_at_the_door(wrong, said, photos, masks):
    with pytest.raises(BadInput, match=said):
        evaluate(Net(), photos, wrong(masks))


def test_a_lone_text_is_one_name(photos, masks):
    assert list(evaluate(Net(), photos, masks, "psnr")) == ["psnr"]
    assert torch.equal(load_masks("freeform", "20-30", "abc"), load_masks("freeform", "20-30", ["abc"]))


@pytest.mark.parametrize("images", [0, -3, 2.0, [1, 2], []])
def test_how_many_masks_is_a_whole_number_or_ids(images):
    with pytest.raises(BadInput, match="images must be"):
        load_masks("freeform", "20-30", images)


def test_a_name_in_place_of_a_model_is_told_how_to_open_it(photos, masks):
    with pytest.raises(BadInput, match=r"Open it first: load_model\('telea'\)"):
        evaluate("telea", photos, masks)


def test_float_images_are_refused(photos, masks):
    with pytest.raises(BadInput, match="round it to 8 bits first"):
        evaluate(Net(), photos / 255, masks)


def test_metrics_of_whole_sets_are_refused(photos, masks):
    with pytest.raises(BadInput, match="fid"):
        evaluate(Net(), photos, masks, metrics=("psnr", "fid"))
    with pytest.raises(BadInput, match="whole set"):
        metrics.measure("fid", photos, photos, masks)


def test_unknown_names_meet_the_nearest():
    with pytest.raises(UnknownName, match="telea"):
        load_model("tela")
    with pytest.raises(AttributeError):
        bench.evaluat  # noqa: B018


def test_a_model_without_weights_says_what_to_type():
    with pytest.raises(Unavailable, match="bench models show edgeconnect"):
        load_model("edgeconnect:hed")


@pytest.mark.parametrize("device", ["mps", "cuda:99", "warp"])
def test_a_device_that_is_not_here_is_refused(device):
    with pytest.raises(BadInput, match=f"No device '{device}'"):
        load_model("telea", device)
