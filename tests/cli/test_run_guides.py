"""`--guides` on the way through a run: the model's argument, the record, the footer, and what is refused before."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from bench import digest, load_model
from bench.datasets import registry as dataset_registry
from bench.errors import BadInput

SKETCH = '''
"""Paints the hole in the levels of its guide, grey without one."""
from bench.types import ModelCard

CARD = ModelCard(title="Sketch", kind="classical", guide="edges")

class Sketch:
    def predict(self, images, masks, guides=None):
        return images * (1 - masks) + masks * (0.5 if guides is None else guides / 255)

def model(variant=""):
    return Sketch()
'''
SMALL = ["--dataset", "demo", "--limit", "2", "--masks", "centre", "--metrics", "psnr", "--keep-images", "0"]


@pytest.fixture
def sketch(tmp_path):
    path = tmp_path / "sketch.py"
    path.write_text(SKETCH)
    return path


@pytest.fixture
def folder(tmp_path):
    """White guides for the two photographs of a small run."""
    ids = digest.subset(dataset_registry.open_dataset("demo").ids, 2)
    for image_id in ids:
        (tmp_path / "guides" / image_id).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((256, 256), 255, np.uint8)).save(tmp_path / "guides" / f"{image_id}.png")
    return tmp_path / "guides"


def outputs(root):
    return pd.read_parquet(root / "results.parquet")["output_digest"].tolist()


def test_a_guide_reaches_the_model_and_stands_in_the_record_and_below_the_table(bench, tmp_path, sketch, folder):
    runs = {"with": ["--guides", folder], "without": []}
    for name, words in runs.items():
        status, _, err = bench("run", "--models", f"{sketch},mean", *SMALL, *words, "--out", tmp_path / name)
        assert status == 0, err
    record = json.loads((tmp_path / "with" / "run.json").read_text())["models"]
    assert record["sketch.py"]["guides"].startswith("edges ")
    assert record["mean"]["guides"] == ""
    assert "sketch.py was given edges by the user: guides " in bench("report", tmp_path / "with")[1]
    different = [one != other for one, other in zip(*(outputs(tmp_path / name) for name in runs), strict=True)]
    assert different == [True, True, False, False]


def test_guides_from_the_truth_are_its_edges_and_every_format_says_so(bench, tmp_path, sketch):
    status, _, err = bench(
        "run", "--models", f"{sketch},mean", *SMALL, "--guides", "from-truth", "--out", tmp_path / "run"
    )
    assert status == 0, err
    assert (
        json.loads((tmp_path / "run" / "run.json").read_text())["models"]["sketch.py"]["guides"] == "edges from-truth"
    )
    for form in ("terminal", "markdown", "latex", "csv", "html", "json"):
        told = " ".join(bench("report", tmp_path / "run", "--format", form)[1].split())
        assert "sketch.py was given the edges of the truth" in told, form
        assert "mean was given" not in told
    typeset = [
        line for line in bench("report", tmp_path / "run", "--format", "latex")[1].splitlines() if line[:1] != "%"
    ]
    assert "was given the edges of the truth" in "".join(typeset)
    assert (
        "was given the edges of the truth"
        in bench("compare", f"{tmp_path / 'run'}:sketch.py", f"{tmp_path / 'run'}:mean")[1]
    )


def test_a_model_that_was_told_the_edges_of_the_truth_is_another_model(bench, tmp_path, sketch):
    digests = []
    for name, words in {"told": ["--guides", "from-truth"], "blind": []}.items():
        assert bench("run", "--models", sketch, *SMALL, *words, "--out", tmp_path / name)[0] == 0
        digests.append(json.loads((tmp_path / name / "run.json").read_text())["models"]["sketch.py"]["digest"])
    assert digests[0] != digests[1]
    assert outputs(tmp_path / "told") != outputs(tmp_path / "blind")


def test_what_no_rule_sees_in_a_photograph_is_not_taken_from_it(bench, tmp_path):
    words = ["--models", "neo@untrained", *SMALL, "--guides", "from-truth", "--out", tmp_path / "run"]
    status, _, err = bench("run", *words)
    assert status == 2
    assert "edges are drawn from a photograph, landmarks are not" in err


def test_no_batch_and_no_process_changes_a_guided_number(bench, tmp_path, sketch, folder):
    for size, workers in ((1, 0), (2, 1)):
        words = ["--guides", folder, "--batch-size", size, "--workers", workers, "--out", tmp_path / str(size)]
        bench("run", "--models", sketch, *SMALL, *words)
    assert outputs(tmp_path / "1") == outputs(tmp_path / "2")


def test_a_missing_guide_ends_with_2_before_the_run_begins(bench, tmp_path, sketch, folder):
    next(folder.rglob("*.png")).unlink()
    status, _, err = bench("run", "--models", sketch, *SMALL, "--guides", folder, "--out", tmp_path / "run")
    assert status == 2
    assert "1 of 2 cannot be used" in err
    assert not (tmp_path / "run").exists()


def guides_of(folder):
    return sorted(folder.rglob("*.png"))


def repaint(file):
    Image.fromarray(np.full((256, 256), 7, np.uint8)).save(file)


def test_guides_changed_between_two_starts_are_named(bench, tmp_path, sketch, folder):
    words = ["run", "--models", sketch, *SMALL, "--guides", folder, "--out", tmp_path / "run"]
    assert bench(*words)[0] == 0
    assert bench(*words)[0] == 0
    changed = guides_of(folder)[1]
    repaint(changed)
    status, _, err = bench(*words)
    assert status == 2
    name = changed.relative_to(folder).with_suffix("")
    assert f"was begun with other guides of {name}. Put the old files back, or give --out another folder." in err


SPOILER = SKETCH.replace(
    "    def predict(self, images, masks, guides=None):",
    """    def predict(self, images, masks, guides=None):
        import os, pathlib
        for file in pathlib.Path(os.environ["SPOILED"]).rglob("*.png"):
            file.unlink()""",
)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_guides_lost_while_a_run_is_under_way_end_it_by_name(bench, tmp_path, folder, monkeypatch, workers):
    monkeypatch.setenv("SPOILED", str(folder))
    model = tmp_path / "spoiler.py"
    model.write_text(SPOILER)
    words = ["run", "--models", model, *SMALL, "--guides", folder, "--shard-size", 1, "--workers", workers]
    second = digest.subset(dataset_registry.open_dataset("demo").ids, 2)[1]
    status, _, err = bench(*words, "--out", tmp_path / "run")
    assert status == 2
    assert f"{second}.png is missing while the run was under way" in err


def test_the_library_gives_guides_and_refuses_them_where_none_are_taken(sketch):
    images, masks = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    guides = torch.full((1, 1, 8, 8), 255.0)
    assert load_model(str(sketch)).predict(images, masks, guides=guides).min() == 1
    with pytest.raises(BadInput, match="takes no guides"):
        load_model("mean").predict(images, masks, guides=guides)
