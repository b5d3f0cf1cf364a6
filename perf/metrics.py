"""Pair metrics and the whole suite against other libraries: same process, same images, interleaved, medians, ratios.

python perf/metrics.py                                  SSIM, LPIPS and the suite: 3 models x 6 buckets x 64 images
python perf/metrics.py --images 8 --models 1 --buckets 2 --rounds 1       a quick look
python perf/metrics.py --device cuda                    and the memory beyond the networks
python perf/metrics.py --docs --images 16               writes docs/metrics.md; a quarter of the suite's images

Networks have drawn weights, the same in ours and in the peer: speed does not depend on them, agreement is tested. Wall
time and processor time are both measured; on a shared machine the second is the fairer one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
import torchvision
from skimage.color import rgb2gray
from skimage.feature import canny
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from bench.metrics import lpips
from bench.metrics import registry as metric_registry
from bench.metrics.features import inception

warnings.filterwarnings("ignore", category=UserWarning, module="torch.*")

SUITE = ("psnr", "ssim-wang", "l1", "lpips-alex")
PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
Work = Callable[[], object]


class Pictures(NamedTuple):
    """Truth, output (equal to it outside the hole) and masks, as metrics take them."""

    truth: torch.Tensor
    output: torch.Tensor
    masks: torch.Tensor


def pictures(count: int, size: int, device: str) -> Pictures:
    """Smooth pictures with noise; a third of each is missing and badly filled."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 12, 12, generator=draw) * 255
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic")
    truth = (smooth + 12 * torch.randn(smooth.shape, generator=draw)).clamp(0, 255).to(torch.uint8)
    blobs = torch.nn.functional.interpolate(torch.rand(count, 1, 9, 9, generator=draw), (size, size), mode="bilinear")
    masks = blobs > blobs.flatten(1).quantile(2 / 3, dim=1).view(-1, 1, 1, 1)
    filled = (0.7 * smooth + 30 + 6 * torch.randn(smooth.shape, generator=draw)).clamp(0, 255).to(torch.uint8)
    return Pictures(truth.to(device), torch.where(masks, filled, truth).to(device), masks.to(device))


