"""What starters should reach in a run of all models, and who falls short."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import plugins

FAMILIES = ("rectangular-256", "freeform-256")


@pytest.fixture(scope="module")
def page():
    return plugins.load(Path(__file__).parent.parent / "docs" / "results.py", "bench_results_page_of_tests")


@pytest.fixture
def run():
    """Lead over the mean colour -> a run of one such starter each beside it and Telea at 20 dB everywhere."""

    def make(*leads):
        psnr = {"mean": 18.0, "telea": 20.0} | {f"m{lead}@starter": 18.0 + lead for lead in leads}
        models = {name: SimpleNamespace(kind="learned" if "@" in name else "classical", reason="") for name in psnr}
        numbers = {
            (name, masks, bucket, metric): SimpleNamespace(value=value if metric == "psnr" else value / 100)
            for name, value in psnr.items()
            for masks in FAMILIES
            for bucket in ("20-30", "30-40", "40-50", "50-60")
            for metric in ("psnr", "ssim-wang")
        }
        record = SimpleNamespace(models=models)
        return SimpleNamespace(record=record, families=FAMILIES, numbers=numbers)

    return make


def test_those_who_fall_short_are_named_with_their_figures(page, run):
    rows = list(page.floors(run(0.5, 1.25, 2.5)))[2:]
    assert rows == [
        "| 1.0 dB above the mean colour, worst cell | 3 | 2 | m0.5@starter +0.50 |",
        "| 1.5 dB above the mean colour, worst cell | 2 | 1 | m0.5@starter +0.50, m1.25@starter +1.25 |",
        "| psnr above the best classical at 50-60 % | 6 | 1 | m1.25@starter -0.75, m0.5@starter -1.5 |",
        "| ssim-wang above the best classical at 50-60 % | 2 | 1 | m1.25@starter -0.0075, m0.5@starter -0.015 |",
    ]


def test_the_worst_cell_decides(page, run):
    found = run(1.25)
    found.numbers["m1.25@starter", "freeform-256", "30-40", "psnr"].value = 18.75
    assert "m1.25@starter +0.75" in list(page.floors(found))[2]
