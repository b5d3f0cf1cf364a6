import numpy as np
import pytest

from bench import downloads
from bench.metrics import registry as metric_registry
from bench.metrics.features import truth

DIGESTS = ["aa", "bb", "cc"]
NETWORK = {"extractor": "toy", "weights": ["1"]}


@pytest.fixture
def cache(tmp_path):
    return truth.VectorCache(tmp_path)


class Counting:
    """Computes vectors and counts how often it had to."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return np.full((3, 4), self.calls, np.float32)


def test_vectors_are_computed_once(cache):
    compute = Counting()
    first = cache.vectors(NETWORK, DIGESTS, compute)
    assert np.array_equal(cache.vectors(NETWORK, DIGESTS, compute), first)
    assert compute.calls == 1


@pytest.mark.parametrize("digests", [["aa", "bb", "dd"], ["bb", "aa", "cc"], ["aa", "bbcc", ""]])
def test_other_images_have_other_vectors(cache, digests):
    compute = Counting()
    cache.vectors(NETWORK, DIGESTS, compute)
    cache.vectors(NETWORK, digests, compute)
    assert compute.calls == 2


def test_other_weights_have_other_vectors(cache):
    compute = Counting()
    cache.vectors(NETWORK, DIGESTS, compute)
    cache.vectors(NETWORK | {"weights": ["2"]}, DIGESTS, compute)
    assert compute.calls == 2


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00half", b"[1, 2]"])
def test_a_damaged_file_is_named_set_aside_and_computed_again(cache, content, capsys):
    compute = Counting()
    cache.vectors(NETWORK, DIGESTS, compute)
    (path,) = cache.folder.rglob("*.safetensors")
    path.write_bytes(content)
    found = cache.vectors(NETWORK, DIGESTS, compute)
    assert f"{path} is damaged" in capsys.readouterr().err
    assert path.with_name(f"{path.name}.damaged").read_bytes() == content
    assert np.array_equal(cache.vectors(NETWORK, DIGESTS, compute), found)
    assert compute.calls == 2


def test_one_bit_anywhere_is_seen_or_changes_nothing(cache):
    first = cache.vectors(NETWORK, DIGESTS, Counting())
    (path,) = cache.folder.rglob("*.safetensors")
    whole, anew = path.read_bytes(), np.full((3, 4), 9, np.float32)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        found = cache.vectors(NETWORK, DIGESTS, lambda: anew)
        assert np.array_equal(found, anew) or (np.array_equal(found, first) and place < len(whole) - first.nbytes)


def test_vectors_of_other_images_under_the_name_are_not_taken(cache):
    compute = Counting()
    cache.vectors(NETWORK, DIGESTS, compute)
    (ours,) = cache.folder.rglob("*.safetensors")
    cache.vectors(NETWORK, ["dd", "ee", "ff"], compute)
    (theirs,) = set(cache.folder.rglob("*.safetensors")) - {ours}
    ours.write_bytes(theirs.read_bytes())
    cache.vectors(NETWORK, DIGESTS, compute)
    assert compute.calls == 3


def test_a_failure_leaves_nothing_behind(cache):
    def compute():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.vectors(NETWORK, DIGESTS, compute)
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []


def test_the_key_holds_the_digest_of_the_weights(monkeypatch):
    shas = iter(["1", "1", "2"])
    monkeypatch.setattr(downloads, "sha256", lambda _: next(shas))
    monkeypatch.setattr(metric_registry, "weights", lambda _: ("inception-fid",))
    first, same, other = (truth.network("inception", "cpu") for _ in range(3))
    assert first == same
    assert first != other
