"""Every check and benchmark for a CUDA device in one command; figures into perf/results/DEVICE.json and docs/gpu.md.

python perf/gpu.py                                  (make gpu) four minutes
python perf/gpu.py --device cpu --models pconv,ce   the same way on two models without a GPU: nothing to be quoted
python perf/gpu.py --page perf/results/DEVICE.json  the page alone, from figures that are there
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bench.models import registry as model_registry

HOUSE = Path(__file__).parent.parent
PAGE = HOUSE / "docs" / "gpu.md"
TOTAL_S = 225.0
LIMITS_S = {"checks": 65.0, "loop": 45.0, "speed": 85.0, "suite": 40.0, "training": 40.0, "precision": 45.0}
"""Sections in their order, and the most that each may take; all together end after `TOTAL_S`."""


def command(section: str, given: argparse.Namespace) -> list[str]:
    """What a section runs; facts go to the file that LINES or `--lines` names."""
    if section != "checks":
        return [*("perf/device.py", section, "--device", given.device, "--models", given.models), "--lines"]
    spread = ["-n", "8"] if find_spec("xdist") and given.device == "cuda" else []
    words = ["-m", "pytest", "tests/test_gpu.py", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "perf.lines"]
    return [*words, *spread, *(["-k", given.models.replace(",", " or ")] if given.models != "all" else [])]


def measure(section: str, given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run one section within the time that is left; whatever it had found when it ended counts."""
    words = command(section, given)
    with tempfile.TemporaryDirectory() as folder:
        lines, said = Path(folder) / "lines", Path(folder) / "said"
        lines.touch()
        words += [str(lines)] if words[-1] == "--lines" else []
        begin = time.monotonic()
        status = run([sys.executable, *words], {"LINES": str(lines)}, said, seconds)
        return {
            "command": " ".join(["python", *words]).replace(str(lines), "FILE"),
            "status": status,
            "seconds": round(time.monotonic() - begin, 1),
            "found": [json.loads(line) for line in lines.read_text().splitlines() if line.endswith("}")],
            "output": said.read_text(errors="replace").splitlines()[-15:] if status else [],
        }


def run(words: list[str], more: dict[str, str], said: Path, seconds: float) -> int:
    """A command's exit status; 124 where it and its children had to be ended."""
    environment = os.environ | {"PYTHONPATH": str(HOUSE)} | more
    with said.open("w") as file:
        process = subprocess.Popen(
            words, cwd=HOUSE, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return 124


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--models", default="all", help="names with commas, or `all`")
    parser.add_argument("--sections", default=",".join(LIMITS_S))
    parser.add_argument("--out", type=Path, help="folder for figures and page, instead of perf/results and docs")
    parser.add_argument("--page", type=Path, help="write the page from these figures, measure nothing")
    given = parser.parse_args()
    target = given.out / PAGE.name if given.out else PAGE
    if given.page:
        target.write_text(page(json.loads(given.page.read_text())))
        return 0
    if given.device == "cuda" and not torch.cuda.is_available():
        print("error: no CUDA device here; make gpu needs one.", file=sys.stderr)
        return 2
    if not model_registry.cards():
        print("error: no models are registered with this Python: pip install --no-deps -e . first.", file=sys.stderr)
        return 2
    return measured(given, target)


def measured(given: argparse.Namespace, target: Path) -> int:
    """All sections; figures and page are written anew after each. The status is 1 where a section did not end well."""
    name = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
    results: dict[str, Any] = {"device": name, "torch": torch.__version__, "cuda": torch.version.cuda, "sections": {}}
    file = (given.out or HOUSE / "perf" / "results") / f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + TOTAL_S
    for section in given.sections.split(","):
        seconds = min(LIMITS_S[section], end - time.monotonic())
        if seconds < 1:
            print(f"{section}: no time left", flush=True)
            continue
        results["sections"][section] = found = measure(section, given, seconds)
        file.write_text(json.dumps(results, indent=1) + "\n")
        faults = sum("fault" in each for each in found["found"])
        print(f"{section}: status {found['status']} after {found['seconds']} s, ", end="")
        print(f"{len(found['found'])} facts, {faults} faults", flush=True)
        if given.device == "cuda" or given.out:
            target.write_text(page(results))
    print(f"figures: {file}")
    return int(any(found["status"] for found in results["sections"].values()))


# --- the page ---------------------------------------------------------------------------------------------------------


def page(results: dict[str, Any]) -> str:
    """The text of docs/gpu.md."""
    sections = results["sections"]
    parts = [HEAD.format(**results)]
    for name, found in sections.items():
        parts += [
            f"## {TITLES[name]}\n",
            TEXTS[name],
            outcomes(found),
            found.get("note", "") + "\n" * ("note" in found),
            table(COLUMNS[name], [each for each in found["found"] if whole(each)]),
        ]
        parts += faults(found)
    return "\n".join(part for part in parts if part)


def whole(fact: dict[str, Any]) -> bool:
    """Whether a fact is a row of a table: neither a fault nor a test that measured nothing."""
    return "fault" not in fact and ("outcome" not in fact or "mean" in fact)


def outcomes(found: dict[str, Any]) -> str:
    """How many tests passed, failed and were left out."""
    counts = Counter(each["outcome"] for each in found["found"] if "outcome" in each)
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) + ".\n" if counts else ""


