"""Buckets of the mask ratio: the papers' lists, any list by hand, and the one function that decides."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from fractions import Fraction

from bench.errors import BadInput
from bench.types import Bucket

PUBLISHED = {
    "deciles": "0-10,10-20,20-30,30-40,40-50,50-60",
    "rnon": "1-25,25-40,40-50,50-60",
    "cfs": "10-20,20-30,30-40,40-60",
    "liu": ",".join(
        f"{range_}{border}"
        for border in ("+border", "-border")
        for range_ in ("1-10", "10-20", "20-30", "30-40", "40-50", "50-60")
    ),
    "none": "0-100",
}
"""Lists that papers use, by name. `cfs` prints its last column as >= 40 %; its masks (NVIDIA's) end at 60 %."""

STRATA = tuple(Bucket(Fraction(k, 20), Fraction(k + 1, 20)) for k in range(12))
"""The twelve ranges, 5 points wide, into which frozen sets are cut; `(0, 5 %]` to `(55 %, 60 %]`."""

_RANGE = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)([+-]border)?")
_BORDER = {None: None, "+border": True, "-border": False}


def buckets(text: str) -> tuple[Bucket, ...]:
    """Read a list of buckets: a name in `PUBLISHED`, or ranges in per cent such as `10-20,20-30` or `10-20+border`.

    Raises `BadInput` for anything that is no range, leaves 0..100, or overlaps another range of the list.
    """
    found = tuple(_bucket(part.strip()) for part in PUBLISHED.get(text, text).split(","))
    for one, other in itertools.combinations(found, 2):
        if overlap(one, other):
            raise BadInput(f"Buckets {one.label} and {other.label} overlap: a mask must fall into one bucket only.")
    return found


def bucket_of(missing: int, total: int, among: Iterable[Bucket], border: bool | None = None) -> Bucket | None:
    """The bucket of a mask with `missing` of `total` pixels, or None. The only place where this is decided.

    Ranges are `(lo, hi]` in exact arithmetic. `border` says whether the hole touches the frame; it must be given where
    a bucket asks for it.
    """
    for bucket in among:
        assert bucket.border is None or border is not None, (
            f"{bucket.label} needs to know whether the hole has a border"
        )
        if bucket.holds(missing, total) and bucket.border in (None, border):
            return bucket
    return None


def stratum_name(bucket: Bucket) -> str:
    """How a stratum's file is called: `05-10`."""
    return f"{int(bucket.lo * 100):02d}-{int(bucket.hi * 100):02d}"


def _bucket(text: str) -> Bucket:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise BadInput(
            f"'{text}' is no bucket. Give a list such as 10-20,20-30 (per cent, 10-20+border and 10-20-border for masks"
            f" that do or do not touch the frame) or one of: {', '.join(PUBLISHED)}."
        )
    lo, hi = Fraction(match[1]) / 100, Fraction(match[2]) / 100
    if not lo < hi <= 1:
        raise BadInput(f"Bucket '{text}' is empty or leaves 0-100: give the lower end first, in per cent.")
    if hi * 100 <= 1 and "." in text:
        meant = "-".join(f"{float(end * 100) * 100:g}" for end in (lo, hi))
        raise BadInput(
            f"Bucket '{text}': ranges are in per cent, so that this one ends at {match[2]} %. Write {meant}."
        )
    return Bucket(lo, hi, _BORDER[match[3]])


def overlap(one: Bucket, other: Bucket) -> bool:
    """Whether a mask may lie in both buckets."""
    apart = {one.border, other.border} == {True, False}
    return not apart and max(one.lo, other.lo) < min(one.hi, other.hi)
