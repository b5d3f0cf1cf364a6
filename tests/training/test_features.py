import pytest
import torch

from bench.errors import Unavailable, UnknownName
from bench.training import features


@pytest.fixture(scope="module")
def vgg16():
    return features.vgg(16)


def test_layers_of_vgg16_stand_where_papers_count_them(vgg16):
    names = list(vgg16)
    # torchvision's features[0:5], [5:10], [10:17] end with the first three poolings
    assert [names.index(f"pool{block}") for block in (1, 2, 3)] == [4, 9, 16]


def test_vgg19_has_four_convolutions_in_its_later_blocks():
    names = list(features.vgg(19))
    assert names[17] == "relu3_4"
    assert names[-2:] == ["relu5_4", "pool5"]


def test_activations_come_in_the_order_asked_for(vgg16):
    network = features.FeatureNetwork(vgg16, ("relu2_1", "relu1_1"))
    assert [item.shape[1] for item in network(torch.rand(1, 3, 32, 32))] == [128, 64]


def test_a_convolution_is_not_overwritten_by_its_relu(vgg16):
    convolution, relu = features.FeatureNetwork(vgg16, ("conv1_1", "relu1_1"))(torch.rand(1, 3, 16, 16))
    assert convolution.min() < 0
    assert torch.equal(convolution.relu(), relu)


def test_layers_behind_the_deepest_are_left_out(vgg16):
    assert features.FeatureNetwork(vgg16, ("pool1",)).names[-1] == "pool1"


def test_input_is_normalised_unless_the_paper_leaves_it(vgg16):
    image = torch.tensor(features.MEAN).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    (normalised,) = features.FeatureNetwork(vgg16, ("conv1_1",))(image)
    (plain,) = features.FeatureNetwork(vgg16, ("conv1_1",), normalised=False)(image)
    assert torch.allclose(normalised, vgg16["conv1_1"](torch.zeros_like(image)), atol=1e-6)
    assert torch.allclose(plain, vgg16["conv1_1"](image))


def test_gradients_reach_the_image_and_never_the_network(vgg16):
    network = features.FeatureNetwork(vgg16, ("relu1_2",))
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    network(image)[0].sum().backward()
    assert image.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_layer_that_does_not_exist_is_named_with_its_neighbours(vgg16):
    with pytest.raises(UnknownName, match="relu3_1"):
        features.FeatureNetwork(vgg16, ("relu3_9",))


def test_densenet_gives_the_layers_that_rnon_names():
    network = features.FeatureNetwork(
        features.densenet121(), ("relu0", "transition1.conv", "transition1", "transition2")
    )
    shapes = [tuple(item.shape[1:]) for item in network.eval()(torch.rand(1, 3, 64, 64))]
    assert shapes == [(64, 32, 32), (128, 16, 16), (128, 8, 8), (256, 4, 4)]


def test_densenets_published_names_become_todays():
    assert list(
        features.modern_names({"a.denselayer1.norm.1.weight": 0, "b.conv.2.weight": 0, "c.norm.weight": 0})
    ) == [
        "a.denselayer1.norm1.weight",
        "b.conv2.weight",
        "c.norm.weight",
    ]


def test_a_network_whose_file_is_missing_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="vgg16"):
        features.load("vgg16-imagenet", ("pool1",))


def test_a_network_is_read_from_its_file(tmp_path, monkeypatch):
    from torchvision.models import vgg

    path, network = tmp_path / "vgg.pth", vgg.make_layers(vgg.cfgs["D"])
    state = {f"features.{name}": value for name, value in network.state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(1)}, path)
    monkeypatch.setattr(features.downloads, "locate", lambda name: path)
    (found,) = features.load("vgg16-imagenet", ("pool1",), normalised=False)(image := torch.rand(1, 3, 16, 16))
    assert torch.allclose(found, network[:5](image))


def test_the_dilated_resnet_keeps_an_eighth_of_the_size():
    network = features.FeatureNetwork(features.resnet50_dilated(), [f"layer{place}" for place in (1, 2, 3, 4)])
    shapes = [tuple(item.shape[1:]) for item in network.eval()(torch.rand(1, 3, 64, 64))]
    assert shapes == [(256, 16, 16), (512, 8, 8), (1024, 8, 8), (2048, 8, 8)]


def test_the_dilated_resnet_is_read_whole_or_not_at_all():
    """Names as the published encoder has them: those of the stem stand beside the stages; no counters of norms."""
    named = torch.nn.ModuleDict(features.resnet50_dilated())
    state = {name.removeprefix("stem."): value + 1 for name, value in named.state_dict().items()}
    state = {name: value for name, value in state.items() if "num_batches" not in name} | {"fc.bias": torch.zeros(1)}
    found = torch.nn.ModuleDict(features.resnet50_dilated(state)).state_dict()
    assert torch.equal(found["stem.conv1.weight"], state["conv1.weight"])
    assert torch.equal(found["layer4.2.bn3.running_var"], state["layer4.2.bn3.running_var"])
    del state["conv2.weight"]
    with pytest.raises(RuntimeError, match=r"stem\.conv2\.weight"):
        features.resnet50_dilated(state)
