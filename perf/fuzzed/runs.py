"""Files of a run: one of them damaged, read by everything that reads a run; what is shown is what was measured."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from fuzz import damaged

from bench.report import fill, formats, results
from bench.runfolder import record
from bench.runfolder.parts import Parts
from bench.runfolder.pictures import kept
from fuzzed import small_run

ROOM: dict[str, Path] = {}
TRUE: dict[str, str] = {}


def prepare(folder: Path) -> None:
    """A small run, and what readers make of it."""
    ROOM["run"] = small_run(folder / "run")
    TRUE["read"] = _everything(ROOM["run"])


def _everything(root: Path) -> str:
    """All that readers make of a run: table, rows, pictures, list of images, parts."""
    run = results.load(root)
    shown = formats.render(fill.report([root], "general"), "markdown")
    rows = {model: run.rows_of(model).column("output_digest").to_pylist() for model in run.models}
    pictures = [one.given(what).tobytes() for one in kept(root, run.record) for what in ("truth", "mask", "masked")]
    pictures += [one.made(model).tobytes() for one in kept(root, run.record) for model in one.models]
    parts = Parts(root, run.record.settings.digest)
    read = [part.rows.to_pylist() for name in run.record.models for part in parts.read(run.record.key(name))]
    return repr((shown.replace(str(root), ""), run.numbers, rows, pictures, record.read_images(root, run.record), read))


def use(path: Path) -> None:
    """Put it in the place of the run's own file and read; other numbers without a word are a fault."""
    target = ROOM["run"] / path.name.partition(".")[2].replace("+", "/")
    before = target.read_bytes()
    target.write_bytes(path.read_bytes())
    try:
        if _everything(ROOM["run"]) != TRUE["read"]:
            raise AssertionError(f"{target.name} was changed, and nobody said so")
    finally:
        target.write_bytes(before)


def samples(folder: Path) -> list[Path]:
    """Copies of its files under names that say where they lie."""
    if not folder.exists():
        folder.mkdir()
        for file in sorted(ROOM["run"].rglob("*")):
            if file.is_file() and file.name[0] != "." and "logs" not in file.parts and file.stat().st_size:
                name = file.relative_to(ROOM["run"]).as_posix().replace("/", "+")
                shutil.copy(file, folder / f"x.{name}")
    return sorted(folder.iterdir())


def made(chance: random.Random, folder: Path) -> Path:
    """Another file of the run in one's place, or one bit flipped."""
    files = samples(folder / "samples")
    wanted, other = chance.choice(files), chance.choice(files)
    content = bytearray(wanted.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path = folder / f"0.{wanted.name.partition('.')[2]}"
    path.write_bytes(
        chance.choice((bytes(content), bytes(content), other.read_bytes(), damaged(bytes(content), chance)))
    )
    return path
