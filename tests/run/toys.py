"""Models for tests: quick, and each with one fault of its own."""

import os
import time

import torch

from bench import progress


class Grey:
    """Fills the hole with one grey."""

    imagewise = True

    def predict(self, images, masks):
        return torch.where(masks.bool(), torch.full_like(images, 0.5), images)


class Smooth(torch.nn.Module):
    """A network with fixed weights."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 3, 5, padding=2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.linspace(-0.02, 0.03, self.conv.weight.numel()).view_as(self.conv.weight))
            self.conv.bias.fill_(0.4)

    def predict(self, images, masks):
        return self.conv(torch.cat([images * (1 - masks), masks], 1)).clamp(0, 1)


class Fragile(Grey):
    """Gives up when half of an image or more is missing."""

    def predict(self, images, masks):
        if masks.mean() > 0.5:
            raise RuntimeError("too much is missing")
        return super().predict(images, masks)


class Trusting(Grey):
    """Leaves the hole to the harness, which blanks it."""

    def predict(self, images, masks):
        return images


class Restless(Grey):
    """Draws at random, from no seed."""

    def predict(self, images, masks):
        return torch.rand_like(images)


class Wrong(Grey):
    """Answers with half an image."""

    def predict(self, images, masks):
        return images[..., ::2]


class Narrow(Smooth):
    """Takes two images at once and no more."""

    def predict(self, images, masks):
        if len(images) > 2:
            raise RuntimeError("more than two images")
        return super().predict(images, masks)


class Broken(Grey):
    """Cannot be built."""

    def __init__(self):
        raise ValueError("no such luck")


class Interrupting(Grey):
    """Stops the run once, as Ctrl-C would, after the number of calls that TOY_CALLS holds."""

    def predict(self, images, masks):
        calls = int(os.environ.get("TOY_CALLS", "-1"))
        os.environ["TOY_CALLS"] = str(calls - 1)
        if calls == 0:
            raise KeyboardInterrupt
        return super().predict(images, masks)


class Endless(Grey):
    """Takes more steps than anybody lives to see, and tells them."""

    def predict(self, images, masks):
        with progress.inside("Endless", 10**22) as step:
            while True:
                step()


class Sleeping(Grey):
    """Never answers, and tells nothing."""

    def predict(self, images, masks):
        time.sleep(1e6)


class Wordy(Grey):
    """Fails with very many words on several lines."""

    def predict(self, images, masks):
        raise ValueError("first\nsecond\t" + "x" * 3000)
