import numpy as np
import pytest
from PIL import Image

from bench.errors import BadInput
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


@pytest.mark.parametrize("place", range(0, 99, 7))
def test_a_changed_list_is_refused(tmp_path, place):
    contamination.save(tmp_path / "some.safetensors", ["a" * 16, "b" * 16])
    path = tmp_path / "some.fingerprints"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match="is damaged: it does not have its digest"):
        contamination.load(tmp_path / "some.safetensors")


def test_a_list_that_was_cut_off_is_refused(tmp_path):
    contamination.save(tmp_path / "some.safetensors", ["a" * 16, "b" * 16])
    path = tmp_path / "some.fingerprints"
    path.write_bytes(path.read_bytes()[:-17])
    with pytest.raises(BadInput, match="damaged"):
        contamination.load(tmp_path / "some.safetensors")
