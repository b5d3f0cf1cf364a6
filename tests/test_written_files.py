"""Every kind of file that people write: however it is damaged or mistaken, it is refused in a sentence."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import documents, downloads
from bench.datasets.registry import DatasetEntry
from bench.errors import BenchError
from bench.masks import coco, manifests
from bench.models import weights
from bench.protocols import registry as protocol_registry
from bench.report import layout, published
from bench.report.analysis import regression
from bench.run import export, spec

HOUSE = Path(__file__).parent.parent
RUN = (HOUSE / "docs/run.md").read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
EXPORT = json.dumps(
    {
        "spec": {"dataset": "demo", "masks": ["freeform"], "buckets": "deciles", "protocol": "bench@1", "limit": 2},
        "settings": {"cells": ["freeform-256/0-10"]},
        "images": {"a": "0123"},
        "missing": "0 in masked",
    },
    indent=1,
)
COCO = json.dumps(
    {
        "images": [{"id": 7, "height": 16, "width": 20}],
        "annotations": [
            {"id": 1, "image_id": 7, "segmentation": [[4, 2, 12, 2, 12, 10, 4, 10]]},
            {"id": 2, "image_id": 7, "segmentation": {"counts": [0, 160, 160], "size": [16, 20]}},
            {"id": 3, "image_id": 7, "segmentation": {"counts": "0P5P5", "size": [16, 20]}},
        ],
    }
)
RECORD = json.dumps({"sha256": "0" * 64, "kind": "trained", "settings": {"width": 8}}, indent=1)


def shipped(path):
    return (HOUSE / path).read_text(encoding="utf-8")


GATE = json.loads(shipped("reports/regression/demo.json"))
GATE["values"] = GATE["values"][:3]
KINDS = {
    "run.toml": (RUN, spec.from_file),
    "mine@1.toml": (shipped("bench/protocols/bench@1.toml"), protocol_registry.read),
    "layout.toml": (shipped("reports/layouts/rnon-table3.toml"), lambda path: layout.load(str(path))),
    "entry.toml": (
        shipped("bench/datasets/entries/places2.toml"),
        lambda path: documents.from_toml(path, "the entry").into(DatasetEntry, name="x"),
    ),
    "weights.toml": (shipped("baselines/weights/lama/big.toml"), lambda path: downloads.read(path, "x")),
    "printed.csv": (shipped("reports/published/rnon.csv"), published.read_file),
    "manifest.json": (shipped("masksets/lama-thin-256/manifest.json"), manifests.read),
    "gate.json": (json.dumps(GATE, indent=1), regression.read),
    "export.json": (EXPORT, export.manifest),
    "record.json": (RECORD, weights.record),
    "coco.json": (COCO, lambda path: list(coco.objects(path))),
}
JUNK = [
    *("", "\x00", "\ufeff", "\ud7ff", '"', "'''", "[", "]]", "{", "}", "=", ",", ".", "\n"),
    *("-1", "1e999", "true", "9" * 30),
]


@st.composite
def damaged(draw, text):
    """A text of which some pieces were cut out and replaced."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.sampled_from([0, 1, 2, 10, 100_000])))
        text = text[:start] + draw(st.sampled_from(JUNK) | st.text(max_size=5)) + text[stop:]
    return text.encode("utf-8", errors="surrogatepass")


@pytest.mark.parametrize("name", KINDS)
def test_the_undamaged_file_is_taken_with_and_without_a_byte_order_mark(tmp_path, name):
    text, read = KINDS[name]
    for start in ("", "\ufeff"):
        (tmp_path / name).write_text(start + text, encoding="utf-8")
        assert read(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_damage_is_met_by_a_sentence(tmp_path_factory, name):
    text, read = KINDS[name]
    path = tmp_path_factory.mktemp("damaged") / name

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(content=damaged(text))
    def check(content):
        path.write_bytes(content)
        with contextlib.suppress(BenchError):
            read(path)

    check()


VALUES = [None, True, -1, 0, 2.5, 10**30, "", "x", "a, b", [], ["x"], [[]], [{}], {}, {"x": 1}, {"x": {"y": [1]}}]


def replaced(value, draw):
    """The same data with one value, somewhere, replaced by another."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 4)):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = draw(st.sampled_from(list(keys)))
        copy = value.copy()
        copy[key] = replaced(value[key], draw)
        return copy
    return draw(st.sampled_from(VALUES))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in KINDS if name.endswith(".json")])
def test_a_value_of_another_type_is_met_by_a_sentence(tmp_path_factory, name):
    text, read = KINDS[name]
    path = tmp_path_factory.mktemp("changed") / name

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data):
        path.write_text(json.dumps(replaced(json.loads(text), data.draw)), encoding="utf-8")
        with contextlib.suppress(BenchError):
            read(path)

    check()
