"""A small package of models, written into a folder as if somebody had installed it."""

import textwrap

TINY = '''
    """A small network."""
    import torch
    from torch import nn
    from toyzoo.layers.joint import joined
    from bench.types import ModelCard

    CARD = ModelCard(
        title="Tiny", authors="A. Author", venue="Nowhere", year=2020, paper="On Tiny", code="this file", licence="MIT",
        form="one convolution", losses="L1", strengths="small", limits="blind", multiple=4, aliases=("TN", "Tiny Net"),
        variants={"plain": "one layer", "deep": "two layers"}, parameters={"plain": 111, "deep": 195},
        checkpoints={"places2": "https://example.org/tiny.pth", "faces": "https://example.org/faces.pth"},
    )

    class Tiny(nn.Module):
        def __init__(self, depth, width):
            super().__init__()
            self.first = nn.Conv2d(4, width, 3, padding=1)
            if depth > 1:
                self.second = nn.Conv2d(width, 3, 3, padding=1)

        def predict(self, images, masks):
            output = self.first(joined(images, masks))
            return torch.sigmoid(self.second(output) if hasattr(self, "second") else output)

    def model(variant="", *, width=3):
        return Tiny(2 if variant == "deep" else 1, width)

    def convert(state, tag):
        return {key.replace("net.", "first."): value for key, value in state["generator"].items()}
'''
JOINT = '''
    """What two models share."""
    import torch

    def joined(images, masks):
        return torch.cat([images * (1 - masks), masks], 1)
'''
FLAT = '''
    """Grey."""
    import cv2
    from bench.types import ModelCard

    CARD = ModelCard(title="Flat", kind="classical", code="this file", licence="MIT", form="grey", strengths="none",
                     limits="grey", aliases=("FL",))

    class Flat:
        def predict(self, images, masks):
            return images * (1 - masks) + 0.5 * masks

    def model(variant=""):
        return Flat()
'''


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path
