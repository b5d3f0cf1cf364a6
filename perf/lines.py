"""A plug-in of pytest that writes each test's outcome as a line of JSON at once: `pytest -p perf.lines`.

The file is named by the environment variable LINES; a session that is cut short leaves what it had done.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One line a test: `test`, `outcome`, `seconds`, what it recorded, and the last line of its fault."""
    if "PYTEST_XDIST_WORKER" in os.environ or (report.when != "call" and report.passed):
        return
    fault = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr or "")
    reasons = [line for line in fault.splitlines() if line.startswith("E ")] or fault.splitlines()[-1:]
    found = {"test": report.nodeid.partition("::")[2], "outcome": report.outcome, "seconds": round(report.duration, 2)}
    found |= dict(report.user_properties)
    if reasons:
        found["reason" if report.skipped else "fault"] = reasons[0].removeprefix("E").strip()[:300]
    with Path(os.environ["LINES"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")
