"""Unknown names meet the nearest known ones; a stranger's exception is named, whatever its text does; counts agree."""

import pytest

from bench.errors import UnknownName, counted, exception_text
from bench.metrics import registry as metric_registry


@pytest.mark.parametrize(
    ("name", "standard"), [("ssim", "ssim-wang"), ("SSIM", "ssim-wang"), ("PSNR", "psnr"), ("FID", "fid")]
)
def test_a_bare_name_in_any_case_is_the_standard_variant(name, standard):
    assert list(metric_registry.choose([name])) == [standard]


def test_a_misspelt_name_meets_its_neighbour():
    with pytest.raises(UnknownName, match="Did you mean: telea"):
        raise UnknownName("model", ["tela"], ["mean", "telea"], "bench models list")


def test_a_name_that_is_near_to_none_meets_all_of_a_short_list():
    with pytest.raises(UnknownName, match=r"No model 'xyzzy'\. There are: mean, telea\. See:"):
        raise UnknownName("model", ["xyzzy"], ["mean", "telea"], "bench models list")


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (ValueError("off by one"), "ValueError: off by one"),
        (ValueError(), "ValueError"),
        (MuteError(), "MuteError: its text cannot be had (RuntimeError)"),
    ],
)
def test_an_exception_is_named_with_the_text_it_has(fault, text):
    assert exception_text(fault) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 images"), (1, "1 image"), (1200, "1,200 images")])
def test_a_count_agrees_with_its_word(number, text):
    assert counted(number, "image") == text
