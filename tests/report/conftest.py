"""Synthetic run folders, as the run room leaves them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

METRICS = {
    "psnr": {"title": "PSNR", "better": "higher", "decimals": 2, "unit": "dB"},
    "ssim-wang": {"title": "SSIM (wang)", "better": "higher", "decimals": 4, "unit": ""},
    "fid": {"title": "FID", "better": "lower", "decimals": 2, "unit": ""},
}
SETS = {"freeform-256": "freeform", "rectangular-256": "rectangular"}
BUCKETS = ("0-10", "10-20", "20-30", "30-40", "40-50", "50-60")


def scores(model: int, metric: str, cell: int, images: int) -> np.ndarray:
    """One value per image: later models are better by 1, images differ by more than models do."""
    noise = np.random.default_rng([cell, len(metric)]).normal(0, 3, images)
    own = np.random.default_rng([cell, len(metric), model]).normal(0, 0.3, images)
    return 20 + model - cell + noise + own


def summary_row(model, mask_set, family, bucket, metric, images, **facts):
    lo, hi = (float(part) / 100 for part in bucket.split("-"))
    blank = {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0, "excluded": 0, "flag": "", "reason": ""}
    place = {"model": model, "mask_set": mask_set, "family": family, "bucket": bucket, "bucket_lo": lo, "bucket_hi": hi}
    return place | {"metric": metric, "images": images} | blank | facts


def write_run(
    root: Path,
    *,
    models=("telea", "ns", "deepgin"),
    sets=None,
    buckets=BUCKETS,
    metrics=("psnr", "ssim-wang", "fid"),
    images=24,
    dataset="demo",
    protocol="bench",
    edit=None,
    values=scores,
):
    """Write a run folder; `edit(summary, results, facts)` may change everything before it is written."""
    sets = SETS if sets is None else sets
    root.mkdir(parents=True, exist_ok=True)
    facts = {
        "name": root.name,
        "spec": {"models": list(models), "dataset": dataset, "split": None, "protocol": protocol},
        "protocol": {
            "name": f"{protocol}@1",
            "title": "House protocol",
            "preparation": {"size_px": 256, "crop": "centre", "resample": "bicubic"},
            "composite": True,
            "rounding": "round",
        },
        "digests": {"settings": "ab" * 32},
        "images": images,
        "versions": {"python": "3.11"},
        "device": "a processor",
        "command": "bench run --models all",
        "models": {m: {"title": m, "kind": "learned", "contaminated": False, "reason": ""} for m in models},
        "metrics": {metric: METRICS[metric] for metric in metrics},
        "mask_sets": {name: {"family": family, "digest": "cd" * 32, "size_px": 256} for name, family in sets.items()},
    }
    rows, cells = [], []
    for i, model in enumerate(models):
        for j, (mask_set, family) in enumerate(sets.items()):
            for k, bucket in enumerate(buckets):
                frame = {"image": [f"photo{n:03d}" for n in range(images)], "model": model, "mask_set": mask_set}
                frame |= {"bucket": bucket, "mask": "0", "ratio": 0.1}
                for metric in metrics:
                    found = values(i, metric, 10 * j + k, images)
                    value = float(found.mean())
                    if metric == "fid":
                        flag = "fewer than 2048 images"
                        cells.append(
                            summary_row(
                                model, mask_set, family, bucket, metric, images, value=value, n=images, flag=flag
                            )
                        )
                        continue
                    frame[metric] = found
                    half = 1.96 * float(found.std()) / images**0.5
                    interval = {"low": value - half, "high": value + half} if images >= 10 else {}
                    cells.append(
                        summary_row(model, mask_set, family, bucket, metric, images, value=value, n=images, **interval)
                    )
                rows.append(pd.DataFrame(frame))
    summary, results = pd.DataFrame(cells), pd.concat(rows, ignore_index=True)
    if edit:
        summary, results = edit(summary, results, facts) or (summary, results)
    (root / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    summary.to_parquet(root / "summary.parquet", index=False)
    results.to_parquet(root / "results.parquet", index=False)
    return root


@pytest.fixture
def make_run():
    return write_run


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("template") / "run")


@pytest.fixture
def run(template, tmp_path):
    return Path(shutil.copytree(template, tmp_path / "run"))
