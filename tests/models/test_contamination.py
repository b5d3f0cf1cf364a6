import numpy as np
from PIL import Image

from bench.models import contamination


def photograph(value):
    return Image.fromarray(np.full((3, 5, 3), value, np.uint8))


def test_the_list_of_photographs_is_read_back(tmp_path):
    contamination.save(tmp_path / "some.safetensors", ["b" * 16, "a" * 16, "a" * 16])
    assert contamination.load(tmp_path / "some.safetensors") == {"a" * 16, "b" * 16}


def test_weights_without_a_list_have_seen_nothing_that_is_known(tmp_path):
    assert contamination.load(tmp_path / "other.safetensors") == frozenset()


def test_a_photograph_is_known_by_its_pixels():
    assert contamination.fingerprint(photograph(7)) == contamination.fingerprint(photograph(7).copy())
    assert contamination.fingerprint(photograph(7)) != contamination.fingerprint(photograph(8))
