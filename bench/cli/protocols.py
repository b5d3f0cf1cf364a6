"""Protocols: everything that decides a number, with the origin of every field."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from bench.cli import _options as options

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="A name from `bench protocols list`, or path/to/MINE@1.toml.")]


@app.command("list")
def list_protocols(as_json: options.Json = False) -> None:
    """List the protocols, and which of them cannot be run as their source describes. Example: bench protocols list"""
    from bench.columns import align
    from bench.protocols import registry as protocol_registry

    found = [protocol_registry.load(name) for name in protocol_registry.names()]
    if as_json:
        print(json.dumps([{"name": p.name, "title": p.title, "blocked": p.blocked} for p in found], indent=1))
        return
    notes = {True: " (cannot be run: see `show`)", False: ""}
    print("\n".join(align([("name", "title"), *((one.name, one.title + notes[bool(one.blocked)]) for one in found)])))


@app.command()
def show(name: Name, as_json: options.Json = False) -> None:
    """Print every field of a protocol and where it comes from. Example: bench protocols show deepgin-256"""
    from bench.protocols import registry as protocol_registry

    found = protocol_registry.load(name)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=1))
        return
    for field, value in protocol_registry.fields(found).items():
        if value:
            print(f"{field:22} {value}")
            _print_origins(found.origin, field)


def _print_origins(origins: dict[str, str], field: str) -> None:
    """The field's own origin, then those of single metrics that differ from it."""
    own = origins.get(field)
    if own:
        print(f"{'':24}{own}")
    for key, origin in origins.items():
        if key.startswith(f"{field}.") and origin != own:
            print(f"{'':24}{key.partition('.')[2]}: {origin}")


@app.command()
def diff(left: Name, right: Name, as_json: options.Json = False) -> None:
    """Print the fields in which two protocols differ. Example: bench protocols diff bench rnon"""
    from bench.protocols import registry as protocol_registry

    found = protocol_registry.diff(left, right)
    if as_json:
        print(json.dumps([difference._asdict() for difference in found], indent=1))
        return
    if not found:
        print(f"{left} and {right} do not differ.")
    for one in found:
        print(one.field)
        print(f"  - {one.left}" + (f"   [{one.left_origin}]" if one.left_origin else ""))
        print(f"  + {one.right}" + (f"   [{one.right_origin}]" if one.right_origin else ""))
