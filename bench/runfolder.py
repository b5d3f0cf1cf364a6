"""The run folder. A file that exists is whole: everything is written beside its name and renamed.

run.json                                         what was asked for, with which versions
images.txt                                       the images, one id a line, in the run's order
parts/<digest>/<model>@<digest>/<start>-<stop>.npz    what one model left on consecutive images
images/<mask set>/<bucket>/<image>/*.png         the few pictures kept for the report
results.parquet, summary.parquet                 a row per image and cell; a row per cell and metric
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.disk import whole_file, write_text
from bench.errors import BadInput, NotComparable

PART = re.compile(r"(\d+)-(\d+)(\.failed)?\.npz")
Arrays = dict[str, np.ndarray]
TRUTH = "truth"
"""The name under which the features of the undamaged photographs lie."""


def folder_name(name: str) -> str:
    """A name as one path component: anything but letters, digits and `@.:=+_-` becomes `_`."""
    return re.sub(r"[^\w@.:=+-]", "_", name)


class Store:
    """One run folder, opened for the parts of one settings digest."""

    def __init__(self, root: Path, digest: str) -> None:
        """`root`: the run folder; `digest`: of everything but the model that decides a number."""
        self.root = root
        self.parts = root / "parts" / digest[:16]

    def model_folder(self, key: str) -> Path:
        """Where a model's parts lie; `key` is its name and the digest of its weights and code."""
        return self.parts / folder_name(key)

    def done(self, key: str) -> list[tuple[int, int]]:
        """Half-open ranges of images for which the model has a part without a failed cell."""
        return [(start, stop) for start, stop, failed in self._found(key) if not failed]

    def _found(self, key: str) -> list[tuple[int, int, bool]]:
        names = [PART.fullmatch(path.name) for path in self.model_folder(key).glob("*.npz")]
        return sorted((int(m[1]), int(m[2]), bool(m[3])) for m in names if m)

    def write_part(self, key: str, start: int, stop: int, arrays: Arrays, *, failed: bool = False) -> None:
        """Write a part whole. A part with failed cells carries that in its name and is made again by the next run."""
        folder = self.model_folder(key)
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{start:07d}-{stop:07d}"
        with whole_file(folder / f"{stem}{'.failed' if failed else ''}.npz") as path, path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        for old_start, old_stop, old_failed in self._found(key):
            if (
                old_failed
                and old_start < stop
                and start < old_stop
                and (not failed or (old_start, old_stop) != (start, stop))
            ):
                (folder / f"{old_start:07d}-{old_stop:07d}.failed.npz").unlink()

    def read_parts(self, key: str, *names: str) -> Iterator[tuple[int, int, Arrays]]:
        """The parts in the order of images, with the named arrays (all, when none is named).

        Ranges never overlap: a new part takes away the failed ones that it touches.
        """
        for start, stop, failed in self._found(key):
            path = self.model_folder(key) / f"{start:07d}-{stop:07d}{'.failed' if failed else ''}.npz"
            with np.load(path, allow_pickle=False) as part:
                if missing := [name for name in names if name not in part.files]:
                    raise BadInput(
                        f"{path} lacks '{missing[0]}': another version of bench made it. Measure into a new --out."
                    )
                yield start, stop, {name: part[name] for name in names or part.files}

    def picture(self, *, mask_set: str, bucket: str, image_id: str, name: str) -> Path:
        """Where a kept picture lies (`truth`, `masked`, `mask`, or a model's name)."""
        return self.root / "images" / mask_set / bucket / folder_name(image_id) / f"{folder_name(name)}.png"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain data as indented JSON, whole."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_run(root: Path) -> dict[str, Any]:
    """Read `run.json`; a folder without one is no run."""
    try:
        return dict(json.loads((root / "run.json").read_text(encoding="utf-8")))
    except FileNotFoundError as fault:
        raise BadInput(f"{root} is not a run: it has no run.json. Make one with: bench run --out {root}") from fault
    except (json.JSONDecodeError, OSError) as fault:
        raise BadInput(f"{root / 'run.json'} cannot be read: {fault}.") from fault


def same_settings(root: Path, settings: dict[str, Any]) -> None:
    """Refuse a run folder whose numbers were made under other settings; the fields that differ are named."""
    if not (root / "run.json").exists():
        if any(path.name != ".lock" for path in root.iterdir()):
            raise BadInput(f"{root} is not empty and is not a run. Give --out a new folder.")
        return
    before = read_run(root).get("settings", {})
    if differ := [key for key in settings if before.get(key) != settings[key]]:
        lines = "; ".join(f"{key}: {_short(before.get(key))} there, {_short(settings[key])} now" for key in differ)
        raise NotComparable(f"{root} holds a run with other settings ({lines}). Give --out another folder.")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 90 else f"{text[:86]} ..."
