"""At sizes and masks of which no figures are stored: networks equal a second, plain reading of their structure.

The readings below have one line for each layer of the published tables and share no code with the models: resizing is a
product with two matrices, attention is a softmax, partial convolutions carry a mask of every channel. Weights come from
the models' state dicts, spectral norms worked out; their names at full size are held by each model's own tests.
"""

import pytest
import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize

from baselines import aotgan, cfs, crfill, deepgin, degan, lama, migan, pgn, picnet, spgnet
from baselines.layers import hed


def example(height, width, count=2):
    """Images of noise and masks of single pixels, bars and corners, another for each image."""
    chance = torch.Generator().manual_seed(height)
    images = torch.rand(count, 3, height, width, generator=chance)
    masks = (torch.rand(count, 1, height, width, generator=chance) < 0.1).float()
    for number, mask in enumerate(masks[:, 0]):
        mask[: height // 2, number * 5 : width // 3] = 1
        mask[-3:] = 1
    return images, masks


def weights(network):
    """Its state dict, with every kernel as it is used."""
    for part in list(network.modules()):
        for name in list(getattr(part, "parametrizations", ())):
            parametrize.remove_parametrizations(part, name)
    return network.state_dict()


def resized(x, size, *, corners):
    """Bilinear: every output row and column is a mean of two."""
    for axis, n_out in zip((2, 3), size, strict=True):
        n_in = x.shape[axis]
        places = torch.arange(n_out, dtype=torch.float64)
        places = places * (n_in - 1) / (n_out - 1) if corners else (places + 0.5) * n_in / n_out - 0.5
        nearness = 1 - (places.clamp(0, n_in - 1)[:, None] - torch.arange(n_in)).abs()
        x = torch.tensordot(x, nearness.clamp(min=0).to(x), ([axis], [1])).movedim(-1, axis)
    return x


def doubled(x, by=2.0):
    return resized(x, [int(side * by) for side in x.shape[2:]], corners=True)


def leaky(x, slope=0.2):
    return F.leaky_relu(x, slope)


def mean_by_likeness(query, key, value):
    """Every place of the values [B, C, H, W], weighted by a softmax of inner products."""
    shares = (query.flatten(2).mT @ key.flatten(2)).softmax(2)
    return (value.flatten(2) @ shares.mT).view_as(value)


def deepgin_by_table(s, shown, masks):
    def conv(name, x, pad, stride=1, dilation=1):
        x = F.pad(x, [pad] * 4, mode="replicate")
        return F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], stride, 0, dilation)

    def block(name, x, dilations):
        seen = [conv(f"{name}.branches.{i}", x, d, 1, d).relu() for i, d in enumerate(dilations)]
        return x + conv(f"{name}.fusion", torch.cat(seen, 1), 1)

    def attention(name, x):
        theta, phi, g = (conv(f"{name}.{part}", x, 0) for part in ("theta", "phi", "g"))
        return conv(f"{name}.W", mean_by_likeness(theta, phi, g), 0) + x

    def refine(name, x, pad=1, stride=1):
        return leaky(conv(f"refinement.{name}", x, pad, stride))

    x = leaky(conv("coarse.0", torch.cat([shown, masks], 1), 3))
    for place in (1, 2, 3):
        x = leaky(conv(f"coarse.{place}", x, 1, 2))
    for place in range(4, 10):
        x = block(f"coarse.{place}", x, (2, 3, 4, 5, 6, 8, 10, 1))
    for place in (10, 11, 12):
        x = leaky(conv(f"coarse.{place}", doubled(x), 1))
    coarse = conv("coarse.13", x, 3)

    e1 = refine("en_conv1", torch.cat([coarse * masks + shown * (1 - masks), masks], 1), 3)
    e2 = refine("en_conv2", e1, 1, 2)
    e3 = refine("en_conv3", e2, 1, 2)
    e4 = refine("en_conv4", e3, 1, 2)
    x = refine("en_conv5", e4, 1, 2)
    skip3 = attention("refinement.de_satn3", refine("en_skp_conv3", e3))
    skip4 = attention("refinement.de_satn2", refine("en_skp_conv4", e4))
    for place in (1, 2, 5):
        x = block(f"refinement.md_mres{place}", x, (2, 3, 4, 5))
    x = attention("refinement.md_satn1", x)
    for place in (3, 4, 6):
        x = block(f"refinement.md_mres{place}", x, (2, 3, 4, 5))
    x = refine("de_mix_conv1", torch.cat([refine("de_conv1", doubled(x)), skip4], 1))
    x = refine("de_mix_conv2", torch.cat([refine("de_conv2", doubled(x)), skip3], 1))
    quarter = conv("refinement.de_conv3_lr", refine("de_conv2_lr", x), 1)
    d4 = refine("de_conv4", doubled(refine("de_conv3", doubled(x))))
    d5 = conv("refinement.de_conv5", d4, 3) * masks + shown * (1 - masks)
    trust = conv("refinement.de_conv5_lr_alpha", d4, 1).sigmoid()
    return d5 + doubled(quarter - doubled(d5, 0.25), 4) * trust, quarter, coarse


