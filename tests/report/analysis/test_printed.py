"""A run beside what is printed of its model."""

import pytest

from bench.errors import BadInput, Unavailable
from bench.report import results
from bench.report.analysis import printed
from bench.report.published import Printed

BLANK = dict.fromkeys(Printed.__dataclass_fields__, "")


def line(value, **facts):
    told = {"paper": "A paper", "table": "1", "model": "deepgin", "variant": "psnr", "dataset": "demo"}
    return Printed(**BLANK | told | {"metric": "psnr", "protocol": "bench", "value": value} | facts)


@pytest.fixture
def run(tmp_path, write_run):
    return results.load(write_run(tmp_path / "run"))


def test_numbers_of_the_same_protocol_and_data_are_subtracted(run):
    (mask_set, bucket), *_ = [(name, bucket) for model, name, bucket, _ in run.numbers if model == "deepgin"]
    measured = run.numbers["deepgin", mask_set, bucket, "psnr"].value
    (found,) = printed.compare(run, "deepgin", [line("20", masks=mask_set, bucket=bucket)])
    assert found.difference == pytest.approx(measured - 20)
    assert f"1 numbers; they agree within: psnr {abs(measured - 20):.4g}" in printed.text([found])


@pytest.mark.parametrize("other", [{"protocol": "rnon"}, {"dataset": "places2"}])
def test_other_protocols_and_data_are_not_held_against_each_other(run, other):
    with pytest.raises(BadInput, match=r"Numbers of other protocols or data are not held against each other"):
        printed.compare(run, "deepgin", [line("20", **other)])


def test_another_variant_of_a_metric_does_not_stand_in(run):
    with pytest.raises(BadInput, match="in no cell and metric that is printed: ssim-gauss"):
        printed.compare(run, "deepgin", [line("0.8", metric="ssim", variant="ssim-gauss")])


def test_a_model_that_the_run_lacks_is_named_with_those_it_has(run):
    with pytest.raises(BadInput, match=r"has no model pconv\. It has: telea, ns, deepgin"):
        printed.compare(run, "pconv", [line("20")])


def test_what_measures_the_printed_numbers_is_told_and_what_stands_in_the_way():
    told = "\n".join(printed.ways("pconv@places2", printed.lines_of("pconv")))
    assert "bench run --models pconv@places2 --protocol pconv@1 --dataset places2 --root DIR" in told
    assert "under mmagic: cannot be measured. The protocol mmagic@1 cannot be run" in told


def test_a_model_of_which_nothing_is_printed_says_so():
    with pytest.raises(Unavailable, match="Nothing that is printed of telea was made under a protocol"):
        printed.lines_of("telea")


def test_the_command_compares_a_run_or_says_what_makes_one(bench, run):
    status, out, _ = bench("models", "verify", "lama@big", "--published")
    assert status == 1
    assert "--protocol lama-places@1 --dataset places2" in out
    assert "missing: lama has no weights called big here" in out
    assert "type: bench models fetch lama@big" in out
    status, _, err = bench("models", "verify", "pconv", "--published", "--run", run.root)
    assert status == 2
    assert "has no model pconv@starter" in err
