"""Every check and benchmark for a CUDA device in one command; figures into perf/results/DEVICE.json.

python perf/gpu.py        (make gpu)
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

HOUSE = Path(__file__).parent.parent
LIMIT_S = 470
COMMANDS = {
    "checks": ["-m", "pytest", "-m", "gpu", "-q", "--tb=short", "-p", "no:cacheprovider"],
    "metrics": ["perf/metrics.py", "--device", "cuda"],
    "models": ["perf/models.py", "--device", "cuda", "--models", "all", "--batches", "1,16"],
}


def measure(arguments: list[str], seconds: float) -> dict[str, object]:
    """Run one command within the time that is left."""
    begin = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=HOUSE, capture_output=True, text=True, timeout=seconds, check=False
        )
        status, said = done.returncode, done.stdout + done.stderr[-2000:] * bool(done.returncode)
    except subprocess.TimeoutExpired as fault:
        status, said = 124, (fault.stdout or b"").decode()
    found = {"command": " ".join(["python", *arguments]), "status": status, "seconds": round(time.monotonic() - begin)}
    return found | {"output": said.splitlines()[-200:]}


def main() -> int:
    if not torch.cuda.is_available():
        print("error: no CUDA device here; make gpu needs one.", file=sys.stderr)
        return 2
    name = torch.cuda.get_device_name()
    results: dict[str, object] = {"device": name, "torch": torch.__version__, "cuda": torch.version.cuda}
    end = time.monotonic() + LIMIT_S
    target = HOUSE / "perf" / "results" / f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}.json"
    target.parent.mkdir(exist_ok=True)
    for title, arguments in COMMANDS.items():
        results[title] = found = measure(arguments, max(1.0, end - time.monotonic()))
        target.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{title}: status {found['status']} after {found['seconds']} s", flush=True)
    print(f"figures: {target.relative_to(HOUSE)}")
    return int(any(isinstance(found, dict) and found["status"] for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
