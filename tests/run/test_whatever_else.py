"""A classical model, a network, a diffusion pipeline, a served model and finished pictures stand in one table."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import serve
from bench.masks import frozen, ratio
from bench.report import results

pytestmark = pytest.mark.slow
IDS = ("a", "b", "c")
SCRIPT = "from serve import serve\nserve(lambda images, masks: images * (1 - masks) + 0.4 * masks, name='Served')\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Photographs, a served model, and pictures that another program made of centre holes."""
    root = tmp_path_factory.mktemp("whatever")
    random = np.random.default_rng(0)
    pool = frozen.load("centre-256").pool(ratio.buckets("none")[0])
    for folder in (root / "photographs", root / "finished"):
        folder.mkdir()
    for name in IDS:
        small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        photograph = np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC))
        Image.fromarray(photograph).save(root / "photographs" / f"{name}.png")
        hole = pool.masks([pool.index(name)])[0][..., None]
        Image.fromarray(np.where(hole, 128, photograph).astype(np.uint8)).save(root / "finished" / f"{name}.png")
    shutil.copy(serve.__file__, root / "serve.py")
    (root / "their.py").write_text(SCRIPT)
    return root


def start(place, models, out):
    words = [sys.executable, "-m", "bench", "run", "--models", ",".join(models), "--dataset", "folder"]
    words += ["--root", place / "photographs", "--masks", "centre", "--buckets", "none", "--metrics", "psnr,ssim-wang"]
    words += ["--shard-size", "1", "--batch-size", "1", "--workers", "1", "--threads", "1", "--set", "steps=1"]
    words += ["--keep-images", "0", "--out", out]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with out.with_suffix(".log").open("ab") as said:
        return subprocess.Popen(list(map(str, words)), env=environment, start_new_session=True, stderr=said)


def parts(out):
    """Which models have left a part: their keys up to the digest."""
    return {path.parent.name for path in out.glob("parts/*/*/*.parquet")}


def test_each_is_killed_and_resumed_and_the_table_is_that_of_an_undisturbed_run(place, pipelines, tmp_path):
    served = f"serve:{shlex.join([sys.executable, str(place / 'their.py')])}"
    models = ["telea", "pconv@starter", f"diffusers:{pipelines('sd')}", served, str(place / "finished")]
    disturbed = tmp_path / "disturbed"
    for count in range(2, len(models) + 2):  # the photographs have parts of their own
        process = start(place, models, disturbed)
        while len(parts(disturbed)) < count and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it was killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for out in (disturbed, tmp_path / "undisturbed"):
        assert start(place, models, out).wait() == 0
    assert (disturbed / "results.parquet").read_bytes() == (tmp_path / "undisturbed" / "results.parquet").read_bytes()
    said = (tmp_path / "undisturbed.log").read_text()
    assert "leaked" not in said
    assert "changed the environment" not in said
    run = results.load(disturbed)
    assert [model.title for model in run.record.models.values()] == ["Telea", "PConv", "tiny-sd", "Served", "finished"]
    assert not [number for number in run.numbers.values() if number.reason]
