"""A training that is killed goes on bit for bit: a small share of what `perf/killed_training.py` does."""

import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_a_killed_training_leaves_what_an_undisturbed_one_does(tmp_path):
    # The seed lets the kill come at step 105, soon after a checkpoint.
    script = HOUSE / "perf" / "killed_training.py"
    words = [sys.executable, script, "ce", "--kills", "1", "--steps", "130", "--seed", "44"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert "nothing differs" in ended.stdout, ended.stdout + ended.stderr
    assert ended.returncode == 0
