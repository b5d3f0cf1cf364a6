"""Buckets: edges, published lists, lists by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BadInput
from bench.masks import ratio

LISTS = ("deciles", "rnon", "cfs", "liu", "none")


def test_a_bucket_holds_its_upper_edge_and_not_its_lower():
    ten_to_twenty = ratio.buckets("10-20")
    assert ratio.bucket_of(10, 100, ten_to_twenty) is None
    assert ratio.bucket_of(11, 100, ten_to_twenty) == ten_to_twenty[0]
    assert ratio.bucket_of(20, 100, ten_to_twenty) == ten_to_twenty[0]
    assert ratio.bucket_of(21, 100, ten_to_twenty) is None


@pytest.mark.parametrize("edge", range(10, 70, 10))
def test_one_pixel_over_an_edge_at_256_changes_the_bucket(edge):
    total = 256 * 256
    below = edge * total // 100
    deciles = ratio.buckets("deciles")
    low, high = (ratio.bucket_of(count, total, deciles) for count in (below, below + 1))
    assert low.label == f"{edge - 10}-{edge}"
    assert (high.label if high else None) == (f"{edge}-{edge + 10}" if edge < 60 else None)


def test_a_tenth_is_decided_exactly_where_a_float_mean_would_not():
    total = 10 * 3**9
    assert ratio.bucket_of(3**9, total, ratio.buckets("deciles")).label == "0-10"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("deciles", ["0-10", "10-20", "20-30", "30-40", "40-50", "50-60"]),
        ("rnon", ["1-25", "25-40", "40-50", "50-60"]),
        ("cfs", ["10-20", "20-30", "30-40", "40-60"]),
        ("none", ["0-100"]),
        ("10-20, 25-30+border", ["10-20", "25-30+border"]),
        ("2.5-5", ["2.5-5"]),
    ],
)
def test_a_list_reads_as_its_labels(name, labels):
    assert [bucket.label for bucket in ratio.buckets(name)] == labels


def test_liu_has_six_classes_with_and_without_border():
    labels = [bucket.label for bucket in ratio.buckets("liu")]
    assert labels[0] == "1-10+border"
    assert labels[6] == "1-10-border"
    assert len(labels) == 12


def test_border_decides_between_buckets_of_one_range():
    liu = ratio.buckets("liu")
    assert ratio.bucket_of(15, 100, liu, border=True).label == "10-20+border"
    assert ratio.bucket_of(15, 100, liu, border=False).label == "10-20-border"


@pytest.mark.parametrize(
    "text", ["", "10", "20-10", "10-10", "0-101", "a-b", "10-20,,30-40", "10-20+rim", "-5-10", "0.2-0.3"]
)
def test_what_is_no_bucket_is_refused_in_a_sentence(text):
    with pytest.raises(BadInput, match=r"bucket|Bucket"):
        ratio.buckets(text)


@pytest.mark.parametrize("text", ["10-20,15-25", "10-20,10-20", "10-20,12-13+border"])
def test_overlapping_buckets_are_refused(text):
    with pytest.raises(BadInput, match="overlap"):
        ratio.buckets(text)


@given(st.sampled_from(LISTS), st.integers(1, 4096), st.integers(1, 4096), st.booleans())
def test_at_most_one_bucket_of_a_list_holds_a_mask(name, missing, total, border):
    among = ratio.buckets(name)
    chosen = ratio.bucket_of(missing, total, among, border)
    holding = [b for b in among if b.lo < Fraction(missing, total) <= b.hi and b.border in (None, border)]
    assert holding == ([chosen] if chosen else [])


@given(st.integers(1, 65536))
def test_strata_part_every_ratio_up_to_sixty_per_cent(missing):
    found = ratio.bucket_of(missing, 65536, ratio.STRATA)
    assert (found is None) == (missing * 5 > 65536 * 3)


def test_strata_are_named_by_their_ends():
    assert [ratio.stratum_name(bucket) for bucket in ratio.STRATA][::11] == ["00-05", "55-60"]


def test_shares_of_one_are_told_to_be_per_cent():
    with pytest.raises(BadInput, match=r"per cent.* Write 20-30\."):
        ratio.buckets("0.2-0.3")
