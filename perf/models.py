"""Operations and speed of every registered model; contextual attention against a plain loop over patches.

python perf/models.py                                       everything; on a CPU a quarter of an hour
python perf/models.py --docs                                the same, and writes docs/speed.md and reports/speed.csv
python perf/models.py --models pconv,deepfillv2 --batches 1 --device cuda
python perf/models.py --models none                         attention alone
python perf/models.py --formats                             what the house gains on a CPU from channels last
"""

from __future__ import annotations

import argparse
import csv
import itertools
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from baselines.layers.attention import contextual_attention, nearest
from bench.models import calling, contract, opening, predict
from bench.models import registry as model_registry
from bench.run.flops import Flops
from bench.training.features import drawn_where_missing

ROOT = Path(__file__).parent.parent
SIZE = 256
SECONDS = 1.0
ROUNDS = 3


class Taken(NamedTuple):
    """Of one call: the clock's seconds, and the processor's over all threads."""

    clock: float
    processor: float


def seconds(work: Callable[[], object], device: str) -> Taken:
    """Medians over at least a second; what comes first is not counted, so call once before."""
    taken: list[Taken] = []
    while sum(each.clock for each in taken) < SECONDS:
        begin, worked = time.perf_counter(), time.process_time()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(Taken(time.perf_counter() - begin, time.process_time() - worked))
    return Taken(*map(statistics.median, zip(*taken, strict=True)))


class Speed(NamedTuple):
    """What one model needs for one image of 256 x 256 pixels."""

    name: str
    operations: int
    """Two to a multiplication with addition; 0: no network."""
    taken: dict[int, Taken]
    """Batch -> seconds of one image."""


def speed(name: str, batches: list[int], device: str) -> Speed:
    """A model without its trained weights, which change no time; one image is predicted and counted before.

    So are networks drawn whose files are not on this machine (HR's VGG-19).
    """
    (reference,) = model_registry.choose([name])
    model, taken = opening.open_model(reference, device), {}

    def once(batch: int) -> object:
        images, masks = (tensor.to(device) for tensor in contract.probe(SIZE, count=batch))
        return predict.raw(model, reference.card, images, masks, range(batch))

    with drawn_where_missing():
        with Flops() as counter:
            once(1)
        for batch in batches:
            taken[batch] = Taken(*(each / batch for each in seconds(partial(once, batch), device)))
    return Speed(name.partition("@")[0], counter.count, taken)


@torch.inference_mode()
def compare_formats(name: str) -> None:
    """Weights with their channels last, as the house opens them on a CPU, against channels first; in turns."""
    (reference,) = model_registry.choose([name])
    last, first = (opening.open_model(reference, "cpu") for _ in range(2))
    first.to(memory_format=torch.contiguous_format)  # type: ignore[attr-defined]
    images, masks = contract.probe(SIZE, count=1)
    calls = [
        partial(calling.call, one, images, masks, [0] if reference.card.stochastic else None) for one in (last, first)
    ]
    apart = (calls[0]() - calls[1]()).abs().max().item()
    rounds = [[seconds(call, "cpu").processor for call in calls] for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(theirs / ours for ours, theirs in rounds)
    print(
        f"{name:24} last {ours:.3f} s, first {theirs:.3f} s of processor, ratio {ratio:.2f}; apart by {apart:.1e}",
        flush=True,
    )


def line(found: Speed) -> str:
    """For the terminal."""
    rates = "  ".join(
        f"batch {batch}: {1 / each.clock:8.2f}/s {each.processor:8.4f} s of processor an image"
        for batch, each in found.taken.items()
    )
    return f"{found.name:14} {found.operations / 1e9:8.2f} GFLOP  {rates}"


def page(speeds: list[Speed], batches: list[int], where: str) -> str:
    """The first section of docs/speed.md."""
    heads = [f"batch {batch}: images a second | processor seconds an image" for batch in batches]
    rows = [f"| model | GFLOP | {' | '.join(heads)} |", f"|---|--:|{'--:|' * 2 * len(batches)}"]
    for found in speeds:
        counted = f"{found.operations / 1e9:.1f}" if found.operations else ""
        cells = [f"{1 / each.clock:.3g} | {each.processor:.3g}" for each in found.taken.values()]
        rows.append(f"| `{found.name}` | {counted} | {' | '.join(cells)} |")
    return PAGE.format(where=where, table="\n".join(rows))


def keep(speeds: list[Speed]) -> None:
    """Put what one image costs into `reports/speed.csv`, which `bench models list` shows; other models' rows stand."""
    path = ROOT / "reports" / "speed.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    for found in speeds:
        model, _, variant = found.name.partition(":")
        counted = f"{found.operations / 1e9:.1f}" if found.operations else ""
        taken = found.taken[min(found.taken)].processor
        rows[model] = {"model": model, "variant": variant, "gflop": counted, "seconds": f"{taken:.3g}"}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("model", "variant", "gflop", "seconds"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[model] for model in sorted(rows))


PAGE = """# Speed

Every model in its default variant (`quick` where there is one) at {where}.
Written by `python perf/models.py --docs`; `bench models list` shows the same seconds, from `reports/speed.csv`.

GFLOP are thousand millions of floating-point operations for an image, two to a multiplication with addition, as
`run.json` has them too. `tests/baselines/test_operations.py` holds them against the published layer tables, within 2 %:
nothing that only training needs is worked out.

Seconds of the clock are rough, since other work ran on the machine all the while; seconds of the processor, over all
threads, say what a model costs.

{table}
"""


def registered() -> list[str]:
    """Every model's default variant; of those that search for a minute an image, the quick one."""
    names = {
        name: f"{name}:quick" if "quick" in card.variants else name for name, card in model_registry.cards().items()
    }
    return [
        names[name] if card.kind == "classical" else f"{names[name]}@untrained"
        for name, card in model_registry.cards().items()
    ]


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
    return maps.to(device), contract.probe(SIZE, count=batch)[1].to(device)


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
        pairs = [[batch / seconds(partial(work, maps, masks), device).clock for work in WAYS] for _ in range(ROUNDS)]
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
    parser.add_argument("--formats", action="store_true", help="compare layouts of weights in memory, nothing else")
    parser.add_argument("--docs", action="store_true", help="also write docs/speed.md and reports/speed.csv")
    given = parser.parse_args()
    batches = [int(batch) for batch in given.batches.split(",")]
    names = {"all": registered(), "none": []}.get(given.models, given.models.split(","))
    where = f"{SIZE} x {SIZE} on {machine(given.device)}, torch {torch.__version__}"
    print(where)
    if given.formats:
        for name in names:
            if name.endswith("@untrained"):
                compare_formats(name)
        return
    speeds = []
    for name in names:
        speeds.append(speed(name, batches, given.device))
        print(line(speeds[-1]), flush=True)
    if given.docs:
        path = ROOT / "docs" / "speed.md"
        _, sign, others = path.read_text(encoding="utf-8").partition("\n## ")  # other commands write these
        path.write_text(page(speeds, batches, where) + sign + others, encoding="utf-8")
        keep(speeds)
    for batch in batches:
        compare_attention(batch, given.device)


def machine(device: str) -> str:
    """In words."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"a CPU ({platform.machine()}), threads: {torch.get_num_threads()}"


if __name__ == "__main__":
    main()
