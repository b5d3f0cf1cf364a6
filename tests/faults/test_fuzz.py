"""A small share of `perf/fuzz.py`: damaged and made-up files end in a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = sorted(path.stem for path in (ROOT / "perf/fuzzed").glob("[a-z]*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_damaged_file_brings_a_traceback_a_hang_or_a_swollen_process(kind):
    words = [sys.executable, ROOT / "perf/fuzz.py", kind, "--count", "40"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 files" in done.stdout
