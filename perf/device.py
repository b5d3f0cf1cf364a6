"""The parts of `make gpu`, each in a process of its own; facts as lines of JSON, so that a fault loses only its own.

python perf/device.py speed --device cuda --lines FILE --models pconv,ce
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from bench.models import arithmetic, calling, contract, opening, predict
from bench.models import registry as model_registry
from bench.run.plan import Task
from bench.run.spec import resolve
from bench.run.worker import Begun, CellOutcome, Worker
from bench.runfolder.parts import Parts
from bench.types import PRECISIONS, Execution, RunSpec

SIZE_PX = 256
BATCHES = (1, 8, 32)
SECONDS = 0.25
"""Of calls that are measured together, after one that is not."""
SLOW_S = 2.0
"""A first call that takes longer is the measurement, and no larger batch is tried."""
BATCH = 16
"""Of the inner loop."""
PRECISE = ("pconv", "glcic", "deepfillv2")
LOOPED = ("pconv", "glcic", "deepfillv2", "aotgan", "lama")
QUICK = {"dgm": "quick", "hr": "quick"}
"""Searches: their shortest variants stand for them."""
TRAINING_S = 22.0


class Teller:
    """Writes a line of JSON for each thing that was measured, at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, **facts: Any) -> None:
        """A line of facts."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")
        print(facts, flush=True)

    @contextmanager
    def told(self, **what: Any) -> Iterator[dict[str, Any]]:
        """Facts that the body fills in; a fault in it becomes one of them."""
        facts = dict(what)
        try:
            yield facts
        except Exception as fault:  # noqa: BLE001  any model may fail in any way; the others go on
            facts["fault"] = f"{type(fault).__name__}: {(str(fault).splitlines() or [''])[0][:300]}"
        self(**facts)


def forms(names: str) -> list[str]:
    """Learned models without weights, which change no time."""
    cards = model_registry.cards()
    wanted = [name for name, card in cards.items() if card.kind == "learned"] if names == "all" else names.split(",")
    return [f"{name}:{QUICK[name]}@untrained" if name in QUICK else f"{name}@untrained" for name in wanted]


def waits(work: Callable[[], object], device: str) -> str:
    """Where the processor waits for the device, or that it never does."""
    if device != "cuda":
        return ""
    torch.cuda.set_sync_debug_mode("error")
    try:
        work()
    except RuntimeError as fault:
        frames = [each for each in traceback.extract_tb(fault.__traceback__) if "/torch/" not in each.filename]
        last = frames[-1]
        return f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.lineno}: {str(fault)[:80]}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "nowhere"


def elapsed(work: Callable[[], object], device: str) -> float:
    """Seconds of one call: of the first where it is slow, else the mean of many that wait for the device once."""
    taken = []
    for least in (0.0, SECONDS):
        calls, begin = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - begin < least:
            work()
            calls += 1
            if device == "cuda" and calls % 8 == 0:
                torch.cuda.synchronize()  # calls return before they are done; without this they pile up
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append((time.perf_counter() - begin) / calls)
        if taken[0] > SLOW_S:
            break
    return taken[-1]


def speed(given: argparse.Namespace, tell: Teller) -> None:
    """Images a second of every model at batch 1 and at the best of a few, and the most memory that it held."""
    for name in forms(given.models):
        with tell.told(model=name.partition("@")[0]) as facts, torch.no_grad():
            ref = model_registry.only(name)
            model = opening.open_model(ref, given.device)
            facts["parameters"] = sum(part.numel() for part in model.parameters())  # type: ignore[attr-defined]
            facts["size_px"] = max(predict.padded(model, ref.card, SIZE_PX, SIZE_PX))
            for batch in BATCHES:
                facts[str(batch)] = found = of_batch(model, ref.card, facts["size_px"], batch, given.device)
                if batch / found["images_s"] > SLOW_S:
                    break


def of_batch(model: Any, card: Any, size_px: int, batch: int, device: str) -> dict[str, Any]:
    """Rate and peak memory of one batch size, and where a network waits for its own values."""
    images, masks = (tensor.to(device) for tensor in contract.probe(size_px, count=batch))
    seeds = list(range(batch)) if calling.takes_seeds(model, card) else None
    work = partial(calling.call, model, images, masks, seeds)
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    taken = elapsed(work, device)
    most = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0
    return {"images_s": round(batch / taken, 2), "memory_mib": round(most), "waits": waits(work, device)}


class Loop:
    """A run's inner loop: the worker of one model, with the photographs on the device."""

    def __init__(self, spec: RunSpec, device: str, folder: Path) -> None:
        self.name, self.device, self.job = spec.models[0], device, resolve(spec)
        self.worker = Worker(self.job, Execution(device=device, batch=BATCH), Parts(folder / "parts", self.job.digest))
        photographs = self.worker.inputs.photographs(0, len(self.job.ids))
        self.shard = self.worker.shard(Task(0, len(self.job.ids), ()), photographs)
        self.pairs = len(self.job.ids) * len(self.job.cells)

    def begin(self) -> list[Begun | CellOutcome]:
        """All cells, none waited for; raises the fault of the first that failed."""
        begun = [self.worker.begin(self.name, cell, self.shard) for cell in self.job.cells]
        for fault in self.worker.log.faults.values():
            raise fault
        return begun

    def all(self) -> None:
        """Begun and finished."""
        self.worker.finish(self.name, self.shard, self.begin())

    def alone(self) -> None:
        """The network on as many images in the same batches, without the house."""
        predictor = self.worker.models.open(self.name)
        images, masks = (each.to(self.device) for each in contract.probe(SIZE_PX, count=BATCH))
        seeds = list(range(BATCH)) if calling.takes_seeds(predictor.model, predictor.card) else None
        with torch.inference_mode():
            for _ in range(-(-self.pairs // BATCH)):
                calling.call(predictor.model, images, masks, seeds)


def loop(given: argparse.Namespace, tell: Teller) -> None:
    """Rates of the inner loop and of its network alone, where it waits, and when the GPU is idle."""
    names = LOOPED if given.models == "all" else given.models.split(",")
    with tempfile.TemporaryDirectory() as folder:
        photographs(Path(folder) / "photographs", 64 if given.device == "cuda" else 2)
        for name in names:
            with tell.told(model=name) as facts:
                model, root = (f"{name}@untrained",), str(Path(folder) / "photographs")
                metrics = ("psnr", "ssim-wang", "l1")
                spec = RunSpec(model, "folder", root, None, ("freeform",), "deciles", metrics)
                looped = Loop(spec, given.device, Path(folder))
                predictor = looped.worker.models.open(looped.name)
                predictor.batch, predictor.settled = BATCH, True  # the proof that it changes no bit takes long
                looped.all()
                facts["waits"] = waits(looped.begin, given.device)
                looped.worker.log.faults.clear()
                for fact, work in (("images_s", looped.all), ("alone_s", looped.alone)):
                    facts[fact] = round(looped.pairs / elapsed(work, given.device), 1)
                if given.device == "cuda":
                    facts.update(profiled(looped.all, looped.pairs))


def profiled(work: Callable[[], object], images: int) -> dict[str, float]:
    """Kernels and copies an image; the share of the time from the first to the last of them in which none ran."""
    with profile(activities=[ProfilerActivity.CUDA]) as watched:
        work()
        torch.cuda.synchronize()
    events = [each for each in watched.profiler.kineto_results.events() if str(each.device_type()).endswith("CUDA")]
    spans = sorted((each.start_ns(), each.start_ns() + each.duration_ns()) for each in events)
    busy, reached = 0, spans[0][0]
    for start, stop in spans:
        busy += max(0, stop - max(start, reached))
        reached = max(reached, stop)
    return {"idle": round(1 - busy / (reached - spans[0][0]), 4), "kernels": round(len(spans) / images, 1)}


def precision(given: argparse.Namespace, tell: Teller) -> None:
    """What TF32, bfloat16 and the compiler change: 8-bit pictures, PSNR and speed, against float32."""
    names = PRECISE if given.models == "all" else given.models.split(",")[:1]
    named = PRECISIONS if given.device == "cuda" else ("float32", "bf16")
    plain: dict[str, Computed] = {}
    for name, option in [*itertools.product(names, named), (names[0], "compiled")]:  # which takes long, hence last
        with tell.told(model=name, option=option) as facts:
            found = computed(f"{name}@starter", option, given.device)
            before = plain.setdefault(name, found)
            gap = (found.pictures.int() - before.pictures.int()).abs()
            facts["largest"], facts["mean"] = gap.max().item(), round(gap.double().mean().item(), 5)
            facts["psnr"], facts["speed"] = round(found.psnr - before.psnr, 5), round(before.seconds / found.seconds, 2)


class Computed(NamedTuple):
    """Sixteen completions."""

    pictures: torch.Tensor
    psnr: float
    seconds: float


def computed(name: str, option: str, device: str) -> Computed:
    """Raw whole answers as 8 bits on shipped photographs, the mean of their PSNR, and seconds of a batch."""
    spec = RunSpec(
        (name,), "demo", None, None, ("freeform",), "30-40", ("psnr",), limit=BATCH if device == "cuda" else 2
    )
    with tempfile.TemporaryDirectory() as folder:
        looped = Loop(spec, device, Path(folder))
    predictor, truth = looped.worker.models.open(name), looped.shard.images
    predictor.batch, predictor.settled = len(truth), True
    compiled = option == "compiled"
    arithmetic.apply(predictor.model, "float32" if compiled else option, compiled=compiled)
    masks = looped.worker.inputs.masks(looped.job.cells[0], 0, len(truth)).holes
    work = partial(predictor.answers, truth, torch.from_numpy(masks)[:, None].to(device), range(len(truth)))
    pictures = work()
    errors = (pictures.double() - truth.double()).square().flatten(1).mean(1)
    return Computed(pictures, (10 * torch.log10(255**2 / errors)).mean().item(), elapsed(work, device))


def suite(given: argparse.Namespace, tell: Teller) -> None:
    """Our metrics against torchmetrics, lpips and pytorch-fid called one after another; drawn weights on both sides."""
    from perf import metrics

    data = metrics.pictures(64, SIZE_PX, given.device)
    few = data if given.device == "cuda" else metrics.Pictures(*(part[:8] for part in data))
    for work in (metrics.ssim_alone, metrics.lpips_alone):
        with tell.told(comparison=work.__name__, images=len(few.truth)) as facts:
            facts |= {name: round(race.ratio, 2) for name, race in work(few, 3, given.device).items()}
    with tell.told(comparison="suite") as facts:
        facts["sentence"] = metrics.whole_suite(few, 3, given.device)


def photographs(folder: Path, count: int) -> Path:
    """So many drawn pictures as PNG files."""
    from bench import images as pictures

    folder.mkdir()
    drawn = np.random.default_rng(0)
    for index in range(count):
        coarse = drawn.integers(0, 256, (16, 16, 3)).repeat(16, 0).repeat(16, 1)
        noisy = (coarse + drawn.integers(-20, 21, (SIZE_PX, SIZE_PX, 3))).clip(0, 255).astype(np.uint8)
        (folder / f"{index:04}.png").write_bytes(pictures.encode_png(noisy))
    return folder


def training(given: argparse.Namespace, tell: Teller) -> None:
    """Steps a second of a starter's training, by the clock between the first and the last line of its log."""
    for name in ("pconv",) if given.models == "all" else given.models.split(",")[:1]:
        folder = Path(tempfile.mkdtemp())
        root = photographs(folder / "photographs", 64)
        command = [sys.executable, "-m", "bench", "train", name, "--recipe", "starter", "--dataset", "folder"]
        command += ["--root", str(root), "--out", str(folder / "out"), "--device", given.device, "--tag", "measured"]
        with tell.told(training=name, device=given.device) as facts:
            facts.update(watched([*command, "--workers", "4", "--quiet"], folder / "out" / "log.csv"))
        shutil.rmtree(folder)


def watched(command: list[str], log: Path) -> dict[str, Any]:
    """Run a training for a while and stop it as Ctrl-C does."""
    from bench.training.log import rows

    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen: list[tuple[float, int]] = []
    end = time.monotonic() + TRAINING_S
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.2)
        step = max((int(row["step"]) for row in rows(log)), default=0) if log.is_file() else 0
        if step and (not seen or step > seen[-1][1]):
            seen.append((time.monotonic(), step))
    process.send_signal(signal.SIGINT)
    try:
        said, _ = process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    if len(seen) < 2:
        raise RuntimeError(f"no two lines in the log; it said: {said.strip()[-250:]}")
    (begin, first), (last, steps) = seen[0], seen[-1]
    return {"steps": steps, "steps_s": round((steps - first) / (last - begin), 2)}


SECTIONS = {"loop": loop, "precision": precision, "speed": speed, "suite": suite, "training": training}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", default="all", help="names with commas, or `all`")
    parser.add_argument("--lines", type=Path, required=True, help="file to which facts are added")
    given = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    SECTIONS[given.section](given, Teller(given.lines))


if __name__ == "__main__":
    main()