@pytest.mark.parametrize("size", [(32, 80), (96, 48)])
@torch.inference_mode()
def test_deepgin(size, fill):
    network = fill(deepgin.model(width=4), gain=1.1)
    images, masks = example(*size)
    shown = images * (1 - masks) + masks
    for found, expected in zip(network(shown, masks), deepgin_by_table(weights(network), shown, masks), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def nearest(x, like):
    """To the size of the skip; rows and columns are taken at floor(i * n_in / n_out)."""
    rows, columns = (torch.arange(b) * a // b for a, b in zip(x.shape[2:], like.shape[2:], strict=True))
    return x[..., rows[:, None], columns]


def sketch_by_table(s, x, masks):
    def partial(name, x, m, pad, stride=1, dilation=1):
        kernel, bias = s[f"{name}.conv.weight"], s.get(f"{name}.conv.bias")
        covered = F.conv2d(m, torch.ones_like(kernel[:1]), None, stride, pad, dilation)
        output = F.conv2d(x * m, kernel, None, stride, pad, dilation) * kernel[0].numel() / covered.clamp(min=1)
        output = output if bias is None else output + bias[:, None, None]
        known = (covered > 0).to(x)
        return output * known, known.expand_as(output)

    def step(*given):
        output, known = partial(*given)
        return leaky(output), known

    skips = [(x, (1 - masks).expand_as(x))]
    for name, pad, stride in (("enc_1", 0, 1), ("enc_2", 2, 2), ("enc_3", 1, 2), ("enc_4", 1, 2)):
        skips.append(step(name, *skips[-1], pad, stride))
    x, m = skips.pop()
    for place in range(4):
        inner = step(f"middle.{place}.conv_block1", x, m, 2, 1, 2)
        output, known = step(f"middle.{place}.conv_block2", *inner, 2, 1, 2)
        x, m = x * m + output, known
    for name in ("dec_4", "dec_3", "dec_2", "dec_1"):
        pairs = zip((x, m), skips.pop(), strict=True)
        joined = [torch.cat([nearest(low, skip), skip], 1) for low, skip in pairs]
        x, m = (partial if name == "dec_1" else step)(name, *joined, 1)
    return x.sigmoid()


def colours_by_table(s, x, blocks):
    def block(name, x, pad, stride=1, dilation=1, last=False):
        def conv(part, x, *shape):
            return F.conv2d(x, s[f"{name}.{part}.weight"], s.get(f"{name}.{part}.bias"), *shape)

        kernel = s[f"{name}.conv2d.weight"].shape[-1]
        inner = conv("same_conv2d", x, 1, (kernel - 1) * dilation // 2, dilation).sigmoid()
        outer = conv("mask_conv2d", x, stride, pad, dilation).sigmoid()
        f = conv("conv2d", x * inner, stride, pad, dilation)
        if last:
            return outer * f
        f = outer * leaky(f)
        first, second = (s[f"{name}.sqex.linear{i}.weight"] for i in (1, 2))
        z = (f.mean((2, 3)) @ first.T + s[f"{name}.sqex.linear1.bias"]).relu()
        return f * (z @ second.T + s[f"{name}.sqex.linear2.bias"]).sigmoid()[..., None, None]

    skips = [x]
    for name, pad, stride in (("enc_1", 0, 1), ("enc_2", 2, 2), ("enc_3", 1, 2), ("enc_4", 1, 2)):
        skips.append(block(name, skips[-1], pad, stride))
    x = skips.pop()
    for place in range(blocks):
        x = x + block(f"middle.{place}.conv2", block(f"middle.{place}.conv1", x, 2, 1, 2), 2, 1, 2)
    for name in ("dec_4", "dec_3", "dec_2", "dec_1"):
        skip = skips.pop()
        x = block(name, torch.cat([nearest(x, skip), skip], 1), 1, last=name == "dec_1")
    return (x.tanh() + 1) / 2


@pytest.mark.parametrize(("variant", "blocks"), [("code", 4), ("paper", 8)])
@pytest.mark.parametrize("size", [(48, 80), (45, 70)])
@torch.inference_mode()
def test_cfs(variant, blocks, size):
    torch.manual_seed(0)
    network = cfs.model(variant, width=4, sketches="canny").eval()
    for name, vector in network.named_buffers():  # or its middle would move no output by more than 1e-5
        if name.endswith("_u"):
            vector.mul_(0.15 if name.startswith("inpaint") else 0.75)
    images, masks = example(*size)
    known, outlines = 1 - masks, torch.rand_like(masks) * (1 - masks)
    grey = 0.2125 * images[:, :1] + 0.7154 * images[:, 1:2] + 0.0721 * images[:, 2:]
    sketch, colours = weights(network.sketch), weights(network.inpaint)
    drawn = network.draw(grey, outlines, masks)
    expected = sketch_by_table(sketch, torch.cat([grey * known, outlines], 1), masks)
    torch.testing.assert_close(drawn, expected, atol=1e-5, rtol=1e-4)
    merged = expected * masks + outlines * known
    painted = colours_by_table(colours, torch.cat([images * known, merged, known], 1), blocks)
    torch.testing.assert_close(network.paint(images, merged, masks), painted, atol=1e-5, rtol=1e-4)


def picnet_by_table(s, images, masks):
    def conv(name, x, pad=1):
        return F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], 1, pad)

    def block(name, x, slope=0.1, *, down=False):
        main = conv(f"{name}.model.3", leaky(conv(f"{name}.model.1", leaky(x, slope)), slope))
        both = main + conv(f"{name}.shortcut.0", x, 0)
        return F.avg_pool2d(both, 2) if down else both

    def norm(name, x):
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
        weight, bias = (s[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def up(name, x):
        return F.conv_transpose2d(x, s[f"{name}.weight"], s[f"{name}.bias"], 2, 1, 1)

    def decode(name, x):
        main = conv(f"{name}.model.2", leaky(norm(f"{name}.model.0", x), 0.1))
        return up(f"{name}.model.5", leaky(norm(f"{name}.model.3", main), 0.1)) + up(f"{name}.shortcut.0", x)

    def picture(name, x):
        return conv(f"{name}.model.2", F.pad(leaky(x, 0.1), [1] * 4, mode="reflect"), 0).tanh()

    x = (images * 2 - 1) * (1 - masks)
    main = conv("E.block0.model.2", leaky(conv("E.block0.model.0", x), 0.1))
    features = [F.avg_pool2d(main, 2) + conv("E.block0.shortcut.1", F.avg_pool2d(x, 2), 0)]
    for place in range(4):
        features.append(block(f"E.encoder.{place}", features[-1], down=True))
    h = features[4]
    for place in range(6):
        h = block(f"E.infer_prior.{place}", h)
    mean, _ = block("E.prior", h).chunk(2, 1)

    x = decode("G.decoder.1", decode("G.decoder.0", block("G.generator", mean) + features[4]))
    early, query = features[2], conv("G.attn1.query_conv", x, 0)
    known = resized(1 - masks, early.shape[2:], corners=True)
    short = x + s["G.attn1.gamma"] * mean_by_likeness(query, query, x)
    long = s["G.attn1.alpha"] * (1 - known) * mean_by_likeness(query, query, early) + known * early
    x = block("G.attn1.model", torch.cat([short, long], 1), 0.01)
    for place in (2, 3, 4):
        x = decode(f"G.decoder.{place}", torch.cat([x, picture(f"G.out.{place - 2}", x)], 1))
    return (picture("G.out.3", x) + 1) / 2


@pytest.mark.parametrize("size", [(64, 160), (96, 64)])
@torch.inference_mode()
def test_picnet(size):
    torch.manual_seed(0)
    network = picnet.model("mean", width=4).eval()
    network.G.attn1.gamma.fill_(0.5)  # like alpha 0 at first
    network.G.attn1.alpha.fill_(2.0)
    images, masks = example(*size)
    expected = picnet_by_table(weights(network), images, masks)
    torch.testing.assert_close(network.predict(images, masks, [0, 1]), expected, atol=1e-5, rtol=1e-4)


def pgn_by_table(s, x):
    def norm(name, x):
        statistics = (s[f"{name}.2.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        mean, variance, weight, bias = (part[:, None, None] for part in statistics)
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def down(name, x):
        return norm(name, F.conv2d(leaky(x), s[f"{name}.1.weight"], None, 2, 1))

    def up(name, *parts):
        return norm(name, F.conv_transpose2d(torch.cat(parts, 1).relu(), s[f"{name}.1.weight"], None, 2, 1))

    def stage(name, x, *memory):
        c = [F.conv2d(x, s[f"{name}.start.weight"], s[f"{name}.start.bias"], 1, 1)]
        for level in range(7):
            c.append(down(f"{name}.conv{level}", c[-1]))
        u = up(f"{name}.up5", *memory, c[7])
        for level in (4, 3, 2, 1, 0):
            u = up(f"{name}.up{level}", u, c[level + 2])
        return up(f"{name}.end", u, c[1]).sigmoid(), c[7]

    def remember(middle, hidden, cell):
        """Four gates at each place: in, forget, candidate, out."""
        gates = sum(
            torch.einsum("gc,bchw->bghw", s[f"rnn.weight_{kind}"], given) + s[f"rnn.bias_{kind}"][:, None, None]
            for kind, given in (("ih", middle), ("hh", hidden))
        )
        inward, forget, candidate, outward = gates.chunk(4, 1)
        cell = forget.sigmoid() * cell + inward.sigmoid() * candidate.tanh()
        return outward.sigmoid() * cell.tanh(), cell

    output, middle = stage("unet_1", x)
    hidden = cell = torch.zeros_like(torch.cat([middle, middle], 1))
    outputs = [output]
    for name in ("unet_2", "unet_3", "unet_4"):
        hidden, cell = remember(middle, hidden, cell)
        output, middle = stage(name, torch.cat([x, output], 1), hidden)
        outputs.append(output)
    return outputs


@pytest.mark.parametrize("size", [(128, 256), (256, 128)])
@torch.inference_mode()
def test_pgn(size, fill):
    network = fill(pgn.model(width=4, most=4))
    images, masks = example(*size)
    shown = images * (1 - masks) + masks * torch.tensor([117.0, 104.0, 123.0]).view(3, 1, 1) / 256
    assert torch.equal(network.blank(images, masks), shown)
    for found, expected in zip(network(shown), pgn_by_table(network.state_dict(), shown), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def degan_by_table(s, x):
    """At the one size of this model, with other masks; codes are the means."""

    def same(name, x, stride=1):
        kernel, sides = s[f"{name}.weight"], x.shape[-1]
        rim = max((-(-sides // stride) - 1) * stride + kernel.shape[-1] - sides, 0)
        x = F.pad(x, [rim // 2, rim - rim // 2] * 2)
        return F.conv2d(x, kernel, s[f"{name}.bias"], stride)

    def mean(name, slope):
        y = x
        for place in range(5):
            y = leaky(same(f"{name}.conv{place}", y, 2), 0.2 if place else slope)
        flat = torch.stack([y[:, :, row, column] for row in range(8) for column in range(8)], 1).flatten(1)
        return F.softplus(flat @ s[f"{name}.dense0.weight"].T + s[f"{name}.dense0.bias"])

    def up(name, x):
        """Every pixel adds its 3 x 3 kernel, two pixels on; what hangs over is cut off."""
        kernel, size = s[f"{name}.weight"], [2 * side for side in x.shape[2:]]
        canvas = x.new_zeros(len(x), kernel.shape[1], size[0] + 1, size[1] + 1)
        for row in range(3):
            for column in range(3):
                canvas[..., row : row + size[0] : 2, column : column + size[1] : 2] += torch.einsum(
                    "bchw,cd->bdhw", x, kernel[:, :, row, column]
                )
        return canvas[..., : size[0], : size[1]] + s[f"{name}.bias"][:, None, None]

    codes = torch.cat([mean("encoder_f", 0.2), mean("encoder_l", 0.1)], 1)
    levels, y = [], x
    for level in range(5):
        y = same(f"unet.conv{2 * level + 1}", same(f"unet.conv{2 * level}", y, 2 if level else 1).relu()).relu()
        levels.append(y)
    side = int((codes.shape[1] // 2) ** 0.5)
    planes = torch.stack([codes[:, part::2].view(-1, side, side) for part in (0, 1)], 1)
    y = torch.cat([levels.pop(), planes.repeat_interleave(16 // side, 2).repeat_interleave(16 // side, 3)], 1)
    for step in range(4):
        y = same(f"unet.conv{10 + step}", torch.cat([levels.pop(), up(f"unet.deconv{step}", y).relu()], 1)).relu()
    return same("unet.conv14", y).sigmoid()


@pytest.mark.parametrize("code", [16, 256])
@torch.inference_mode()
def test_degan(code, fill):
    network = fill(degan.model("mean", width=4, code=code), gain=1.5)
    images, masks = example(256, 256)
    expected = degan_by_table(network.state_dict(), images * (1 - masks))
    torch.testing.assert_close(network.predict(images, masks, [0, 1]), expected, atol=1e-5, rtol=1e-4)


def spgnet_by_table(s, images, masks, blocks):
    def norm(name, x):
        statistics = (s[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        mean, variance, weight, bias = (part[:, None, None] for part in statistics)
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def conv(name, x, mirrored, stride=1, pad=0):
        x = F.pad(x, [mirrored] * 4, mode="reflect")
        return F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], stride, pad)

    def network(name, x, count):
        x = norm(f"{name}.down.2", conv(f"{name}.down.1", x, 3, 2)).relu()
        for place in (4, 7, 10):
            x = norm(f"{name}.down.{place + 1}", conv(f"{name}.down.{place}", x, 0, 2, 1)).relu()
        for place in range(count):
            inner = f"{name}.bottle_neck.{place}.conv_block"
            y = norm(f"{inner}.2", conv(f"{inner}.1", x, 1)).relu()
            x = x + norm(f"{inner}.6", conv(f"{inner}.5", y, 1))
        for place in (0, 3, 6, 9):
            kernel, bias = (s[f"{name}.up.{place}.{part}"] for part in ("weight", "bias"))
            x = norm(f"{name}.up.{place + 1}", F.conv_transpose2d(x, kernel, bias, 2, 1, 1)).relu()
        return conv(f"{name}.out.1", x, 3)

    shown, known = (images * (1 - masks) - 0.5) / 0.5, 1 - masks
    labels = network("parser", torch.cat([shown, masks], 1), -(-blocks // 3)).softmax(1) * known
    segmentation = network("sp", torch.cat([shown, labels], 1), blocks).softmax(1)
    return (network("sg", torch.cat([shown, segmentation], 1), blocks).tanh() + 1) / 2


@pytest.mark.parametrize("size", [(32, 80), (96, 48)])
@torch.inference_mode()
def test_spgnet(size, fill):
    network = fill(spgnet.model(width=8, blocks=4, classes=5), gain=1.2)
    images, masks = example(*size)
    expected = spgnet_by_table(network.state_dict(), images, masks, 4)
    torch.testing.assert_close(network.predict(images, masks), expected, atol=1e-5, rtol=1e-4)


def hed_by_table(s, images):
    x, sides = images.flip(1) * 255 - s["mean"].view(3, 1, 1), []
    convolutions = {"One": (0, 2), "Two": (1, 3), "Thr": (1, 3, 5), "Fou": (1, 3, 5), "Fiv": (1, 3, 5)}
    for stage, places in convolutions.items():
        x = F.max_pool2d(x, 2) if sides else x
        for place in places:
            name = f"netVgg{stage}.{place}"
            x = F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], padding=1).relu()
        score = F.conv2d(x, s[f"netScore{stage}.weight"], s[f"netScore{stage}.bias"])
        sides.append(resized(score, images.shape[2:], corners=False))
    return F.conv2d(torch.cat(sides, 1), s["netCombine.0.weight"], s["netCombine.0.bias"]).sigmoid()


@pytest.mark.parametrize("size", [(37, 50), (64, 80)])
@torch.inference_mode()
def test_hed(size, fill):
    network = fill(hed.HED(), gain=0.8)
    images, _ = example(*size)
    torch.testing.assert_close(network(images), hed_by_table(weights(network), images), atol=1e-5, rtol=1e-4)


def aotgan_by_table(s, images, masks):
    def conv(name, x, pad, stride=1, dilation=1, mode="constant"):
        x = F.pad(x, [pad] * 4, mode=mode)
        return F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], stride, 0, dilation)

    def block(name, x):
        seen = [conv(f"{name}.block0{i}.1", x, d, 1, d, "reflect").relu() for i, d in enumerate((1, 2, 4, 8))]
        fused = conv(f"{name}.fuse.1", torch.cat(seen, 1), 1, mode="reflect")
        g = conv(f"{name}.gate.1", x, 1, mode="reflect")
        centred = g - g.mean((2, 3), keepdim=True)
        deviation = (centred.square().sum((2, 3), keepdim=True) / (g[0, 0].numel() - 1)).sqrt()
        gate = (10 * centred / deviation - 5).sigmoid()
        return x * (1 - gate) + fused * gate

    white = (images * 2 - 1) * (1 - masks) + masks
    x = conv("encoder.1", torch.cat([white, masks], 1), 3, mode="reflect").relu()
    x = conv("encoder.5", conv("encoder.3", x, 1, 2).relu(), 1, 2).relu()
    for place in range(3):
        x = block(f"middle.{place}", x)
    x = conv("decoder.0.conv", doubled(x), 1).relu()
    x = conv("decoder.2.conv", doubled(x), 1).relu()
    return (conv("decoder.4", x, 1).tanh() + 1) / 2


@pytest.mark.parametrize("size", [(36, 84), (64, 52)])
@torch.inference_mode()
def test_aotgan(size, fill):
    network = fill(aotgan.model(width=4, blocks=3), gain=1.25)
    images, masks = example(*size)
    expected = aotgan_by_table(network.state_dict(), images, masks)
    torch.testing.assert_close(network.predict(images, masks), expected, atol=1e-5, rtol=1e-4)


def crfill_by_table(s, images, masks, halved):
    def gated(name, x, pad=1, stride=1, dilation=1, act=F.elu):
        both = F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], stride, pad, dilation)
        half = both.shape[1] // 2
        return act(both[:, :half]) * both[:, half:].sigmoid()

    def encode(head, x):
        x = gated(f"{head}2_downsample", gated(f"{head}1", x, 2), 1, 2)
        return gated(f"{head}5", gated(f"{head}4_downsample", gated(f"{head}3", x), 1, 2))

    def atrous(head, x):
        for place, rate in ((7, 2), (8, 4), (9, 8), (10, 16)):
            x = gated(f"{head}{place}_atrous", x, rate, 1, rate)
        return x

    def decode(head, x):
        x = gated(f"{head}12", gated(f"{head}11", x))
        x = gated(f"{head}14", gated(f"{head}13_upsample_conv", repeated(x)))
        x = gated(f"{head}16", gated(f"{head}15_upsample_conv", repeated(x)))
        return F.conv2d(x, s[f"{head}17.weight"], s[f"{head}17.bias"], padding=1).tanh()

    def repeated(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    grey = (images * 2 - 1) * (1 - masks)
    shown = torch.cat([grey, torch.ones_like(masks), masks], 1)[..., :: 2 if halved else 1, :: 2 if halved else 1]
    coarse = decode("conv", atrous("conv", gated("conv6", encode("conv", shown))))
    filled = (repeated(coarse) if halved else coarse) * masks + grey * (1 - masks)
    first = atrous("xconv", gated("xconv6", encode("xconv", filled)))
    second = gated("pmconv6", encode("pmconv", filled), act=F.relu)
    second = gated("pmconv10", gated("pmconv9", second))
    return (decode("allconv", torch.cat([first, second], 1)) + 1) / 2


@pytest.mark.parametrize(("variant", "halved"), [("published", False), ("nearestx2", True)])
@pytest.mark.parametrize("size", [(48, 80), (88, 56)])
@torch.inference_mode()
def test_crfill(variant, halved, size, fill):
    network = fill(crfill.model(variant, width=4), gain=2.0)
    images, masks = example(*size)
    expected = crfill_by_table(network.state_dict(), images, masks, halved)
    torch.testing.assert_close(network.predict(images, masks), expected, atol=1e-5, rtol=1e-4)


def norm(s, name, x):
    """A batch norm in evaluation."""
    mean, var, scale, shift = (
        s[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def fourier(n):
    """The matrix of the discrete Fourier transform."""
    turns = torch.outer(torch.arange(n), torch.arange(n)) * (-2j * torch.pi / n)
    return turns.to(torch.complex128).exp() / n**0.5


def through_frequencies(s, name, x):
    """The half of the columns that a real picture needs; all but the first and the middle one stand for two."""
    (height, width), half = x.shape[2:], x.shape[3] // 2 + 1
    waves = (fourier(height) @ x.to(torch.complex128) @ fourier(width))[..., :half]
    pairs = torch.stack([waves.real, waves.imag], 2).flatten(1, 2).float()
    pairs = norm(s, f"{name}.bn", F.conv2d(pairs, s[f"{name}.conv_layer.weight"])).relu().double()
    counts = torch.full((half,), 2.0, dtype=torch.float64)
    counts[[0, -1] if width % 2 == 0 else [0]] = 1
    rows = fourier(height).conj() @ torch.complex(pairs[:, ::2], pairs[:, 1::2]) * counts
    return (rows @ fourier(width).conj()[:half]).real.float()


def lama_by_table(s, x, blocks):
    def conv(name, x, pad=1, stride=1):
        return F.conv2d(F.pad(x, [pad] * 4, mode="reflect"), s[f"{name}.weight"], s.get(f"{name}.bias"), stride)

    def spectral(name, x):
        x = norm(s, f"{name}.conv1.1", F.conv2d(x, s[f"{name}.conv1.0.weight"])).relu()
        return F.conv2d(x + through_frequencies(s, f"{name}.fu", x), s[f"{name}.conv2.weight"])

    def layer(name, near, wide):
        n = conv(f"{name}.ffc.convl2l", near) + conv(f"{name}.ffc.convg2l", wide)
        w = conv(f"{name}.ffc.convl2g", near) + spectral(f"{name}.ffc.convg2g", wide)
        return norm(s, f"{name}.bn_l", n).relu(), norm(s, f"{name}.bn_g", w).relu()

    x = norm(s, "model.1.bn_l", conv("model.1.ffc.convl2l", x, 3)).relu()
    for place in (2, 3):
        x = norm(s, f"model.{place}.bn_l", conv(f"model.{place}.ffc.convl2l", x, 1, 2)).relu()
    near = norm(s, "model.4.bn_l", conv("model.4.ffc.convl2l", x, 1, 2)).relu()
    wide = norm(s, "model.4.bn_g", conv("model.4.ffc.convl2g", x, 1, 2)).relu()
    for place in range(5, 5 + blocks):
        n, w = layer(f"model.{place}.conv2", *layer(f"model.{place}.conv1", near, wide))
        near, wide = near + n, wide + w
    x = torch.cat([near, wide], 1)
    for place in range(6 + blocks, 15 + blocks, 3):
        x = F.conv_transpose2d(x, s[f"model.{place}.weight"], s[f"model.{place}.bias"], 2, 1, 1)
        x = norm(s, f"model.{place + 1}", x).relu()
    return conv(f"model.{16 + blocks}", x, 3).sigmoid()


@pytest.mark.parametrize("size", [(40, 72), (64, 16)])
@torch.inference_mode()
def test_lama(size, fill):
    network = fill(lama.model(width=4, blocks=3), gain=0.8)
    images, masks = example(*size)
    expected = lama_by_table(network.state_dict(), torch.cat([images * (1 - masks), masks], 1), 3)
    torch.testing.assert_close(network.predict(images, masks), expected, atol=1e-5, rtol=1e-4)


def migan_by_table(s, x, size):
    """Resizing by zeros between the pixels and one kernel; noise looked up by rows and columns."""
    line = torch.tensor([1.0, 3, 3, 1])
    kernel = torch.outer(line, line) / 64

    def act(x):
        return leaky(x) * 2**0.5

    def smooth(x, pads, stride, gain):
        return F.conv2d(F.pad(x, pads).flatten(0, 1)[:, None], gain * kernel[None, None], stride=stride)[
            :, 0
        ].unflatten(0, x.shape[:2])

    def double(x):
        spaced = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        spaced[..., ::2, ::2] = x
        return smooth(spaced, [2, 1, 2, 1], 1, 4)

    def separable(name, x, way=None):
        deep = s[f"{name}.conv1.weight"]
        x = act(F.conv2d(x, deep, s[f"{name}.conv1.bias"], padding=1, groups=len(deep)))
        x = F.conv2d(smooth(x, [1, 1, 1, 1], 2, 1) if way == "halve" else x, s[f"{name}.conv2.weight"])
        x = double(x) if way == "double" else x
        if f"{name}.noise_const" in s:
            noise = s[f"{name}.noise_const"]
            rows, columns = (torch.arange(side) % len(noise) for side in x.shape[2:])
            x = x + s[f"{name}.noise_strength"] * noise[rows][:, columns]
        return act(x)

    x, skips, side = (
        act(F.conv2d(x, s[f"encoder.b{size}.fromrgb.weight"], s[f"encoder.b{size}.fromrgb.bias"])),
        {},
        size,
    )
    while side >= 4:
        skips[side] = separable(f"encoder.b{side}.conv1", x)
        x = separable(f"encoder.b{side}.conv2", skips[side], "halve" if side > 4 else None)
        side //= 2
    for side in sorted(skips):
        name = f"synthesis.b{side}"
        x = separable(f"{name}.conv1", x, "double" if side > 4 else None)
        x = separable(f"{name}.conv2", x + skips[side])
        added = F.conv2d(x, s[f"{name}.torgb.weight"], s[f"{name}.torgb.bias"])
        image = double(image) + added if side > 4 else added  # noqa: F821 - the smallest side comes first
    return ((image + 1) / 2).clamp(0, 1)


@pytest.mark.parametrize("size", [(64, 64), (80, 112)])
@torch.inference_mode()
def test_migan(size, fill):
    network = fill(migan.model(size_px=32, capacity=256, widest=16))
    images, masks = example(*size)
    shown = torch.cat([0.5 - masks, (2 * images - 1) * (1 - masks)], 1)
    expected = migan_by_table(network.state_dict(), shown, 32)
    torch.testing.assert_close(network.predict(images, masks), expected, atol=1e-5, rtol=1e-4)
