"""Contact sheets of masks: what a set looks like, white = missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.disk import whole_file
from bench.masks import frozen, packing

if TYPE_CHECKING:
    from PIL import Image

Masks = npt.NDArray[np.bool_]

_THUMB_PX, _GAP_PX, _LABEL_PX = 80, 4, 48
_COLUMNS = 12
_UNCUT_ROWS = 4
_PAPER, _INK, _HOLE, _KNOWN = 255, 0, 245, 60


def save(held: frozen.MaskSet, out: Path) -> None:
    """Write a PNG of a set: a row for each stratum, its masks evenly spread; each pixel is one of the mask's."""
    rows = [row for part in held.open(held.names) for row in _rows(part, 1 if held.bucketed else _UNCUT_ROWS)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as beside:
        draw(rows).save(beside, "PNG", optimize=True)


def _rows(part: frozen.StratumFile, rows: int) -> list[tuple[str, Masks]]:
    count = len(part.streams)
    places = np.unique(np.linspace(0, count - 1, rows * _COLUMNS).astype(int)).tolist()
    masks = packing.unpack(part.bits(places), part.size_px)
    label = "" if part.name == frozen.WHOLE else f"{part.name} %"
    return [(label, masks[start : start + _COLUMNS]) for start in range(0, len(masks), _COLUMNS)]


def draw(rows: Sequence[tuple[str, Masks]]) -> Image.Image:
    """The sheet of labelled rows of masks bool [N, S, S], as an 8-bit grey image."""
    from PIL import Image, ImageDraw

    pitch = _THUMB_PX + _GAP_PX
    width = max(len(masks) for _, masks in rows) * pitch + _LABEL_PX
    sheet = Image.new("L", (width, len(rows) * pitch + _GAP_PX), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for line, (label, masks) in enumerate(rows):
        top = line * pitch + _GAP_PX
        pen.text((2, top + _THUMB_PX // 2 - 6), label, fill=_INK)
        for place, mask in enumerate(masks):
            sheet.paste(Image.fromarray(_thumb(mask)), (_LABEL_PX + place * pitch, top))
    return sheet


def _thumb(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    under = (2 * np.arange(_THUMB_PX) + 1) * len(mask) // (2 * _THUMB_PX)
    return np.where(mask[under[:, None], under], np.uint8(_HOLE), np.uint8(_KNOWN))
