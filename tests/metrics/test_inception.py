import copy

import pytest
import torch

from bench.errors import Unavailable
from bench.metrics.features import inception

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setitem(inception.BATCH, "cpu", 2)


@pytest.fixture(scope="module")
def filled(weight):
    net = inception.network()
    net.load_state_dict({name: weight(name, tuple(t.shape), 1.4) for name, t in net.state_dict().items()}, assign=True)
    return net


@pytest.fixture(scope="module")
def extractor(filled):
    return inception.Inception(copy.deepcopy(filled), torch.device("cpu"))


@pytest.fixture(scope="session")
def image(stored):
    def make(name):
        if name == "big_different_gt_x3":
            return stored.chw(stored.ARRAYS["different.gt"].repeat(3, axis=0).repeat(3, axis=1))
        return stored.chw(stored.ARRAYS["inpaint.gt" if name == "inpaint_gt" else "different.pred"])

    return make


@pytest.mark.parametrize("name", ["inpaint_gt", "different_pred", "big_different_gt_x3"])
def test_vectors_are_pytorch_fids_under_equal_weights(extractor, name, feature_tables, image):
    expected = torch.from_numpy(feature_tables.TABLES[f"inception.{name}.pytorch_fid"])
    found = extractor.extract(image(name))[0]
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 1e-4 * expected.norm()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_another_resizing_would_be_noticed(extractor, feature_tables, image):
    other = torch.from_numpy(feature_tables.TABLES["inception.inpaint_gt.torch_fidelity"])
    assert (extractor.extract(image("inpaint_gt"))[0] - other).norm() > 1e-3 * other.norm()


def test_the_installed_pytorch_fid_gives_the_same(extractor, filled, monkeypatch, image):
    monkeypatch.setattr("pytorch_fid.inception.load_state_dict_from_url", lambda *_, **__: filled.state_dict())
    from pytorch_fid.inception import InceptionV3

    image = image("different_pred")
    with torch.inference_mode():
        expected = InceptionV3([3]).eval()(image / 255)[0].flatten(1)
    torch.testing.assert_close(extractor.extract(image), expected, rtol=1e-4, atol=1e-6)


def test_a_vector_does_not_depend_on_the_batch(extractor):
    images = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    together = extractor.extract(images)
    apart = torch.cat([extractor.extract(images[:1]), extractor.extract(images[1:].flip(0)).flip(0)])
    assert torch.equal(together, apart)


def test_half_precision_is_off_even_inside_autocast(extractor, image):
    image = torch.randint(0, 256, (1, 3, 40, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = extractor.extract(image)
    assert torch.equal(inside, extractor.extract(image))


def test_missing_weights_are_named_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(inception, "network", lambda: pytest.fail("the network was built"))
    with pytest.raises(Unavailable, match="pt_inception-2015-12-05-6726825d"):
        inception.extractor("cpu")


def test_the_published_file_opens(tmp_path, monkeypatch, filled, image):
    """The weights are read under the names of the published file: strictly, and without unpickling."""
    torch.save(filled.state_dict(), tmp_path / "weights.pth")
    monkeypatch.setattr("bench.downloads.locate", lambda name: tmp_path / "weights.pth")
    assert inception.extractor("cpu").extract(image("inpaint_gt")).shape == (1, 2048)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_gives_the_vectors_of_the_cpu_in_little_memory(extractor, filled):
    images = torch.randint(0, 256, (70, 3, 256, 256), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    device = inception.Inception(copy.deepcopy(filled), torch.device("cuda"))
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False):
        found = device.extract(images)
        assert torch.equal(found[:3], device.extract(images[:3]))
    assert torch.cuda.max_memory_allocated() - held < 2 << 30
    torch.testing.assert_close(found[:4].cpu(), extractor.extract(images[:4]), rtol=1e-4, atol=1e-5)
