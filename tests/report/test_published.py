"""Printed numbers are data with source, place and protocol; nothing is counted twice."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from bench.errors import BadInput, UnknownName
from bench.paths import shipped
from bench.report import published
from bench.report.published import Printed

NAMES = sorted(path.stem for path in (shipped("reports") / "published").glob("*.csv"))
COUNTS = {
    ("dualpath", "1"): 10,
    ("survey", "1"): 50,
    ("survey", "2"): 20,
    ("survey", "3"): 26,
    ("rnon", "1"): 15,
    ("rnon", "2"): 12,
    ("rnon", "3"): 2 * 4 * 4 * 2,
    ("cfs", "1"): 4 * 2 * 5,
    ("cfs", "text"): 1,
    ("rnon", "text"): 5,
    ("deepgin", "1"): 7 * 6,
    ("deepgin", "2"): 4 * 6 * 5,
    ("deepgin", "text"): 7,
    ("edgeconnect", "1"): 4 * 4 * 4 - 4,
    ("pconv", "1"): 6 * 2 * 2,
    ("mmagic", "README"): 8 * 3,
    ("mmagic", "AOT-GAN"): 6 * 3,
    ("mmagic", "issue 450"): 2,
    ("aotgan", "Places2"): 6 * 3,
    ("mat", "README"): 4 * 2 * 3,
    ("lama", "1"): 5 * 2 + 4 * 2,
    ("gmcnn", "paper"): 4 * 2 + 4 * 2 + 2 * 2,
    ("gmcnn", "issue 60"): 2,
    ("ce", "paper"): 3,
    ("deepfillv1", "paper"): 4,
    ("deepfillv2", "paper"): 5 * 2 * 2,
    ("picnet", "paper"): 4 + 2 + 2,
    ("dgm", "paper"): 3 * 4 * 2,
    ("hr", "1"): 3 * 3,
    ("hrii", "site"): 7 * 3,
    ("hed", "README"): 2,
}
"""(File, table) -> numbers and phrases that the source prints."""


SUMS = {
    ("dualpath", "1"): 107.922,
    ("rnon", "2"): 6049,
    ("rnon", "3"): 722.7838,
    ("cfs", "1"): 474.4935,
    ("deepgin", "1"): 262_000_373.848,
    ("deepgin", "2"): 2349.05,
    ("survey", "3"): 15_538_111,
}
"""(File, table) of the five papers -> sum of the numbers, stored after all were read against the papers' lines."""


@pytest.mark.parametrize("table", SUMS, ids=" ".join)
def test_the_numbers_of_a_table_give_its_sum(table):
    name, number = table
    numbers = [line.number for line in published.read(name) if line.table == number]
    assert math.fsum(value for value in numbers if not math.isnan(value)) == pytest.approx(SUMS[table], abs=1e-6)


def printed(table, metric, **select):
    (hit,) = [
        line
        for line in published.table(table)
        if line.metric == metric and all(getattr(line, key) == value for key, value in select.items())
    ]
    return hit.number


def test_deepgins_claims_in_words_are_differences_of_its_table():
    gains = [printed("deepgin/1", "psnr", model=f"deepgin{name}") for name in (":std-sa", ":std-mssa", ":spd-mssa", "")]
    claims = [line.number for line in published.table("deepgin/text")][:3]
    assert [gains[1] - gains[0], gains[2] - gains[1], gains[3] - gains[2]] == pytest.approx(claims, abs=1e-9)


def test_rnons_claim_of_ssim_is_not_that_of_its_table():
    gap = [printed("rnon/3", "ssim", model=name, dataset="places2", bucket="1-25") for name in ("pconv", "rnon")]
    assert gap[0] - gap[1] == pytest.approx(0.0037)
    assert [line.number for line in published.table("rnon/text") if line.metric.startswith("ssim")] == [0.03]


def test_every_number_of_every_table_is_there():
    found = Counter((name, line.table) for name in NAMES for line in published.read(name))
    assert found == COUNTS


@pytest.mark.parametrize("name", NAMES)
def test_every_line_names_paper_place_and_a_known_status(name):
    for line in published.read(name):
        assert line.paper
        assert line.place
        assert line.value
        assert line.status in ("read", "quoted", "condensed", "recalled")
        assert line.mark in ("", "bold")


@pytest.mark.parametrize("name", NAMES)
def test_no_number_is_there_twice(name):
    keys = [
        (
            line.table,
            line.model,
            line.dataset,
            line.masks,
            line.bucket,
            line.metric,
            line.field,
            line.protocol,
            line.place,
        )
        for line in published.read(name)
    ]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", NAMES)
def test_every_line_but_a_phrase_is_a_number(name):
    words = [line.value for line in published.read(name) if math.isnan(line.number) and not line.field]
    assert words in ([], ["inf"])


def line(**facts) -> Printed:
    blank = dict.fromkeys(Printed.__dataclass_fields__, "")
    return Printed(**blank | {"metric": "psnr", "value": "1"} | facts)


@pytest.mark.parametrize(
    ("text", "number"), [("0.7695", 0.7695), ("8.168M", 8.168e6), ("9.37 %", 9.37), (".0289", 0.0289), ("-3", -3)]
)
def test_printed_numbers_are_read_with_their_unit(text, number):
    assert line(value=text).number == pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize("text", ["inf", ">60000", "L1 vs. TV", "64\N{MULTIPLICATION SIGN}64", ""])
def test_phrases_are_no_numbers(text):
    assert math.isnan(line(value=text).number)


def test_what_all_lines_share_need_not_be_picked():
    lines = (line(model="ce", dataset="places2"), line(model="gmcnn", dataset="places2"))
    assert published.find(lines, {"model": "ce", "dataset": "demo"}) is lines[0]


def test_what_tells_lines_apart_must_fit():
    lines = (line(model="ce"), line(model="gmcnn"))
    assert published.find(lines, {"model": "lama"}) is None


def test_a_pick_that_fits_several_lines_is_refused():
    lines = (line(model="ce", bucket="0-10"), line(model="ce", bucket="10-20"), line(model="lama"))
    with pytest.raises(BadInput, match="2 printed numbers fit model ce"):
        published.find(lines, {"model": "ce"})


def test_unknown_published_data_is_named():
    with pytest.raises(UnknownName, match="No published data 'rnn'"):
        published.read("rnn")


def test_the_pconv_halves_average_to_what_later_papers_quote():
    own = {(entry.bucket, entry.metric): entry.number for entry in published.read("pconv")}
    quoted = {
        entry.bucket: entry.number
        for entry in published.read("edgeconnect")
        if entry.model == "pconv" and entry.metric == "psnr"
    }
    for bucket, number in quoted.items():
        halves = own[f"{bucket}-border", "psnr"] + own[f"{bucket}+border", "psnr"]
        assert halves / 2 == pytest.approx(number, abs=0.006)


def test_a_table_that_nobody_printed_is_named_with_those_that_are():
    with pytest.raises(UnknownName, match=r"No printed table 'rnon/9'.*rnon/1"):
        published.table("rnon/9")
