import pytest
import torch

from bench.errors import BadInput
from bench.metrics import registry as metric_registry
from bench.models import contamination
from bench.training import validation
from bench.training.masks import MaskSampler
from bench.training.recipe import MaskRecipe


def judged(photographs, seen=()):
    sampler = MaskSampler(MaskRecipe(("centre",)), 32, 0)
    return validation.prepare(photographs, list(photographs.ids), sampler, frozen="", seen=seen)


def test_photographs_that_ssim_cannot_score_are_told_before_the_first_step(photographs):
    sampler = MaskSampler(MaskRecipe(("centre",)), 8, 0)
    with pytest.raises(BadInput, match="SSIM with a window of 11 x 11"):
        validation.prepare(photographs, list(photographs.ids), sampler, frozen="")


def test_photographs_that_the_start_has_learned_from_do_not_judge(photographs):
    seen = {contamination.fingerprint(photographs.read(name)) for name in photographs.ids[:3]}
    found = judged(photographs, seen)
    assert (len(found.truth), found.known) == (len(photographs.ids) - 3, 3)
    assert (found.truth == judged(photographs).truth[3:]).all()


def test_a_start_that_knows_all_who_would_judge_is_refused(photographs):
    seen = {contamination.fingerprint(photographs.read(name)) for name in photographs.ids}
    with pytest.raises(BadInput, match=r"have learned from all 8 photographs .* name the photographs as that training"):
        judged(photographs, seen)


@pytest.mark.parametrize(("by", "step"), [("psnr", 1), ("l1", 2), ("ssim-wang", 3)])
def test_the_score_that_the_recipe_names_chooses_the_weights(by, step):
    scores = [
        {"step": 1, "psnr": 21.0, "l1": 0.04, "ssim-wang": 0.71},
        {"step": 2, "psnr": 20.0, "l1": 0.03, "ssim-wang": 0.72},
        {"step": 3, "psnr": 19.0, "l1": 0.05, "ssim-wang": 0.73},
    ]
    assert validation.best({"recipe": {"best": by}, "validation": {"scores": scores}})["step"] == step


def test_scores_of_a_validation_are_those_of_the_metrics(photographs):
    found = judged(photographs)
    outputs = 255 - found.truth
    scores = found.scores(outputs)
    for name in validation.SCORES:
        metric = metric_registry.open_metric(name, "cpu")
        filled = torch.where(found.masks, outputs, found.truth)
        values = metric.compare(metric.prepare(found.truth), filled, found.masks)
        assert scores[name] == pytest.approx(float(values.mean())), name
