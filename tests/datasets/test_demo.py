"""The shipped photographs are what their list of crops says, and travel light."""

import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.datasets import demo
from bench.datasets import registry as dataset_registry

CROPS = tomllib.loads((demo.FOLDER / "crops.toml").read_text())


def test_there_are_at_least_24_and_each_has_its_crop():
    listed = sorted(name for source in CROPS.values() for name in source["crops"])
    assert list(dataset_registry.open_dataset("demo").ids) == listed
    assert len(listed) >= 24


def test_they_are_distinct_colour_photographs_of_256_pixels():
    dataset = dataset_registry.open_dataset("demo")
    arrays = [np.asarray(dataset.read(image_id)) for image_id in dataset.ids]
    assert {array.shape for array in arrays} == {(256, 256, 3)}
    assert len({array.tobytes() for array in arrays}) == len(arrays)
    assert min(np.ptp(array, axis=2).mean() for array in arrays) > 4  # none is grey


def test_they_stay_below_three_mebibytes():
    assert sum(path.stat().st_size for path in demo.FOLDER.iterdir()) < 3 * 2**20


def test_every_source_has_a_licence():
    licences = (demo.FOLDER / "LICENCES.md").read_text()
    assert not [name for name in CROPS if f"`{name}-*`" not in licences]


def test_cutting_again_gives_the_same_pixels():
    """From the packages that are installed here with the very files; the others are left out."""
    place = Path(find_spec("skimage").origin).parent.parent
    sources = [source for source in CROPS.values() if (place / source["file"]).exists()]
    if not sources:
        pytest.skip("no source photograph is installed")
    for name, pixels in demo.cut(place):
        assert np.array_equal(pixels, np.asarray(Image.open(demo.FOLDER / f"{name}.png"))), name
