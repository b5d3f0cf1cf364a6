"""`--set` on the way through a run: command line, run file, library, record, footer."""

import json

import pytest

from bench import load_model
from bench.errors import UnknownName

WALK = '''
"""Greys the hole, lighter with every step."""
from bench.types import ModelCard

CARD = ModelCard(title="Walk", kind="classical", settings={"steps": {"": 2}})

class Walk:
    imagewise = True

    def __init__(self, steps):
        self.steps = steps

    def predict(self, images, masks):
        return images * (1 - masks) + masks * self.steps / 10

def model(variant="", *, steps=2):
    return Walk(steps)
'''
SMALL = ["--dataset", "demo", "--limit", "1", "--masks", "centre", "--metrics", "psnr", "--keep-images", "0"]


@pytest.fixture
def walk(tmp_path):
    path = tmp_path / "walk.py"
    path.write_text(WALK)
    return path


def record(out):
    return json.loads((out / "run.json").read_text())


def test_a_setting_stands_in_the_record_and_below_every_table(bench, tmp_path, walk):
    status, _, _ = bench("run", "--models", walk, *SMALL, "--set", "walk.py.steps=7", "--out", tmp_path / "run")
    assert status == 0
    assert record(tmp_path / "run")["models"]["walk.py"]["settings"] == {"steps": 7}
    for form in ("markdown", "latex", "csv", "html"):
        assert "walk.py with steps=7." in bench("report", tmp_path / "run", "--format", form)[1].replace("\\_", "_")


def test_another_setting_measures_anew(bench, tmp_path, walk):
    digests = set()
    for steps in (3, 4):
        bench("run", "--models", walk, *SMALL, "--set", f"steps={steps}", "--out", tmp_path / "run")
        digests.add(record(tmp_path / "run")["models"]["walk.py"]["digest"])
    assert len(digests) == 2


def test_a_run_file_sets_too(bench, tmp_path, walk):
    (tmp_path / "my.toml").write_text(f'models = ["{walk}"]\nset = ["walk.py.steps=5"]\n')
    bench("run", "--spec", tmp_path / "my.toml", *SMALL, "--out", tmp_path / "run")
    assert record(tmp_path / "run")["models"]["walk.py"]["settings"] == {"steps": 5}


def test_an_unknown_setting_ends_with_2_and_the_nearest(bench, tmp_path, walk):
    status, _, err = bench("run", "--models", walk, *SMALL, "--set", "stpes=5", "--out", tmp_path / "run")
    assert status == 2
    assert "No setting 'stpes'. Did you mean: steps" in err


def test_the_library_sets_by_keyword(walk):
    assert load_model(str(walk), steps=9).model.steps == 9
    with pytest.raises(UnknownName, match="stpes"):
        load_model(str(walk), stpes=9)


def test_show_lists_settings_with_their_own_values(bench):
    out = bench("models", "show", "dgm")[1]
    assert "steps, by itself :paper 1500, :code 3000, :bamos 1000, :quick 60; bench run --set dgm.steps=VALUE" in out
