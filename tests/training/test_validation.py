import pytest

from bench.errors import BadInput
from bench.models import contamination
from bench.training import validation
from bench.training.masks import MaskSampler
from bench.training.recipe import MaskRecipe


def judged(photographs, seen=()):
    sampler = MaskSampler(MaskRecipe(("centre",)), 32, 0)
    return validation.prepare(photographs, list(photographs.ids), sampler, frozen="", seen=seen)


def test_photographs_that_the_start_has_learned_from_do_not_judge(photographs):
    seen = {contamination.fingerprint(photographs.read(name)) for name in photographs.ids[:3]}
    found = judged(photographs, seen)
    assert (len(found.truth), found.known) == (len(photographs.ids) - 3, 3)
    assert (found.truth == judged(photographs).truth[3:]).all()


def test_a_start_that_knows_all_who_would_judge_is_refused(photographs):
    seen = {contamination.fingerprint(photographs.read(name)) for name in photographs.ids}
    with pytest.raises(BadInput, match=r"have learned from all 8 photographs .* name the photographs as that training"):
        judged(photographs, seen)
