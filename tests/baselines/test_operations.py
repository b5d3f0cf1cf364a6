"""Every network does the work that its published layer table asks for at 256 x 256, within 2 %, and no more.

A table gives kernel, channels and size of every layer; a convolution then takes 2 k k c_in c_out operations for each
place of its output (a transposed one: of its input). Sources are those named at the head of each model's file.
"""

import dataclasses
from contextlib import nullcontext
from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vgg19

from baselines import edgeconnect, glcic, hr
from bench.models import calling, contract, opening
from bench.models import registry as model_registry
from bench.run.flops import Flops

SIDE_PX = 256


def layer(kernel, before, after, side):
    return 2 * kernel**2 * before * after * side**2


def chain(kernel, widths, sides):
    """Layers of one kernel, one after another."""
    return sum(layer(kernel, a, b, side) for (a, b), side in zip(pairwise(widths), sides, strict=True))


def attention(keys, values, side):
    """Products of all pairs of places, and the mixing of the values by them."""
    return 2 * (keys + values) * side**4


def ce(variant):
    down, up = (3, 64, 64, 128, 256, 512), (512, 256, 128, 64)
    ends = 2 * layer(4, 512, 4000, 1)
    if variant == "random-64":
        down = (3, 64, 128, 256, 512)
        return chain(4, down, (32, 16, 8, 4)) + ends + chain(4, (*up, 3), (4, 8, 16, 32))
    tail = (4, 8, 16, 32) if variant == "centre" else (4, 8, 16, 32, 64)
    up = (*up, 3) if variant == "centre" else (*up, 64, 3)
    return chain(4, down, (64, 32, 16, 8, 4)) + ends + chain(4, up, tail)


def unet(levels):
    """Partial convolutions; counting what a window knows takes one channel more."""
    widths = [3, 64, 128, 256, *[512] * (levels - 3)]
    kernels = [7, 5, 5, *[3] * (levels - 3)]
    sides = [SIDE_PX >> (i + 1) for i in range(levels)]
    down = sum(layer(k, a, b, s) for k, a, b, s in zip(kernels, widths, widths[1:], sides, strict=False))
    up = sum(layer(3, a + b, a, 2 * s) for a, b, s in zip(widths, widths[1:], sides, strict=False))
    return down + up


def pconv(_):
    return unet(7)


def completion(_):
    first = layer(5, 4, 64, 256) + chain(3, (64, 128, 128), (128, 128)) + chain(3, (128, *[256] * 9), (64,) * 9)
    second = layer(4, 256, 128, 64) + layer(3, 128, 128, 128) + layer(4, 128, 64, 128)
    return first + second + chain(3, (64, 32, 3), (256, 256))


def gmcnn(variant):
    tensorflow, total = variant == "tensorflow", 0
    for kernel in (7, 5, 3):
        first, after = (5, 3) if tensorflow and kernel == 3 else (kernel, 3 if tensorflow else kernel)
        total += layer(first, 5 if tensorflow else 4, 32, 256)
        total += chain(kernel, (32, 64, 64, *[128] * 9), (128, 128, *[64] * 9))
        if kernel < 7:
            total += layer(after, 128, 64, 128) + layer(kernel, 64, 64, 128)
    last = 16 if tensorflow else 32
    return total + chain(3, (64, 32, last), (256, 256)) + chain(3, (192 + last, 16, 3), (256, 256))


def edges(variant):
    def generator(before, after):
        ends = layer(7, before, 64, 256) + layer(7, 64, after, 256)
        return ends + 2 * chain(4, (64, 128, 256), (128, 64)) + 16 * layer(3, 256, 256, 64)

    return generator(3, 1) + generator(4, 3) + (hed() if variant == "hed" else 0)


def deepfillv1(_):
    coarse = layer(5, 5, 32, 256) + chain(3, (32, 64, 64, *[128] * 9), (128, 128, *[64] * 9))
    tail = chain(3, (128, 64, 64, 32, 16, 3), (128, 128, 256, 256, 256))
    straight = layer(5, 5, 32, 256) + chain(3, (32, 32, 64, 64, *[128] * 6), (128, 128, *[64] * 7))
    looking = layer(5, 5, 32, 256) + chain(3, (32, 32, 64, *[128] * 5), (128, 128, *[64] * 5))
    return coarse + 2 * tail + straight + looking + chain(3, (256, 128, 128), (64, 64))


