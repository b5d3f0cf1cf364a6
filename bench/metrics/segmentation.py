"""Agreement of labels: what a segmentation network sees in the output against what it sees in the truth.

DeepGIN (section 6.2, Figure 6) shows segmentations of outputs beside that of the truth, by a network trained on ADE20K,
and counts nothing; here the overlap is counted, and the network is torchvision's DeepLab.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torchvision.models.segmentation import deeplabv3_resnet50

from bench import downloads
from bench.contracts import PairMetric
from bench.fixed_batches import in_batches
from bench.metrics import precision
from bench.metrics.pairs import check_output, check_truth
from bench.types import MetricCard

CARDS = {
    "seg-miou": MetricCard(
        title="Segmentation mIoU",
        better="higher",
        decimals=4,
        formula="mean over the labels that occur in either of |A and B| / |A or B|, A and B a label's pixels in truth "
        "and output; labels: argmax of DeepLab v3 (ResNet-50, 21 classes) at the image's own size",
        reference="torchvision deeplabv3_resnet50, COCO_WITH_VOC_LABELS_V1; scikit-learn jaccard_score, macro",
        tolerance="1e-6 from equal labels",
        users="DeepGIN, in pictures (Figure 6, by another network)",
        weights=("deeplabv3-resnet50-coco",),
        advantages="Whether things stay what they are; sees neither noise nor small colour casts.",
        limits="Twenty kinds of things and a background: pictures that show none of them agree for nothing.",
    )
}

SMALLEST_PX = 16
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSES = 21
BATCH = {"cuda": 8}
"""Images that the network sees at once, always, by kind of device; 1 elsewhere."""


def metric(name: str, device: Any) -> PairMetric:
    """The network with its published weights; `Unavailable` where they are missing."""
    path = downloads.locate(CARDS[name].weights[0])
    return LabelAgreement(torch.load(path, map_location="cpu", weights_only=True), torch.device(device))


class LabelAgreement(PairMetric):
    """An opened network; the labels of the truth are made once for all outputs."""

    def __init__(self, state: dict[str, torch.Tensor], device: torch.device) -> None:
        """`state`: torchvision's state dict of the network; its auxiliary head is left aside."""
        with torch.device("meta"):
            net = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=False).eval()
        net.load_state_dict({name: state[name] for name in net.state_dict()}, assign=True)
        self.net: nn.Module = net.to(device).requires_grad_(False)
        self.size = BATCH.get(device.type, 1)
        self.mean, self.deviation = (torch.tensor(values, device=device).view(3, 1, 1) for values in (MEAN, DEVIATION))

    def prepare(self, truth: torch.Tensor) -> torch.Tensor:
        """The labels of the truth, uint8 [B, H, W]: uint8 [B, 3, H, W] -> 0 (background) to 20."""
        check_truth(truth, SMALLEST_PX, "a segmentation network")
        return self.labels(truth)

    def compare(self, prepared: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Mean overlap of the labels of each image, float64 [B] in 0..1."""
        check_output((len(prepared), 3, *prepared.shape[1:]), output, masks)
        return overlap(prepared, self.labels(output))

    def labels(self, images: torch.Tensor) -> torch.Tensor:
        """What the network sees: uint8 [B, 3, H, W] -> uint8 [B, H, W]."""
        with precision.full(images.device):
            return in_batches(self._labels, self.size, images)

    def _labels(self, images: torch.Tensor) -> torch.Tensor:
        scores = self.net(images.float().div_(255).sub_(self.mean).div_(self.deviation))["out"]
        return scores.argmax(1).to(torch.uint8)


def overlap(truth: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Mean over the labels that occur in either of the share of their pixels that both have: float64 [B]."""
    kinds = torch.arange(CLASSES, device=truth.device).view(-1, 1, 1)
    one, other = truth[:, None] == kinds, output[:, None] == kinds
    both, either = (pixels.flatten(2).count_nonzero(2).double() for pixels in (one & other, one | other))
    return (both / either.clamp(min=1)).sum(1) / (either > 0).sum(1)
