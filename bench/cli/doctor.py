"""Look at this machine: what is ready, what is missing, what to type next."""

from __future__ import annotations

import dataclasses
import json

from bench.cli import _options as options


def command(as_json: options.Json = False) -> None:
    """Check device, memory, models, weights, data sets, mask sets and metric networks. Example: bench doctor"""
    from bench.columns import align
    from bench.run import doctor

    found = list(doctor.requirements())
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
        return
    lines = align([("ready" if one.ready else "missing", one.name, one.note) for one in found])
    for kind in dict.fromkeys(one.kind for one in found):
        print(f"\n{kind}")
        print("\n".join(f"  {line}" for one, line in zip(found, lines, strict=True) if one.kind == kind))
