import math

import pytest

from bench.report import results
from bench.report.analysis import ranks
from bench.report.published import Printed

BLANK = dict.fromkeys(Printed.__dataclass_fields__, "")


def printed(model, value, **facts):
    return Printed(
        **BLANK | {"paper": "A paper", "table": "1", "metric": "psnr", "model": model, "value": value} | facts
    )


@pytest.fixture
def run(tmp_path, write_run):
    """Later models are better: telea, ns, deepgin."""
    return results.load(write_run(tmp_path / "run"))


def only(run, lines):
    (found,) = ranks.agreements(run, lines)
    return found


def test_the_same_order_agrees_in_every_pair(run):
    found = only(run, [printed("telea", "20"), printed("ns", "21"), printed("deepgin", "22")])
    assert (found.agreeing, found.pairs, found.tau) == (3, 3, 1.0)


def test_the_opposite_order_has_a_correlation_of_minus_one(run):
    assert only(run, [printed("telea", "22"), printed("ns", "21"), printed("deepgin", "20")]).tau == -1


def test_a_turned_pair_costs_two_thirds(run):
    found = only(run, [printed("telea", "21"), printed("ns", "20"), printed("deepgin", "22")])
    assert found.agreeing == 2
    assert found.tau == pytest.approx(1 / 3)


def test_equal_printed_numbers_are_left_out(run):
    found = only(run, [printed("telea", "20"), printed("ns", "20")])
    assert found.pairs == 0
    assert math.isnan(found.tau)


def test_numbers_of_two_buckets_are_never_compared_with_each_other(run):
    lines = [printed("telea", "30", bucket="10-20"), printed("ns", "31", bucket="10-20")]
    lines += [printed("telea", "20", bucket="30-40"), printed("ns", "21", bucket="30-40")]
    assert only(run, lines).pairs == 2


def test_a_table_with_one_known_model_says_nothing(run):
    assert ranks.agreements(run, [printed("telea", "20"), printed("unheard", "21")]) == []


def test_a_printed_phrase_is_no_number(run):
    assert ranks.agreements(run, [printed("telea", "sharp"), printed("ns", "21")]) == []


def test_the_papers_own_variant_wins_over_the_usual_one(run):
    line = printed("telea", "0.9", metric="ssim", variant="fid")
    assert ranks.variant(run, line) == "fid"
    assert ranks.variant(run, printed("telea", "0.9", metric="ssim", variant="ssim-ec51")) == "ssim-wang"


def test_measured_is_the_mean_of_the_cells_that_overlap(run):
    cells = [run.numbers["telea", "freeform-256", bucket, "psnr"].value for bucket in ("30-40", "40-50")]
    line = printed("telea", "20", masks="freeform", bucket="35-45")
    assert ranks.measured(run, "telea", "psnr", line) == pytest.approx(sum(cells) / 2)


def test_masks_that_the_run_lacks_stand_for_all_of_its_own(run):
    cells = [run.numbers["telea", name, "10-20", "psnr"].value for name in run.families]
    line = printed("telea", "20", masks="irregular", bucket="10-20")
    assert ranks.measured(run, "telea", "psnr", line) == pytest.approx(sum(cells) / 2)


def test_buckets_that_only_touch_do_not_overlap():
    assert not ranks.overlap("10-20", "20-30")
    assert ranks.overlap("10-20", "19-30")
    assert ranks.overlap("10-20", "")


@pytest.mark.parametrize(
    ("one", "other"), [("10-20+border", "10-20-border"), ("12.5-25", "50-60"), ("40-60", "0-12.5")]
)
def test_buckets_without_a_mask_in_common_do_not_overlap(one, other):
    assert not ranks.overlap(one, other)
    assert ranks.overlap(one, one)


def test_the_shipped_numbers_make_a_table_with_its_caveats(tmp_path, write_run):
    run = results.load(write_run(tmp_path / "run", models=("glcic", "pconv", "edgeconnect")))
    report = ranks.report(run)
    heads = {row.heads[0] for row in report.tables[0].rows}
    assert "CFS (2019), 1" in heads
    assert report.footer[: len(ranks.CAVEATS)] == ranks.CAVEATS
