"""Files that people write: run files, layouts, protocols, manifests, expectations, printed numbers, lists, captions."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench import paths
from bench.datasets import registry as dataset_registry
from bench.protocols import registry as protocol_registry
from bench.report import fill, formats, layout, published
from bench.report.analysis import regression
from bench.run import export
from bench.run.spec import from_file, resolve
from bench.types import RunSpec
from fuzzed import replace_something, small_run

KINDS = ("run", "layout", "protocol", "manifest", "expected", "published", "list")
RUN = """models = ["mean", "telea"]
dataset = "demo"
masks = "centre"
buckets = ["10-20", "20-30"]
metrics = ["psnr"]
protocol = "bench@1"
limit = 2
keep_images = 1
set = []
domain = "mixed"
"""
EXPORTED = """{"spec": {"dataset": "demo", "masks": ["centre"], "buckets": "", "protocol": "bench@1", "limit": 2},
"settings": {"protocol": {"composite": true}}, "images": {"a": "00", "b": "11"}}
"""
WORDS = (
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    "=",
    ",",
    ".",
    "\n",
    "#",
    ":",
    "\ufeff",
    "\0",
    "\\",
    "-1",
    "1e999",
    "nan",
    "title",
    "rows",
)
WORDS += (
    "model",
    "metric",
    "bucket",
    "[[tables]]",
    '"""',
    "true",
    "\u202e",
    "\x1b[2J",
    "models",
    "[a.b]",
    "0x",
    "9" * 5000,
)

ROOM: dict[str, Path] = {}


def prepare(folder: Path) -> None:
    """A run that layouts are filled from and expectations are held against."""
    ROOM["run"] = small_run(folder / "run")
    resolve(RunSpec(models=("mean",)))


def use(path: Path) -> None:
    """What the command does that takes such a file."""
    match path.suffixes[0].removeprefix("."):
        case "run":
            resolve(RunSpec(**from_file(path)))
        case "layout":
            for form in ("markdown", "latex"):
                formats.render(fill.report([ROOM["run"]], str(path)), form)
        case "protocol":
            protocol_registry.read(path)
        case "manifest":
            export.pinned_to(resolve(RunSpec(**export.spec_from(path))), path)
        case "expected":
            regression.check(ROOM["run"], regression.read(path))
        case "published":
            published.read_file(path)
        case _:
            dataset_registry.open_dataset("demo", None, str(path))


def samples(folder: Path) -> list[Path]:
    """The house's own, and what a run leaves."""
    if not folder.exists():
        folder.mkdir()
        for name, file in layout.names().items():
            (folder / f"{name}.layout.toml").write_bytes(file.read_bytes())
        for file in sorted(Path(protocol_registry.__file__).parent.glob("*.toml"))[:6]:
            (folder / f"{file.stem.partition('@')[0]}.protocol.toml").write_bytes(file.read_bytes())
        for file in sorted(paths.shipped("reports").glob("published/*.csv"))[:6]:
            (folder / f"{file.stem}.published.csv").write_bytes(file.read_bytes())
        (folder / "a.run.toml").write_text(RUN)
        (folder / "a.manifest.json").write_text(EXPORTED)
        regression.write(folder / "a.expected.json", regression.expectations(ROOM["run"]))
        dataset_registry.write_list(folder / "a.list.txt", dataset_registry.open_dataset("demo").ids)
    return sorted(folder.iterdir())


def made(chance: random.Random, folder: Path) -> Path:
    """A sample with other values in it, in right syntax; or a text of words that mean something."""
    kind = chance.choice(KINDS)
    of_kind = [path for path in samples(folder / "samples") if path.suffixes[0] == f".{kind}"]
    sample = chance.choice(of_kind)
    path = folder / f"made{''.join(sample.suffixes)}"
    content = chance.choice((_changed, _changed, _words))(chance, sample)
    path.write_bytes(content)
    return path


def _changed(chance: random.Random, sample: Path) -> bytes:
    text = sample.read_text()
    plain: Any = tomllib.loads(text) if sample.suffix == ".toml" else None
    if sample.suffix == ".json":
        plain = msgspec.json.decode(text)
    if plain is None:
        lines = text.split("\n")
        cells = lines[chance.randrange(len(lines))].split(",")
        cells[chance.randrange(len(cells))] = chance.choice(WORDS)
        return "\n".join([*lines[: chance.randrange(len(lines))], ",".join(cells), *lines[1:]]).encode()
    for _ in range(chance.choice((1, 1, 2, 6))):
        replace_something(plain, chance)
    encode: Callable[[Any], bytes] = msgspec.json.encode if sample.suffix == ".json" else _toml
    return encode(plain)


def _toml(plain: dict[str, Any]) -> bytes:
    return "\n".join(f"{_key(name)} = {_inline(value)}" for name, value in plain.items()).encode()


def _inline(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_key(name)} = {_inline(part)}" for name, part in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_inline, value)) + "]"
        case bool():
            return str(value).lower()
        case str():
            return _key(value)
        case None:
            return "''"
    return str(value)


def _key(text: str) -> str:
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def _words(chance: random.Random, sample: Path) -> bytes:
    text = sample.read_text()
    for _ in range(chance.choice((1, 3, 30))):
        place = chance.randrange(len(text) + 1)
        text = text[:place] + chance.choice(WORDS) + text[place + chance.choice((0, 0, 5)) :]
    return text.encode("utf-8", "replace")