class Race(NamedTuple):
    """Median seconds of ours and of the peer, and how many times the peer's fit."""

    wall: tuple[float, float]
    processor: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Of wall time."""
        return self.wall[1] / self.wall[0]

    @property
    def spent(self) -> float:
        """Ratio of processor time."""
        return self.processor[1] / self.processor[0]

    @property
    def line(self) -> str:
        """For the screen."""
        mine, theirs = self.wall
        return f"ours {mine:8.3f} s, peer {theirs:8.3f} s, ratio {self.ratio:5.1f} (processor {self.spent:5.1f})"


def race(ours: Work, peer: Work, rounds: int, device: str, warm_up: bool = True) -> Race:
    """One uncounted round, then ours and the peer by turns."""
    taken: dict[Work, list[tuple[float, float]]] = {ours: [], peer: []}
    for counted in [False] * warm_up + [True] * rounds:
        for work in (ours, peer):
            begin, spent = time.perf_counter(), time.process_time()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            if counted:
                taken[work].append((time.perf_counter() - begin, time.process_time() - spent))
    medians = [[statistics.median(column) for column in zip(*taken[work], strict=True)] for work in (ours, peer)]
    return Race(*((mine, theirs) for mine, theirs in zip(*medians, strict=True)))


# --- what is measured: ours -------------------------------------------------------------------------------------------


def opened(name: str, device: str) -> object:
    """A pair metric; LPIPS with the drawn weights that its peer has too."""
    if not name.startswith("lpips-"):
        return metric_registry.open_metric(name, device)
    net = name.removeprefix("lpips-")
    return lpips.Perceptual(net, backbone(net), lpips.heads(net), torch.device(device))


def backbone(net: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return getattr(torchvision.models, lpips.BACKBONES[net].build)(weights=None).state_dict()


def drawn_inception() -> dict[str, torch.Tensor]:
    """Weights that keep activations in range, and normalisations with statistics of their own."""
    torch.manual_seed(0)
    state = inception.network().state_dict()
    drawn = {name: torch.randn(tensor.shape) for name, tensor in state.items() if tensor.ndim}
    for name, tensor in drawn.items():
        if tensor.ndim > 1:
            tensor.mul_((2 / tensor[0].numel()) ** 0.5)
        else:
            tensor.mul_(0.1).add_(float(name.endswith(("weight", "running_var"))))
    return {name: drawn.get(name, torch.zeros((), dtype=torch.int64)) for name in state}


def own_inception(device: str) -> inception.Inception:
    net = inception.network()
    net.load_state_dict(drawn_inception(), assign=True)
    return inception.Inception(net, torch.device(device))


# --- what it is measured against --------------------------------------------------------------------------------------


def arrays(images: torch.Tensor) -> list[np.ndarray]:
    """Images [H, W, 3] for libraries of arrays."""
    return [image.permute(1, 2, 0).contiguous().cpu().numpy() for image in images]


def each(
    function: Callable[..., float], weights: tuple[float, ...] | None, truth: torch.Tensor, *rest: torch.Tensor
) -> list[float]:
    """A function of two arrays for every pair, on RGB or on one weighted plane in float64."""
    truths, outputs = arrays(truth), arrays(rest[0])
    if weights:
        truths, outputs = ([image @ np.array(weights) for image in images] for images in (truths, outputs))
    return [float(function(*pair)) for pair in zip(truths, outputs, strict=True)]


def absolute(truth: np.ndarray, output: np.ndarray) -> float:
    return mean_absolute_error(truth.ravel().astype(float), output.ravel().astype(float))


def hole_of_map(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> list[float]:
    values = []
    for one, other, mask in zip(arrays(truth), arrays(output), masks.cpu().numpy()[:, 0], strict=True):
        _, found = structural_similarity(one, other, data_range=255, channel_axis=2, full=True, **WANG)
        values.append(found[5:-5, 5:-5][mask[5:-5, 5:-5]].mean())
    return values


def by_torchmetrics_ssim(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    return ssim(output.double(), truth.double(), data_range=255.0, reduction="none")


def by_torchmetrics_psnr(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    from torchmetrics.functional.image import peak_signal_noise_ratio as psnr

    return psnr(output.double(), truth.double(), data_range=255.0)[None]


def by_pytorch_msssim(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    import pytorch_msssim

    return pytorch_msssim.ms_ssim(output.double(), truth.double(), data_range=255, size_average=False)


def lpips_package(net: str, device: str) -> Callable[..., torch.Tensor]:
    """The package's own network under our drawn weights."""
    import lpips as package

    metric = package.LPIPS(net=net, pnet_rand=True, verbose=False).to(device)
    drawn = backbone(net)
    metric.net.load_state_dict({name: drawn[f"features.{name.partition('.')[2]}"] for name in metric.net.state_dict()})

    @torch.inference_mode()
    def values(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return metric(truth.float() / 127.5 - 1, output.float() / 127.5 - 1).flatten()

    return values


def edges_by(
    score: Callable[..., float], truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor
) -> list[float]:
    """Canny of scikit-image and a score of scikit-learn, on the pixels of the hole."""
    drawn = [[canny(rgb2gray(image), sigma=2) for image in arrays(images)] for images in (truth, output)]
    return [score(one[hole], two[hole]) for one, two, hole in zip(*drawn, masks[:, 0].cpu().numpy(), strict=True)]


GREY, LUMA = (0.2125, 0.7154, 0.0721), (0.299, 0.587, 0.114)
psnr = partial(peak_signal_noise_ratio, data_range=255)
ssim_rgb = partial(structural_similarity, data_range=255, channel_axis=2)
ssim_plane = partial(structural_similarity, data_range=255)

PEERS: dict[str, tuple[str, Callable[..., Iterable[float]]]] = {
    "psnr": ("scikit-image", partial(each, psnr, None)),
    "psnr-pooled": ("torchmetrics", by_torchmetrics_psnr),
    "psnr-ec": ("scikit-image", partial(each, psnr, GREY)),
    "psnr-ec-train": ("scikit-image", partial(each, psnr, None)),
    "psnr-picnet": ("scikit-image", partial(each, psnr, None)),
    "psnr-y": ("scikit-image", partial(each, psnr, LUMA)),
    "mse-255": ("scikit-image", partial(each, mean_squared_error, None)),
    "l1-255": ("scikit-learn", partial(each, absolute, None)),
    "ssim-wang": ("scikit-image", partial(each, partial(ssim_rgb, **WANG), None)),
    "ssim-wang-hole": ("scikit-image", hole_of_map),
    "ssim-sk7": ("scikit-image", partial(each, ssim_rgb, None)),
    "ssim-u11": ("scikit-image", partial(each, partial(ssim_plane, win_size=11), GREY)),
    "ssim-ec51": ("scikit-image", partial(each, partial(ssim_plane, win_size=51), GREY)),
    "ssim-tm": ("torchmetrics", by_torchmetrics_ssim),
    "ms-ssim": ("pytorch-msssim", by_pytorch_msssim),
    "edge-accuracy": ("scikit-image", partial(edges_by, lambda *pair: 100 * accuracy_score(*pair))),
    "edge-f1": ("scikit-image", partial(edges_by, f1_score)),
}


def peer_of(name: str, device: str) -> tuple[str, Callable[..., Iterable[float]]] | None:
    if name.startswith("lpips-"):
        return "lpips", lpips_package(name.removeprefix("lpips-"), device)
    return PEERS.get(name)


def pytorch_fid_extractor(device: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """pytorch-fid's own module, which takes 0..1, under our drawn weights."""
    from pytorch_fid.inception import InceptionV3

    with mock.patch("pytorch_fid.inception.load_state_dict_from_url", return_value=drawn_inception()):
        net = InceptionV3().eval().to(device)

    @torch.inference_mode()
    def extract(images: torch.Tensor) -> torch.Tensor:
        return net(images.float() / 255)[0].flatten(1)

    return extract


# --- comparisons ------------------------------------------------------------------------------------------------------


def ssim_alone(data: Pictures, rounds: int, device: str) -> dict[str, Race]:
    """Ours with the truth's moments made anew each time, and with them shared as a run shares them."""
    import pytorch_msssim
    from torchmetrics.functional.image import structural_similarity_index_measure

    metric = metric_registry.open_metric("ssim-wang", device)
    prepared = metric.prepare(data.truth)
    truth, output = data.truth.float(), data.output.float()
    works = {
        "shared truth": lambda: metric.compare(prepared, data.output, data.masks),
        "one pair": lambda: metric.compare(metric.prepare(data.truth), data.output, data.masks),
    }
    peers = {
        "pytorch-msssim": lambda: pytorch_msssim.ssim(output, truth, data_range=255, size_average=False),
        "torchmetrics": lambda: structural_similarity_index_measure(output, truth, data_range=255.0),
    }
    return {
        f"ssim-wang ({how}) against {name}": race(work, peer, rounds, device)
        for how, work in works.items()
        for name, peer in peers.items()
    }


def lpips_alone(data: Pictures, rounds: int, device: str, net: str = "alex") -> dict[str, Race]:
    metric, peer = opened(f"lpips-{net}", device), lpips_package(net, device)
    prepared = metric.prepare(data.truth)
    ours = partial(metric.compare, prepared, data.output, data.masks)
    return {f"lpips-{net} (shared truth) against lpips": race(ours, partial(peer, *data), rounds, device)}


class Suite:
    """PSNR, SSIM, L1, LPIPS-alex and Inception's vectors for some models and buckets on one shard of images."""

    def __init__(self, data: Pictures, cells: int, device: str) -> None:
        self.data, self.cells = data, cells
        self.metrics = {name: opened(name, device) for name in SUITE}
        self.extractor = own_inception(device)
        self.their_extractor = pytorch_fid_extractor(device)
        self.theirs = suite_of_others(device, self.their_extractor)
        self.truth_seconds = 0.0

    def ours(self) -> None:
        """As a run does it."""
        prepared = {name: metric.prepare(self.data.truth) for name, metric in self.metrics.items()}
        self.extractor.extract(self.data.truth)
        for _ in range(self.cells):
            for name, metric in self.metrics.items():
                metric.compare(prepared[name], self.data.output, self.data.masks)
            self.extractor.extract(self.data.output)

    def networks(self) -> None:
        """The share of `ours` that the two networks take: forward passes alone, in the same batches."""
        perceptual = self.metrics["lpips-alex"]
        for images in [self.data.truth] + [self.data.output] * self.cells:
            self.extractor.extract(images)
            with torch.inference_mode():
                for start in range(0, len(images), perceptual.size):
                    perceptual._activations(images[start : start + perceptual.size])  # noqa: SLF001

    def peers(self) -> None:
        """One after another on each pair; the seconds for the truth's vectors are counted apart too."""
        for _ in range(self.cells):
            for index in range(len(self.data.truth)):
                truth, output = (part[index : index + 1] for part in self.data[:2])
                self.theirs(truth, output)
                begin = time.perf_counter()
                self.their_extractor(truth)
                self.truth_seconds += time.perf_counter() - begin


def suite_of_others(device: str, extract: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., None]:
    """The peers: torchmetrics' PSNR, SSIM and LPIPS, and the vectors of the output."""
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    perceptual = torchmetrics_lpips(device)

    @torch.inference_mode()
    def measure(truth: torch.Tensor, output: torch.Tensor) -> None:
        a, b = truth.float() / 255, output.float() / 255
        peak_signal_noise_ratio(b, a, data_range=1.0)
        structural_similarity_index_measure(b, a, data_range=1.0)
        perceptual(2 * b - 1, 2 * a - 1)
        extract(output)

    return measure


def torchmetrics_lpips(device: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The network of torchmetrics under drawn weights."""
    from torchmetrics.functional.image import lpips as theirs

    return theirs._LPIPS(pretrained=True, net="alex", pnet_rand=True).eval().to(device)  # noqa: SLF001


def memory(data: Pictures) -> str:
    """Peak of CUDA memory beyond what stands before the first image: networks and pictures."""
    metrics, extractor = [opened(name, "cuda") for name in SUITE], own_inception("cuda")
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    extractor.extract(data.truth)
    prepared = [metric.prepare(data.truth) for metric in metrics]
    for metric, known in zip(metrics, prepared, strict=True):
        metric.compare(known, data.output, data.masks)
    extractor.extract(data.output)
    most = (torch.cuda.max_memory_allocated() - before) / 2**30
    return f"{most:.2f} GiB beyond the networks for {len(data.truth)} images"


# --- the page ---------------------------------------------------------------------------------------------------------


def row(name: str, data: Pictures, rounds: int, device: str) -> str:
    """A line of the table: definition's reference and tolerance, and where the library is here, what was measured."""
    card = metric_registry.cards()[name]
    start = f"| `{name}` | {card.reference} | {card.tolerance} |"
    if metric_registry.kind(name) == "set":
        return f"{start} perf/sets.py | |"
    if (peer := peer_of(name, device)) is None:
        return f"{start} {'tests, drawn weights' if card.weights else 'stored figures'} | |"
    library, theirs = peer
    metric = opened(name, device)
    prepared = metric.prepare(data.truth)
    ours = metric.compare(prepared, data.output, data.masks).cpu().numpy()
    values = np.array([float(value) for value in theirs(*data)])
    gap = np.abs((metric.reduce(ours) if len(values) < len(ours) else ours) - values).max()
    speed = race(partial(metric.compare, prepared, data.output, data.masks), partial(theirs, *data), rounds, device)
    print(f"{name:16} {gap:.1e}   {speed.line}", flush=True)
    ratio = speed.ratio if device == "cuda" else speed.spent
    return f"{start} {gap:.0e} ({library}) | {ratio:.1f} |"


HEAD = """# Metrics: agreement and speed

Written by `{command}` ({where}, torch {torch}). `bench metrics show NAME` prints a variant's formula and who uses it.

*Tolerance* is what the tests hold the variant to. *Measured* is the largest difference from the library in brackets
over {count} drawn pairs of {size} x {size} pixels, a third of each missing, networks under equal weights; where the
reference is no installed library, the tests compare with figures that it gave (`tests/data`). *Speed* is the library's
{clock} time over ours with the truth prepared, as in a run: medians of interleaved rounds in one process. On a CPU it
is processor time, which other work on the machine disturbs less than wall time.

Networks of metrics compute in float32, and autocast and TF32 are shut off around them: no option gives TF32 or
bfloat16, since what these do to FID and LPIPS has not been measured. {elsewhere}Metrics of sets are measured by
`perf/sets.py`; the figures stand in `docs/protocols.md`.

**Metrics of other packages** are named `torchmetrics:NAME`, `piq:NAME`, `pyiqa:NAME` in `--metrics`, as `bench metrics
list --library piq` lists them: every full-reference and no-reference image metric that the installed package offers,
under its own name and version, with its own direction and range. The package is called for one 8-bit picture at a time,
in 0..1 (`VisualInformationFidelity` of torchmetrics in 0..255, for which its constant is meant), so that a number that
it would give for a batch is that of an image. Another version of the package is another metric: it names the run. Files
that a package would fetch are told before a run; `bench metrics fetch pyiqa:musiq` lets it fetch them. piq and pyiqa
come with `pip install '.[iqa]'`.

| variant | reference | tolerance | measured | speed |
|---|---|---|---|---|
{lines}

## Against the fastest of others

pytorch-msssim and torchmetrics compute in float32 here, as they are called by default; ours in float64.

| comparison | ratio of wall time | ratio of processor time |
|---|---|---|
{races}

{suite}
"""


def page(lines: list[str], races: dict[str, Race], suite: str, few: Pictures, device: str) -> str:
    """The text of docs/metrics.md."""
    threads = torch.get_num_threads()
    shown = f"CPU, {threads} thread{'s' * (threads > 1)}"
    return HEAD.format(
        command=" ".join([f"OMP_NUM_THREADS={threads} python perf/metrics.py", *sys.argv[1:]]),
        where=torch.cuda.get_device_name() if device == "cuda" else shown,
        clock="wall" if device == "cuda" else "processor",
        elsewhere="" if device == "cuda" else "Speed and memory on a GPU: [docs/gpu.md](gpu.md). ",
        torch=torch.__version__,
        count=len(few.truth),
        size=few.truth.shape[-1],
        lines="\n".join(lines),
        races="\n".join(f"| {name} | {one.ratio:.1f} | {one.spent:.1f} |" for name, one in races.items()),
        suite=suite,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--buckets", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", action="store_true", help="also every variant, and write docs/metrics.md")
    options = parser.parse_args()
    device, rounds = options.device, options.rounds
    data = pictures(options.images, options.size, device)
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {options.images} images")
    few = Pictures(*(part[:8] for part in data))
    lines = [row(name, few, rounds, device) for name in metric_registry.cards()] if options.docs else []
    races = ssim_alone(few, rounds, device) | lpips_alone(few, rounds, device)
    for name, one in races.items():
        print(f"{name:48} {one.line}", flush=True)
    said = whole_suite(data, options.models * options.buckets, device)
    print(said)
    if options.docs:
        PAGE.write_text(page(lines, races, said, few, device))


def whole_suite(data: Pictures, cells: int, device: str) -> str:
    """Pairs a second of ours and of the peers, one round of each."""
    suite = Suite(data, cells, device)
    suite.theirs(data.truth[:1], data.output[:1])
    whole = race(suite.ours, suite.peers, 1, device, warm_up=False)
    share = race(suite.networks, suite.ours, 1, device, warm_up=False)
    pairs = cells * len(data.truth)
    mine, theirs = whole.wall
    said = (
        f"The suite (PSNR, SSIM, L1, LPIPS-alex, Inception's vectors), {cells} cells on {len(data.truth)} images: "
        f"{pairs / mine:.1f} pairs a second; torchmetrics and pytorch-fid, called one after another on each pair, "
        f"{pairs / theirs:.1f}. Ratio {whole.ratio:.1f} of wall time, {whole.spent:.1f} of processor time; were the "
        f"truth's vectors never asked of them, {(theirs - suite.truth_seconds) / mine:.1f}. Inside the two networks: "
        f"{share.wall[0] / share.wall[1]:.0%} of our time."
    )
    return f"{said} Memory: {memory(data)}." if device == "cuda" else said


if __name__ == "__main__":
    main()
