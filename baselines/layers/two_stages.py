"""What networks of a coarse and a refining stage share that see BGR in -1..1 and zeros in the hole: both DeepFills."""

from __future__ import annotations

from torch import Tensor, nn

from bench.training.base import Batch


class TwoStages(nn.Module):
    """A network whose `forward` gives both stages' whole images, behind the house's interface."""

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        _, refined = self(encode(images) * (1 - masks), masks)
        return decode(refined)


def encode(images: Tensor) -> Tensor:
    """RGB in 0..1 -> BGR in -1..1."""
    return images.flip(1) * 2 - 1


def decode(images: Tensor) -> Tensor:
    """BGR in -1..1 -> RGB in 0..1."""
    return (images.flip(1) + 1) / 2


def taught(generator: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Truth, coarse and refined images [B, 3, H, W] in BGR, -1..1: one pass of a training step."""
    truth = encode(batch.images)
    return truth, *generator(truth * (1 - batch.masks), batch.masks)
