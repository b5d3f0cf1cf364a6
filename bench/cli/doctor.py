"""Look at this machine: what is ready, what is missing, what to type next."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer


def command(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check device, memory, models, weights, data sets, mask sets and metric networks. Example: bench doctor"""
    from bench.run import doctor

    found = list(doctor.findings())
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in found], indent=1))
        return
    width = max(len(finding.name) for finding in found)
    for kind in dict.fromkeys(finding.kind for finding in found):
        print(f"\n{kind}")
        for finding in (finding for finding in found if finding.kind == kind):
            print(f"  {'ready  ' if finding.ready else 'missing'}  {finding.name:{width}}  {finding.note}")
