"""Images a second of every model on the shelf, and contextual attention against a plain loop over images and patches.

python perf/models.py                                       everything; on a CPU some minutes
python perf/models.py --models pconv,deepfillv2 --batches 1 --device cuda
python perf/models.py --models none                         attention alone
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from baselines.layers.attention import contextual_attention, nearest
from bench.models import check, zoo

SIZE = 256
SECONDS = 1.0
ROUNDS = 3


def seconds(work: Callable[[], object], device: str) -> float:
    """Time of one call: the median over at least a second, after one that is not counted."""
    work()
    taken: list[float] = []
    while sum(taken) < SECONDS:
        begin = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


@torch.inference_mode()
def rate(name: str, batch: int, device: str) -> float:
    """Images a second of a model without its trained weights, which change no time."""
    (reference,) = zoo.choose([name])
    model = zoo.open_model(reference, device)
    images, masks = (tensor.to(device) for tensor in check.probe(SIZE, count=batch))
    seeds = list(range(batch)) if reference.card.stochastic else None
    return batch / seconds(lambda: check.call(model, images, masks, seeds), device)


def shelf() -> list[str]:
    return [name if card.kind == "classical" else f"{name}@untrained" for name, card in zoo.cards().items()]


def by_patches(features: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """The peer: patches as kernels of convolutions, one image after another, as ports of the original do it."""
    size = list(features.shape[-2:])
    h, w = (side // 2 for side in size)
    half, holes = nearest(features, [h, w]), nearest(nearest(masks, size), [h, w])
    line = torch.eye(3, device=features.device).view(1, 1, 3, 3)
    outputs = []
    for image, small, hole in zip(features, half, holes, strict=True):
        sources = F.unfold(image[None], 4, padding=1, stride=2)[0].T.reshape(h * w, -1, 4, 4)
        keys = F.unfold(small[None], 3, padding=1)[0].T.reshape(h * w, -1, 3, 3)
        keys = keys / keys.flatten(1).norm(dim=1).clamp(min=1e-4).view(-1, 1, 1, 1)
        usable = (F.unfold(hole[None], 3, padding=1)[0].sum(0) == 0).float().view(1, -1, 1, 1)
        scores = F.conv2d(small[None], keys, padding=1)
        scores = F.conv2d(scores.view(1, 1, h * w, h * w), line, padding=1).view(1, h, w, h, w)
        scores = scores.permute(0, 2, 1, 4, 3).reshape(1, 1, h * w, h * w)
        scores = F.conv2d(scores, line, padding=1).view(1, w, h, w, h).permute(0, 2, 1, 4, 3).reshape(1, h * w, h, w)
        attention = (scores * usable * 10).softmax(1) * usable
        outputs.append(F.conv_transpose2d(attention, sources, stride=2, padding=1) / 4)
    return torch.cat(outputs)


def features(batch: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    maps = torch.randn(batch, 128, SIZE // 4, SIZE // 4).relu()
    return maps.to(device), check.probe(SIZE, count=batch)[1].to(device)


@torch.inference_mode()
def peak(work: Callable[..., torch.Tensor], maps: torch.Tensor, masks: torch.Tensor) -> float:
    """MiB that a call holds at its highest, beyond its input."""
    if maps.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work(maps, masks)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        work(maps, masks)
    events = [event for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]
    steps = (event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(itertools.accumulate(steps)) / 2**20


WAYS = (contextual_attention, by_patches)


def compare_attention(batch: int, device: str) -> None:
    """Alternate the two, so that a busy machine slows both."""
    maps, masks = features(batch, device)
    with torch.inference_mode():
        apart = (contextual_attention(maps, masks) - by_patches(maps, masks)).abs().max().item()
        pairs = [[batch / seconds(partial(work, maps, masks), device) for work in WAYS] for _ in range(ROUNDS)]
    ours, theirs = (peak(work, maps, masks) for work in WAYS)
    mine, peers = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / peer for mine, peer in pairs)
    matrix = batch * (SIZE // 8) ** 4 * 4 / 2**20
    print(f"attention, batch {batch}: ours {mine:.2f}/s  loop over images {peers:.2f}/s  ratio {ratio:.2f}", flush=True)
    print(f"   peak {ours:.0f} MiB, loop {theirs:.0f} MiB (one score matrix: {matrix:.0f} MiB); apart by {apart:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="all", help="names with commas, `all` or `none`")
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    batches = [int(batch) for batch in given.batches.split(",")]
    names = {"all": shelf(), "none": []}.get(given.models, given.models.split(","))
    print(
        f"images a second at {SIZE} x {SIZE} on {given.device}; {torch.get_num_threads()} threads, {torch.__version__}"
    )
    for name in names:
        rates = "  ".join(f"batch {batch}: {rate(name, batch, given.device):8.2f}" for batch in batches)
        print(f"{name:30} {rates}", flush=True)
    for batch in batches:
        compare_attention(batch, given.device)


if __name__ == "__main__":
    main()
