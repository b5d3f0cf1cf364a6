"""What Ray costs: a run of many photographs with two workers of this machine, and with two on Ray; same bytes.

python perf/on_ray.py --root photographs [--models pconv@starter,glcic@starter] [--limit 500]
                      [--masks freeform] [--buckets 20-40,40-60]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from run import seconds

WAYS = {"local": [], "ray": ["--executor", "ray"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="a folder of photographs")
    parser.add_argument("--models", default="pconv@starter,glcic@starter")
    parser.add_argument("--limit", default="500")
    parser.add_argument("--masks", default="freeform")
    parser.add_argument("--buckets", default="20-40,40-60")
    given = parser.parse_args()
    words = ["--models", given.models, "--dataset", "folder", "--root", given.root, "--limit", given.limit]
    words += ["--masks", given.masks, "--buckets", given.buckets, "--metrics", "psnr,ssim-wang", "--keep-images", "0"]
    with tempfile.TemporaryDirectory() as scratch:
        outs = {name: Path(scratch) / name for name in WAYS}
        walls = {name: seconds([*words, "--workers", "2", *more], outs[name]) for name, more in WAYS.items()}
        same = len({(out / "results.parquet").read_bytes() for out in outs.values()}) == 1
    print(f"local {walls['local']:.1f} s, Ray {walls['ray']:.1f} s: {walls['ray'] / walls['local']:.3f} times")
    print(f"same bytes: {same}")


if __name__ == "__main__":
    main()
