"""A model on pictures that it was not made for runs, and stands below the table as outside its domain."""

import pytest

FACES = '''
"""Greys the hole."""
from bench.types import ModelCard

CARD = ModelCard(title="Face", kind="classical", domain="faces")

class Face:
    imagewise = True

    def predict(self, images, masks):
        return images * (1 - masks) + masks / 2

def model(variant=""):
    return Face()
'''
SMALL = ["--limit", "1", "--masks", "centre", "--metrics", "psnr", "--keep-images", "0"]
OUTSIDE = "face.py is outside its domain: made for faces; these images: "


@pytest.fixture
def footer(bench, tmp_path):
    """Run the face model with these words; the report in a format."""

    def report(*words, form="markdown"):
        model = tmp_path / "face.py"
        model.write_text(FACES)
        status, _, err = bench("run", "--models", model, *SMALL, *words, "--out", tmp_path / "run")
        assert status == 0, err
        return bench("report", tmp_path / "run", "--format", form)[1]

    return report


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex", "html", "csv", "json"])
def test_every_format_says_that_a_model_is_outside_its_domain(footer, form):
    assert f"{OUTSIDE}mixed." in footer(form=form)


def test_a_model_that_could_not_run_is_not_said_to_be_outside(bench, tmp_path):
    bench("run", "--models", "spgnet@trained,mean", *SMALL, "--out", tmp_path / "run")
    assert "outside its domain" not in bench("report", tmp_path / "run")[1]


def test_within_its_domain_or_where_nobody_knows_nothing_is_said(footer, photographs):
    assert OUTSIDE not in footer("--dataset", "folder", "--root", photographs)
    assert OUTSIDE not in footer("--dataset", "folder", "--root", photographs, "--domain", "faces")
    assert f"{OUTSIDE}textures." in footer("--dataset", "folder", "--root", photographs, "--domain", "textures")


@pytest.fixture
def photographs(tmp_path):
    from bench.datasets import demo

    (tmp_path / "photographs").mkdir()
    first = min(demo.FOLDER.glob("*.*g"))
    (tmp_path / "photographs" / first.name).write_bytes(first.read_bytes())
    return tmp_path / "photographs"
