"""Synthetic run folders, as the run room leaves them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bench import digest, images
from bench.runfolder import pictures, record, tables
from bench.runfolder.record import Record

METRICS = {
    name: {"title": title, "better": better, "decimals": decimals, "unit": unit, "extractor": extractor}
    | dict.fromkeys(("formula", "reference", "tolerance"), "")
    for name, title, better, decimals, unit, extractor in (
        ("psnr", "PSNR", "higher", 2, "dB", ""),
        ("ssim-wang", "SSIM (wang)", "higher", 4, "", ""),
        ("fid", "FID", "lower", 2, "", "inception"),
    )
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
    preparation = {"size_px": 256, "crop": "centre", "resample": "bicubic", "upscale": False}
    decides = {"preparation": preparation, "composite": True, "rounding": "round"}
    ids = [f"photo{n:03d}" for n in range(images)]
    facts = {
        "name": root.name,
        "spec": {"models": list(models), "dataset": dataset, "protocol": protocol},
        "settings": {
            "dataset": {"name": dataset, "split": None, "images": digest.of_lines(ids)},
            "protocol": json.loads(json.dumps(decides)),
            "mask_sets": dict.fromkeys(sets, "cd" * 32),
            "cells": [f"{name}/{bucket}" for name in sets for bucket in buckets],
            "metrics": dict.fromkeys(metrics, 1),
        },
        "protocol": decides
        | {"name": f"{protocol}@1", "title": "House protocol", "dataset": "any", "masks": [], "buckets": "deciles"}
        | {"metrics": list(metrics)},
        "images": images,
        "versions": {"python": "3.11"},
        "device": "a processor",
        "command": "bench run --models all",
        "models": {m: {"title": m, "kind": "learned", "contaminated": False, "reason": ""} for m in models},
        "metrics": {metric: METRICS[metric] for metric in metrics},
        "mask_sets": {name: {"family": family, "digest": "cd" * 32, "size_px": 256} for name, family in sets.items()},
        "format": record.FORMAT,
    }
    rows, cells = [], []
    for i, model in enumerate(models):
        for j, (mask_set, family) in enumerate(sets.items()):
            for k, bucket in enumerate(buckets):
                frame = {
                    "image": ids,
                    "model": model,
                    "mask_set": mask_set,
                    "bucket": bucket,
                    "mask": "0",
                    "ratio": 0.1,
                }
                names = [name.encode().ljust(16) for name in ids]
                frame |= {"image_digest": names, "mask_digest": names, "output_digest": [bytes(16)] * images}
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
    made = msgspec.convert(facts, Record)
    record.write(root, made, ids)
    scored = [name for name in results if name in METRICS]
    for name, frame, schema in (("summary", summary, None), ("results", results, tables.row_schema(scored))):
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        tables.write(root / f"{name}.parquet", table.schema, [table], made.mark)
    return root


def keep(root, cell, shots):
    """Keep pictures of a cell as a run does: image -> truth uint8 [H, W, 3], mask bool [H, W], model -> output."""
    place = tuple(cell.split("/"))
    rows = tables.read(root / "results.parquet").to_pandas()
    for image, (truth, mask, outputs) in shots.items():
        white = np.repeat(mask[..., None], 3, axis=2) * np.uint8(255)
        given = {"truth": truth, "mask": white, "masked": np.where(white, white, truth)}
        files = {pictures.shown(*place, image, what): picture for what, picture in given.items()}
        files |= {pictures.output(*place, image, model): picture for model, picture in outputs.items()}
        for name, picture in files.items():
            pictures.save(root, name, images.encode_png(picture))
        here = (rows["image"] == image) & (rows["mask_set"] == place[0]) & (rows["bucket"] == place[1])
        for model, picture in outputs.items():
            row = rows.index[here & (rows["model"] == model)].item()
            rows.at[row, "image_digest"] = bytes.fromhex(images.digest(truth)[:32])  # noqa: PD008 - bytes are no list
            rows.at[row, "mask_digest"] = bytes.fromhex(digest.of_bytes(np.packbits(mask, axis=1).tobytes())[:32])  # noqa: PD008
            rows.at[row, "output_digest"] = bytes.fromhex(images.digest(picture)[:32])  # noqa: PD008
    table = pa.Table.from_pandas(rows, schema=tables.opened(root / "results.parquet").schema_arrow)
    tables.write(root / "results.parquet", table.schema, [table])
    made = record.read(root)
    record.write(root, replace(made, kept=(*made.kept, *shots)), record.read_images(root, made))
    return root


@pytest.fixture(scope="session")
def keep_pictures():
    return keep


@pytest.fixture(scope="session")
def with_pictures():
    """Keep pictures of five images in one cell, each model with its own grey in the hole."""

    def fill(run, models=("telea", "ns", "deepgin")):
        mask = np.zeros((64, 64), bool)
        mask[16:48, 16:48] = True
        shots = {}
        for place in range(5):
            truth = np.full((64, 64, 3), place, np.uint8)
            made = {
                name: np.where(mask[..., None], np.uint8(40 * i + place), truth) for i, name in enumerate(models, 3)
            }
            shots[f"photo{place:03d}"] = (truth, mask, made)
        return keep(run, "freeform-256/10-20", shots)

    return fill


@pytest.fixture(scope="session", name="write_run")
def make_run_once():
    return write_run


@pytest.fixture
def make_run():
    return write_run


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("template") / "run")


@pytest.fixture
def run(template, tmp_path):
    return Path(shutil.copytree(template, tmp_path / "run"))
