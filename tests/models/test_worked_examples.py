"""The examples of docs/served.md are run as they stand there: an old environment, and a container."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from bench import serve
from bench.errors import ContractBroken
from bench.models import opening
from bench.models import registry as model_registry
from bench.run.main import run
from bench.types import Execution, RunSpec

HOUSE = Path(__file__).parents[2]
PAGE = (HOUSE / "docs" / "served.md").read_text(encoding="utf-8")
CONTAINER = "docker run -i --rm --init --log-driver none their-model"

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path):
    """The files of the page, their weights, and serve.py with less patience."""
    place = tmp_path / "their"
    place.mkdir()
    for name, text in re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, flags=re.DOTALL):
        (place / name).write_text(text)
    served = Path(serve.__file__).read_text()
    assert "LEAVE_S = 30.0" in served
    (place / "serve.py").write_text(served.replace("LEAVE_S = 30.0", "LEAVE_S = 0.5"))
    np.savez(place / "weights.npz", colour=np.array([30, 60, 90], np.uint8))
    return place


@pytest.fixture
def old_python(tmp_path):
    """A venv that sees NumPy and nothing else of ours."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    site = tmp_path / "env" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    for name in Path(sysconfig.get_paths()["purelib"]).glob("numpy*"):
        (site / name.name).symlink_to(name)
    return tmp_path / "env" / "bin" / "python"


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """`docker build ...` by the stand-in, which `docker` is from now on."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "docker"
    standin = shlex.quote(str(Path(__file__).parent / "docker.py"))
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {standin} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_STANDIN", str(tmp_path / "images"))
    return lambda *words: subprocess.run(["docker", *words], check=True)


def colours(command):
    """What stands in the hole of one grey picture."""
    images, masks = torch.full((1, 3, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)
    masks[..., 2:4] = 1
    made = opening.open_model(model_registry.only(f"serve:{command}")).predict(images * (1 - masks), masks)
    return (made[0, :, 0, 2] * 255).round().tolist()


def test_an_old_repository_is_measured_in_its_own_environment(repository, old_python, bench, tmp_path):
    command = f'sh -c "cd {repository} && exec {old_python} inpaint.py"'
    assert 'sh -c "cd /opt/their && exec env/bin/python inpaint.py"' in PAGE
    assert colours(command) == [90, 60, 30]  # their colour is BGR
    status, out, _ = bench("models", "serve-check", command, "--size", "32")
    assert (status, out.startswith("says: Theirs (2018), weights ")) == (0, True)
    spec = RunSpec((f"serve:{command}",), masks=("centre",), metrics=("psnr",), limit=2, keep_images=0)
    outcome = run(spec, tmp_path / "run", Execution(workers=1, threads=1))
    assert (outcome.faults, outcome.summary.n.tolist()) == ({}, [2])


def test_a_container_is_measured_by_the_lines_of_the_page(repository, docker, bench, tmp_path):
    assert {f"bench models serve-check '{CONTAINER}'", "docker build -t their-model /opt/their"} <= {
        line.strip() for line in PAGE.splitlines()
    }
    docker("build", "-t", "their-model", str(repository))
    assert colours(CONTAINER) == [90, 60, 30]
    assert bench("models", "serve-check", CONTAINER, "--size", "32")[0] == 0
    spec = RunSpec((f"serve:{CONTAINER}",), masks=("centre",), metrics=("psnr",), limit=2, keep_images=0)
    outcome = run(spec, tmp_path / "run", Execution(workers=1, threads=1))
    assert (outcome.faults, outcome.summary.n.tolist()) == ({}, [2])


def test_a_container_whose_model_hangs_leaves_once_nobody_waits_for_it(repository, docker, tmp_path):
    script = repository / "inpaint.py"
    script.write_text(script.read_text().replace("    made = []\n", "    import time; time.sleep(1000)\n"))
    docker("build", "-t", "their-model", str(repository))
    model = opening.open_model(model_registry.only(f"serve:{CONTAINER}"))
    model.limit_s = 1.0
    with pytest.raises(ContractBroken, match="said nothing for 1 s"):
        model.predict(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))
    pids = [int(path.read_text()) for path in tmp_path.glob("*/pid")]
    until = time.monotonic() + 20
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    assert pids
    assert not any(map(psutil.pid_exists, pids))