def deepfillv2(variant):
    """A gate doubles what a layer puts out, and not what the next takes in; mmagic's second decoder is wider."""
    mmagic = variant == "mmagic"
    seen, w, ends = (5, 32, 2) if mmagic else (3, 24, 1)

    def gated(widths, sides):
        return 2 * chain(3, widths, sides)

    def tail(w):
        return gated((4 * w, 2 * w, 2 * w, w, w // 2), (128, 128, 256, 256)) + ends * layer(3, w // 2, 3, 256)

    coarse = 2 * layer(5, 5, 24, 256) + gated((24, 48, 48, *[96] * 9), (128, 128, *[64] * 9))
    straight = 2 * layer(5, seen, 24, 256) + gated((24, 24, 48, 48, *[96] * 6), (128, 128, *[64] * 7))
    looking = 2 * layer(5, seen, 24, 256) + gated((24, 24, 48, *[96] * 5), (128, 128, *[64] * 5))
    return coarse + tail(24) + tail(w) + straight + looking + gated((192, 4 * w, 4 * w), (64, 64))


def crfill(variant):
    """DeepFillv2's layers, but for an attention; one stage at half the size."""
    part = 2 * layer(5, 5, 24, 256) + 2 * chain(3, (24, 48, 48, *[96] * 9), (128, 128, *[64] * 9))
    part += 2 * chain(3, (96, 48, 48, 24, 12), (128, 128, 256, 256)) + layer(3, 12, 3, 256)
    return deepfillv2(variant) - (3 * part // 4 if variant == "nearestx2" else 0)


def aotgan(_):
    """Four dilated convolutions make as many channels as come in."""
    ends = layer(7, 4, 64, 256) + chain(4, (64, 128, 256), (128, 64)) + chain(3, (256, 128, 64, 3), (128, 256, 256))
    return ends + 8 * 3 * layer(3, 256, 256, 64)


def deepgin(variant):
    ends = layer(7, 4, 32, 256) + layer(7, 32, 3, 256)
    coarse = ends + chain(4, (32, 64, 128, 256), (128, 64, 32)) + 12 * layer(3, 256, 256, 32)
    coarse += chain(3, (256, 128, 64, 32), (64, 128, 256))
    if variant == "std-coarse":
        return coarse
    total = coarse + ends + chain(4, (32, 64, 128, 256, 512), (128, 64, 32, 16)) + 12 * layer(3, 512, 512, 16)
    total += chain(3, (512, 256, 128, 64, 32), (32, 64, 128, 256))

    def looking(width, side):
        return 4 * layer(1, width, width // 2, side) + attention(width // 2, width // 2, side)

    if variant != "std":
        total += looking(512, 16)
    if "mssa" in variant:
        total += layer(3, 128, 64, 64) + looking(64, 64) + layer(3, 256, 128, 32) + looking(128, 32)
        total += layer(3, 384, 256, 32) + layer(3, 192, 128, 64)
    if variant.endswith("bp"):
        total += chain(3, (128, 32, 3), (64, 64)) + layer(3, 32, 1, 256)
    return total


def rnon(variant):
    repair = unet(8) + layer(1, 3, 3, 256)
    if variant == "repair":
        return repair
    if variant == "deconvolution":
        widths = [64 * min(2**level, 8) for level in range(8)]
        repair += sum(layer(4, width, width, SIDE_PX >> level) for level, width in enumerate(widths, start=1))
    blocks = 16 * (4 * layer(3, 32, 32, 256) + layer(3, 128, 32, 256))
    optimisation = layer(9, 3, 32, 256) + blocks + layer(3, 32, 32, 256) + layer(9, 32, 3, 256)
    return repair + optimisation


def hed():
    widths = ((3, 64, 64), (64, 128, 128), (128, *[256] * 3), (256, *[512] * 3), (512, *[512] * 3))
    sides = (256, 128, 64, 32, 16)
    return sum(chain(3, w, [side] * (len(w) - 1)) for w, side in zip(widths, sides, strict=True))


def cfs(variant):
    sketch = layer(7, 2, 64, 250) + layer(6, 64, 128, 125) + layer(4, 128, 256, 62) + layer(4, 256, 512, 31)
    sketch += 8 * layer(3, 512, 512, 31) + layer(3, 768, 256, 62) + layer(3, 384, 128, 125)
    sketch += layer(3, 192, 64, 250) + layer(3, 66, 1, 256)
    if variant == "sketch":
        return hed() + sketch

    def block(kernel, before, after, side, below):
        """Gate on the input, gate on the output, convolution."""
        return layer(kernel, before, before, side) + 2 * layer(kernel, before, after, below)

    colours = block(7, 5, 64, 256, 250) + block(5, 64, 128, 250, 125)
    colours += block(3, 128, 256, 125, 63) + block(3, 256, 512, 63, 32)
    colours += 2 * {"paper": 8, "code": 4}[variant] * block(3, 512, 512, 32, 32)
    for before, after, side in ((768, 256, 63), (384, 128, 125), (192, 64, 250), (69, 3, 256)):
        colours += block(3, before, after, side, side)
    return hed() + sketch + colours


def residual(before, hidden, after, side):
    return chain(3, (before, hidden, after), (side, side)) + layer(1, before, after, side)


def doubling(before, hidden, after, side):
    """Two transposed convolutions: one of the main branch, one of the skip."""
    return layer(3, before, hidden, side) + layer(3, hidden, after, side) + layer(3, before, after, side)


def looking(width, side):
    """Queries a quarter as wide, both kinds of values, and the block that joins them."""
    both = layer(1, width, width // 4, side) + attention(width // 4, 2 * width, side)
    return both + residual(2 * width, width, width, side)


def halving():
    """Down to 8 x 8. The first skip comes after its pooling in PICNet, and before in the dual-path GAN (1 %)."""
    first = chain(3, (3, 32, 32), (256, 256)) + layer(1, 3, 32, 128)
    return (
        first + residual(32, 32, 64, 128) + residual(64, 64, 128, 64) + sum(residual(*[128] * 3, s) for s in (32, 16))
    )


def degan(_):
    """No decoder: these are for training."""
    encoders = 2 * (chain(4, (3, 32, 64, 128, 256, 512), (128, 64, 32, 16, 8)) + 2 * layer(1, 32768, 256, 1))
    widths, sides = (32, 64, 128, 256, 512), (256, 128, 64, 32, 16)
    down = sum(chain(3, (a, b, b), (n, n)) for a, b, n in zip((3, *widths), widths, sides, strict=False))
    up = sum(layer(3, 2 * a, a, n) for a, n in zip(widths[:-1], sides, strict=False))
    enlarge = layer(3, 514, 256, 16) + chain(3, (256, 128, 64, 32), (32, 64, 128))
    return encoders + down + enlarge + up + layer(3, 32, 3, 256)


def dualpath(_):
    total = halving() + 3 * residual(128, 128, 128, 8) + looking(128, 32) + layer(3, 32, 3, 256)
    return (
        total
        + sum(doubling(128, 128, 128, side) for side in (8, 16, 32))
        + (doubling(128, 64, 64, 64) + doubling(64, 32, 32, 128))
    )


def picnet(_):
    """The prior of the known part, and no posterior; four pictures."""
    total = halving() + 7 * residual(128, 128, 128, 8) + residual(128, 128, 256, 8) + looking(128, 32)
    total += sum(doubling(128, 128, 128, side) for side in (8, 16)) + doubling(131, 128, 128, 32)
    total += doubling(131, 64, 64, 64) + doubling(67, 32, 32, 128)
    return total + sum(layer(3, width, 3, side) for width, side in ((128, 32), (128, 64), (64, 128), (32, 256)))


def chain_up(widths, sides):
    """Transposed layers that take a skip as wide as what comes from below, one after another."""
    return sum(layer(4, 2 * a, b, side) for (a, b), side in zip(pairwise(widths), sides, strict=True))


def pgn(_):
    """Four stages, and an LSTM of four gates at each of the 2 x 2 places of the middle, three times."""
    widths, sides = (64, 64, 128, 256, 512, 512, 512, 512), (256, 128, 64, 32, 16, 8, 4, 2)
    down = chain(4, widths, sides[1:])
    up = chain_up(widths[6:0:-1], sides[6:1:-1])
    stages = 4 * (down + up + layer(4, 128, 3, 128)) + layer(3, 3, 64, 256) + 3 * layer(3, 6, 64, 256)
    deepest = 4 * layer(4, 512, 512, 2) + 3 * layer(4, 1024, 512, 2)
    return stages + deepest + 3 * layer(1, 512 + 1024, 4 * 1024, 2)


def lbam(_):
    """Every level convolves the image and a mask; all but the deepest a reverse mask too."""
    widths, sides = (64, 128, 256, 512, 512, 512, 512), (128, 64, 32, 16, 8, 4, 2)
    images, masks = chain(4, (4, *widths), sides), chain(4, (3, *widths), sides)
    reverse = chain(4, (3, *widths[:-1]), sides[:-1])
    decoder = ((512, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 3))
    up = sum(layer(4, a, b, side) for (a, b), side in zip(decoder, reversed(sides), strict=True))
    return images + masks + reverse + up


def pennet(_):
    widths, sides = (32, 64, 128, 256, 512, 512), (128, 64, 32, 16, 8, 4)
    total = chain(3, (4, *widths), sides) + attention(512, 16 * 512, 4)
    for level in range(4):
        after = widths[level + 1]
        total += attention(9 * after, 16 * widths[level], sides[level + 1])
        total += layer(3, widths[level], widths[level], sides[level])
        total += layer(3, 2 * after, widths[level], sides[level])
    return total + layer(3, 512, 512, 8) + layer(3, 64, 32, 256) + layer(3, 32, 3, 256)


def gfc(_):
    """At the network's own 128 x 128."""
    down = (((3, 32, 32), 128), ((32, 64, 64), 64), ((64, 128, 128), 32), ((128, *[256] * 4), 16))
    up = (((256, 64, 64, 64, 128), 16), ((128, 64, 64), 32), ((64, 64, 32), 64), ((32, 32, 32, 3), 128))
    convolutions = sum(chain(3, widths, [side] * (len(widths) - 1)) for widths, side in down + up)
    return convolutions + 2 * layer(1, 16384, 4096, 1)


def lama(variant):
    """Three quarters of a block's channels are global; the transforms themselves count nothing."""
    ends = layer(7, 4, 64, 256) + layer(7, 64, 3, 256)
    ways = layer(3, 128, 128, 32) + 2 * layer(3, 128, 384, 32)
    spectral = 2 * layer(1, 384, 192, 32) + 2 * 384 * 384 * 32 * 17
    blocks = 2 * {"big": 18, "fourier": 9}[variant] * (ways + spectral)
    return ends + 2 * chain(3, (64, 128, 256, 512), (128, 64, 32)) + blocks


def migan(variant):
    """Separable layers, two a size on either way; smoothing when halving (of what comes in) and doubling."""
    size = int(variant)
    widths = {size >> step: min(32768 // (size >> step), 512) for step in range(size.bit_length() - 2)}
    scale = SIDE_PX / size  # a larger network sees a picture of 256 too
    total = layer(1, 4, widths[size], size)
    for side, width in widths.items():
        half, below = max(side // 2, 4), widths.get(side // 2, width)
        total += layer(3, 1, width, side) + layer(1, width, width, side)
        total += layer(3, 1, width, side) + layer(1, width, below, half) + (side > 4) * layer(4, 1, width, half)
        total += layer(3, 1, below, half) + layer(1, below, width, half) + (side > 4) * layer(4, 1, width + 3, half)
        total += layer(3, 1, width, side) + layer(1, width, width, side) + layer(1, width, 3, side)
    return total * scale**2


def spgnet(_):
    """Both networks of the adaptation, and this house's parser: the same, a quarter as wide, three blocks."""

    def body(before, after, w, blocks):
        down = layer(7, before, w, 128) + chain(3, (w, 2 * w, 4 * w, 8 * w), (64, 32, 16))
        up = chain(3, (8 * w, 8 * w, 4 * w, 2 * w, w), (16, 32, 64, 128))
        return down + 2 * blocks * layer(3, 8 * w, 8 * w, 16) + up + layer(7, w, after, 256)

    return body(38, 35, 64, 9) + body(38, 3, 64, 9) + body(4, 35, 16, 3)


def hrii(variant):
    """DeepFillv2's layers, and its decoder once more for the confidence, in every round."""
    sure = 2 * chain(3, (192, 96, 96), (64, 64)) + 2 * chain(3, (96, 48, 48, 24, 12), (128, 128, 256, 256))
    return HRII_ROUNDS[variant] * (deepfillv2(variant) + sure + layer(3, 12, 1, 256))


HRII_ROUNDS = {"plain": 4, "quick": 1}


def neo(_):
    landmarks = chain(4, (4, 64, 128, 256, 512, 512), (128, 64, 32, 16, 8)) + layer(1, 512, 136, 1)
    down = chain(4, (5, 64, 128, 256, *[512] * 5), (128, 64, 32, 16, 8, 4, 2, 1))
    up = zip((512, *[1024] * 4, 512, 256, 128), (512, 512, 512, 512, 256, 128, 64, 3), strict=True)
    return landmarks + down + sum(layer(4, before, after, 1 << place) for place, (before, after) in enumerate(up))


TABLES = {
    "aotgan": aotgan,
    "ce": ce,
    "cfs": cfs,
    "crfill": crfill,
    "deepfillv1": deepfillv1,
    "deepfillv2": deepfillv2,
    "deepgin": deepgin,
    "degan": degan,
    "dualpath": dualpath,
    "edgeconnect": edges,
    "gfc": gfc,
    "glcic": completion,
    "gmcnn": gmcnn,
    "hrii": hrii,
    "lama": lama,
    "lbam": lbam,
    "migan": migan,
    "neo": neo,
    "pconv": pconv,
    "pgn": pgn,
    "pennet": pennet,
    "picnet": picnet,
    "rnon": rnon,
    "spgnet": spgnet,
}
LOOKED_AT = {"deepfillv1": 128, "deepfillv2": 96, "hrii": 4 * 96}
"""Channels of contextual attention, HRII's of all rounds.

The published code does it by patches of 3 x 3 and 4 x 4, this house by less.
"""


@pytest.fixture(scope="session")
def counted(shapes):
    """Operations of one prediction, from shapes alone."""

    def make(name, variant):
        network = opening.fold_parametrizations(shapes(name, variant).eval())
        images, masks = (part.to("meta") for part in contract.probe(SIDE_PX, count=1))
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            calling.call(network, images, masks, [0] if CARDS[name].stochastic else None)
        return counter.get_total_flops()

    return make


CARDS = model_registry.cards()
FORMS = [
    pytest.param(name, variant, marks=[pytest.mark.slow] * (place > 0))
    for name in TABLES
    for place, variant in enumerate(CARDS[name].variants or ("",))
    if not variant.startswith("sample-") and variant != "guided"  # whose last step depends on the hole
]


@pytest.mark.parametrize(("name", "variant"), FORMS)
def test_the_operations_are_those_of_the_published_layers(name, variant, monkeypatch, counted):
    monkeypatch.setattr(edgeconnect, "contours", lambda greys, masks: greys)  # Canny wants numbers,
    monkeypatch.setattr(glcic, "blend", lambda images, masks, output: output)  # like Poisson's equation
    monkeypatch.setattr(torch, "autocast", lambda *kind, **how: nullcontext())  # which shapes alone do not know
    found, table = counted(name, variant), TABLES[name](variant)
    attended = 2 * (9 + 16) * LOOKED_AT.get(name, 0) * (SIDE_PX // 8) ** 4
    assert 0.98 * table < found < 1.02 * (table + attended)


@pytest.mark.slow
def test_a_step_of_dgms_search_is_both_networks_forth_and_back(shapes):
    """No gradient of weights; the picture is made once more at the end. At the networks' own 64 x 64."""
    network = (
        shapes("dgm", "bamos").eval().requires_grad_(False)
    )  # which blends nothing, since Poisson's equation wants numbers
    images, masks = (part.to("meta") for part in contract.probe(64, count=1))
    network.search = dataclasses.replace(network.search, steps=2)
    with Flops() as counter:
        network.predict(images, masks, [0])
    generator = layer(1, 100, 8192, 1) + chain(5, (512, 256, 128, 64, 3), (4, 8, 16, 32))
    critic = chain(5, (3, 64, 128, 256, 512), (32, 16, 8, 4)) + layer(1, 8192, 1, 1)
    assert counter.count == pytest.approx(2 * 2 * (generator + critic) + generator, rel=0.02)


class Vgg(torch.nn.Module):
    """VGG-19's layers up to relu4_1 and relu4_2, without its weights."""

    def __init__(self):
        super().__init__()
        self.layers = vgg19(weights=None).features[:23].requires_grad_(False)

    def forward(self, images):
        patches = self.layers[:21](images)
        return patches, self.layers[21:](patches)


@pytest.mark.slow
def test_hrs_optimisation_is_two_passes_of_vgg_an_iteration_and_ten_at_the_start(monkeypatch):
    """Its content network once; VGG of the picture and of nine copies; then forth and back for every iteration."""
    monkeypatch.setattr(hr.HR, "_vgg", Vgg())
    network = hr.model("random", width=8, bottleneck=64, iterations=2, sizes=1).eval().requires_grad_(False)
    images, masks = contract.probe(96, count=1)
    with Flops() as counter:
        network.predict(images, masks)
    widths = (((3, 64, 64), 96), ((64, 128, 128), 48), ((128, *[256] * 4), 24), ((256, 512, 512), 12))
    vgg = sum(chain(3, each, [side] * (len(each) - 1)) for each, side in widths)
    narrow = chain(4, (3, 8, 8, 16, 32, 64), (64, 32, 16, 8, 4)) + 2 * layer(4, 64, 64, 1)
    narrow += chain(4, (64, 32, 16, 8, 8, 3), (4, 8, 16, 32, 64))
    assert counter.count == pytest.approx(narrow + 10 * vgg + 2 * 2 * vgg, rel=0.02)