def table(columns: dict[str, str], rows: list[dict[str, Any]]) -> str:
    """Head -> key of a fact; a dot goes into a fact that has parts of its own."""
    used = {head: key for head, key in columns.items() if any(value(row, key) is not None for row in rows)}
    if not used:
        return ""
    lines = [f"| {' | '.join(used)} |", f"|---|{'--:|' * (len(used) - 1)}"]
    lines += [f"| {' | '.join(shown(value(row, key)) for key in used.values())} |" for row in rows]
    return "\n".join(lines) + "\n"


def value(row: dict[str, Any], key: str) -> Any:
    """What stands under `key`, or None."""
    for part in key.split("."):
        row = row.get(part) if isinstance(row, dict) else None  # type: ignore[assignment]
    return row


def shown(fact: Any) -> str:
    """A number with three digits that count, anything else as it is."""
    if isinstance(fact, float):
        return f"{fact:.3g}" if abs(fact) < 1000 else f"{fact:.0f}"
    return "" if fact is None else str(fact)


def faults(found: dict[str, Any]) -> list[str]:
    """A line for everything that failed, and for a section that did not end."""
    lines = [f"- {next(iter(each.values()))}: {each['fault']}" for each in found["found"] if "fault" in each]
    if found["status"] == 124:
        lines.append(f"- The section was ended after {found['seconds']} s; what is missing above was not measured.")
    elif found["status"] and not lines:
        lines.append(f"- The section ended with status {found['status']}: {' '.join(found['output'][-1:])}")
    return ["Failed:\n", *lines, "\n"] if lines else []


HEAD = """# On a GPU

{device}, torch {torch}, CUDA {cuda}. Written by `make gpu` from the figures in `perf/results`; `perf/gpu.py` says what
it runs. What failed is told below its table.
"""

TITLES = {
    "checks": "The numbers of the CPU",
    "loop": "Who waits for whom",
    "precision": "Precision by name",
    "speed": "Throughput",
    "suite": "Metrics against others",
    "training": "Training",
}
TEXTS = {
    "checks": """`tests/test_gpu.py`. Models: largest and mean difference between CPU and GPU of a small network's
raw output in 0..1, at most 1e-3 in the mean.
""",
    "loop": """The inner loop of a run on 64 drawn photographs in six cells, batches of 16, with PSNR, SSIM and
L1: under `torch.cuda.set_sync_debug_mode("error")`, which ends it where the processor would wait for the GPU,
then under torch's profiler. *Idle* is the share of the time between the first and the last kernel in which
none ran.
""",
    "precision": """What `--precision` and `--compile` do to 16 completions: largest and mean change over the
whole picture in 8-bit levels, change of the mean PSNR, speed against float32.
""",
    "speed": """Networks alone, without trained weights (which change no time), at 256 x 256 or the model's own
size; batches of 1, 8 and 32; peak memory with weights. The searches `dgm` and `hr` stand here with their
variant `quick`.
""",
    "suite": """`perf/metrics.py`, networks with drawn weights on both sides: ratios of wall time.
""",
    "training": """`bench train` by the recipe `starter` on 64 drawn photographs.
""",
}
COLUMNS: dict[str, dict[str, str]] = {
    "checks": {"test": "test", "largest": "largest", "mean": "mean", "seconds": "seconds"},
    "loop": {
        "model": "model",
        "images a second": "images_s",
        "network alone, images a second": "alone_s",
        "GPU idle": "idle",
        "kernels an image": "kernels",
        "proven batch": "proven",
        "waits": "waits",
    },
    "precision": {
        "model": "model",
        "option": "option",
        "largest, levels": "largest",
        "mean, levels": "mean",
        "PSNR, dB": "psnr",
        "speed": "speed",
    },
    "speed": {
        "model": "model",
        "parameters": "parameters",
        "side": "size_px",
        "batch 1, images a second": "1.images_s",
        "MiB": "1.memory_mib",
        "batch 8": "8.images_s",
        "MiB ": "8.memory_mib",
        "batch 32": "32.images_s",
        "MiB  ": "32.memory_mib",
        "waits": "1.waits",
    },
    "suite": {
        "comparison": "comparison",
        "images": "images",
        "result": "sentence",
        "shared truth, pytorch-msssim": "ssim-wang (shared truth) against pytorch-msssim",
        "shared truth, torchmetrics": "ssim-wang (shared truth) against torchmetrics",
        "one pair, pytorch-msssim": "ssim-wang (one pair) against pytorch-msssim",
        "one pair, torchmetrics": "ssim-wang (one pair) against torchmetrics",
        "shared truth, lpips": "lpips-alex (shared truth) against lpips",
    },
    "training": {"model": "training", "steps": "steps", "steps a second": "steps_s"},
}
"""Section -> head of a column -> key of a fact."""


if __name__ == "__main__":
    sys.exit(main())
