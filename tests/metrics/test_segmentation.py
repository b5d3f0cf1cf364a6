import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torchvision.models.segmentation import deeplabv3_resnet50

from bench.errors import BadInput, Unavailable
from bench.metrics import registry as metric_registry
from bench.metrics import segmentation


@pytest.fixture(scope="module")
def net():
    """torchvision's network with drawn weights, of which several labels are seen; the auxiliary head as published."""
    torch.manual_seed(0)
    made = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=segmentation.CLASSES, aux_loss=True)
    made.classifier[-1].weight.data.mul_(30)
    return made.eval()


@pytest.fixture(scope="module")
def metric(net):
    return segmentation.LabelAgreement(net.state_dict(), torch.device("cpu"))


@pytest.fixture(scope="module")
def pictures():
    return torch.randint(0, 256, (2, 3, 48, 40), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def holes(images):
    return torch.ones(len(images), 1, *images.shape[2:], dtype=torch.bool)


def test_by_hand_the_mean_is_over_the_labels_that_occur_in_either():
    truth = torch.tensor([[[0, 0, 0, 5]]], dtype=torch.uint8)
    output = torch.tensor([[[0, 0, 7, 5]]], dtype=torch.uint8)
    assert segmentation.overlap(truth, output).item() == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_agrees_with_scikit_learn():
    truth, output = torch.randint(0, 6, (2, 3, 9, 7), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    wanted = [
        jaccard_score(one.flatten(), two.flatten(), average="macro") for one, two in zip(truth, output, strict=True)
    ]
    assert np.allclose(segmentation.overlap(truth, output), wanted, atol=1e-12)


def test_labels_are_those_of_torchvisions_network(net, metric, pictures):
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (segmentation.MEAN, segmentation.DEVIATION))
    with torch.no_grad():
        wanted = net((pictures / 255 - mean) / deviation)["out"].argmax(1)
    found = metric.labels(pictures)
    assert len(found.unique()) > 1
    assert (found == wanted).float().mean() > 0.999


def test_a_picture_agrees_with_itself_and_less_with_another(metric, pictures):
    prepared = metric.prepare(pictures)
    assert metric.compare(prepared, pictures, holes(pictures)).tolist() == [1, 1]
    assert (metric.compare(prepared, pictures.flip(0), holes(pictures)) < 1).all()


def test_an_image_is_labelled_alike_alone_and_in_company(metric, pictures):
    assert torch.equal(metric.labels(pictures)[1:], metric.labels(pictures[1:]))


def test_an_image_below_sixteen_pixels_is_refused(metric):
    with pytest.raises(BadInput, match="at least 16 pixels"):
        metric.prepare(torch.zeros(1, 3, 15, 20, dtype=torch.uint8))


def test_missing_weights_are_told_in_a_sentence():
    told = metric_registry.unavailable("seg-miou")
    assert "deeplabv3_resnet50_coco-cd0a2569.pth" in told
    assert "bench metrics fetch" in told
    with pytest.raises(Unavailable):
        metric_registry.open_metric("seg-miou", "cpu")
