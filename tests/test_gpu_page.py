"""The page of `make gpu` tells what was measured and what failed."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", Path(__file__).parent.parent / "perf" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def results(**sections):
    return {"device": "NVIDIA H100", "torch": "2.11.0", "cuda": "13.0", "sections": sections}


def test_what_a_section_found_is_a_table_and_its_faults_a_list(gpu):
    rows = [
        {"model": "ce", "parameters": 3, "1": {"images_s": 1234.5, "memory_mib": 9}},
        {"model": "mat", "fault": "RuntimeError: no kernel"},
    ]
    text = gpu.page(results(speed={"status": 0, "seconds": 1, "output": [], "found": rows}))
    assert "| ce | 3 | 1234 | 9 |" in text
    assert "- mat: RuntimeError: no kernel" in text


def test_a_section_that_was_ended_says_so(gpu):
    text = gpu.page(results(training={"status": 124, "seconds": 45.0, "output": [], "found": []}))
    assert "ended after 45.0 s" in text


def test_tests_are_counted_and_only_those_that_measured_stand_in_the_table(gpu):
    rows = [
        {"test": "test_a", "outcome": "passed", "seconds": 1.0},
        {"test": "test_b[ce]", "outcome": "passed", "seconds": 1.0, "largest": 0.001, "mean": 1e-06},
        {"test": "test_c", "outcome": "skipped", "seconds": 0.0, "reason": "no file"},
    ]
    text = gpu.page(results(checks={"status": 0, "seconds": 1, "output": [], "found": rows}))
    assert "2 passed, 1 skipped." in text
    assert "| test_b[ce] | 0.001 | 1e-06 | 1 |" in text
    assert "test_a" not in text
