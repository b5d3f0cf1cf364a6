"""Masks that others drew: NVIDIA's irregular test set, any folder of mask images, objects of COCO-style segmentation.

They are read once, checked, brought to one size without interpolation, and frozen like the house's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import digest, paths
from bench.errors import BadInput, UnknownName
from bench.masks import frozen, ratio
from bench.masks.registry import families
from bench.progress import track
from bench.types import Bucket

Mask = npt.NDArray[np.bool_]
Named = tuple[str, Mask]

KINDS = ("folder", "nvidia", "coco")
SUFFIXES = {".png", ".bmp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".pgm"}
FINE_STRATA = tuple(Bucket(Fraction(k, 20), Fraction(k + 1, 20)) for k in range(20))
NVIDIA_PX = 512
NVIDIA_PER_CLASS = 2000
NVIDIA_CLASSES = ratio.buckets("1-10,10-20,20-30,30-40,40-50,50-60")
SMALLEST_OBJECT = Fraction(1, 100)
"""Objects that cover less of the square are left out."""
_UNIT = 1000
"""Corners of polygons are rounded to thousandths of a pixel."""


def bring(
    kind: str, name: str, source: Path, size_px: int | None, threshold: int | None = None, invert: bool = False
) -> frozen.MaskSet:
    """Import a source of one of `KINDS` under a name and freeze it into the user's folder.

    size_px: the centred square is cut out and each pixel takes the value under its centre; None keeps the size, which
    must then be square and the same everywhere. threshold: grey values above it count as white. White is missing;
    `invert`: black is. Raises `BadInput` naming the file for values that are not two, for empty and for full masks.
    """
    if kind not in KINDS:
        raise UnknownName("kind of mask source", [kind], KINDS, "bench masks import --help")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or name in families():
        raise BadInput(f"'{name}' cannot name an imported set: use a-z, 0-9 and dashes, and no family's name.")
    if kind != "folder" and (threshold is not None or invert):
        raise BadInput(f"--threshold and --invert belong to --kind folder; the values of --kind {kind} are known.")
    about: dict[str, Any] = {"kind": kind, "threshold": threshold, "inverted": invert}
    if kind == "coco":
        masks, left_out = _objects(source, size_px)
        about["left_out"] = left_out
    else:
        files = _files(source)
        masks = [(file.name, _file(file, threshold, invert, size_px)) for file in _watched(files, f"reading {name}")]
        about["files_sha256"] = digest.of_lines(f"{digest.of_file(file)}  {file.name}" for file in files)
    if kind == "nvidia":
        about["classes"] = _classes(masks, [_side(file) for file in files], source)
    return _freeze(name, masks, about)


def _freeze(name: str, masks: Sequence[Named], about: Mapping[str, Any]) -> frozen.MaskSet:
    """Sort masks into strata by their exact ratio and write the set."""
    shapes = {mask.shape for _, mask in masks}
    if len(shapes) != 1 or len(set(*shapes)) != 1:
        sizes = ", ".join(sorted(f"{width}x{height}" for height, width in shapes)[:5]) or "no masks"
        raise BadInput(f"The masks have {sizes} pixels; a set has square masks of one size. Give --size.")
    size_px = masks[0][1].shape[0]
    strata: dict[Bucket, list[Named]] = {bucket: [] for bucket in FINE_STRATA}
    for label, mask in masks:
        bucket = ratio.bucket_of(int(mask.sum()), mask.size, FINE_STRATA)
        if bucket is None or mask.all():
            raise BadInput(
                f"{label} has {'no' if bucket is None else 'only'} missing pixels. Leave it out, or --invert."
            )
        strata[bucket].append((label, mask))
    held = {ratio.stratum_name(bucket): members for bucket, members in strata.items() if members}
    parts = [
        frozen.stratum(stratum, frozen.pack(np.stack([mask for _, mask in members])), size_px)
        for stratum, members in held.items()
    ]
    facts = {stratum: {"sources": [label for label, _ in members]} for stratum, members in held.items()}
    whole = {"id": f"{name}-{size_px}", "family": name, "version": 1, "imported": about}
    return frozen.write(paths.home() / "masksets" / f"{name}-{size_px}", parts, size_px, facts, whole)


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not found:
        raise BadInput(f"{folder} holds no mask images ({', '.join(sorted(SUFFIXES))}).")
    return found


def _watched(files: Sequence[Path], title: str) -> Iterator[Path]:
    with track(title, len(files)) as ticker:
        for file in files:
            yield file
            ticker.advance()


def _file(path: Path, threshold: int | None, invert: bool, size_px: int | None) -> Mask:
    """One mask image, True = missing."""
    grey = _grey(path)
    if threshold is None and not set(np.unique(grey).tolist()) <= {0, 255} and not grey.max() <= 1:
        found = np.unique(grey)
        raise BadInput(
            f"{path} has {len(found)} grey values ({', '.join(map(str, found[:6]))}{' ...' * (len(found) > 6)}); a mask"
            " has two, 0 and 255 or 0 and 1. If grey is what you mean, say which counts as white: --threshold 127."
        )
    white = grey > (0 if threshold is None else threshold)
    return fit(~white if invert else white, size_px)


def _grey(path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode not in {"1", "L", "P", "RGB"}:
                raise BadInput(f"{path} is an image of mode {image.mode}; masks are 8-bit grey (or plain RGB).")
            channels = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as fault:
        raise BadInput(f"{path} cannot be read as an image ({fault}).") from fault
    if (channels != channels[:, :, :1]).any():
        raise BadInput(f"{path} has colours; a mask is black and white.")
    return channels[:, :, 0]


def fit(mask: Mask, size_px: int | None) -> Mask:
    """The centred square at another size; each pixel takes the value under its centre. None: as it is."""
    if size_px is None:
        return mask
    height, width = mask.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    under = (2 * np.arange(size_px) + 1) * side // (2 * size_px)
    return mask[top + under[:, None], left + under]


def _side(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        return image.size


def _classes(masks: Sequence[Named], sizes: Sequence[tuple[int, int]], source: Path) -> dict[str, dict[str, int]]:
    """Check NVIDIA's numbering: consecutive classes of ratio, 512 px, white holes. What was found is recorded."""
    wanted = NVIDIA_PER_CLASS * len(NVIDIA_CLASSES)
    if len(masks) != wanted or set(sizes) != {(NVIDIA_PX, NVIDIA_PX)}:
        raise BadInput(
            f"{source} holds {len(masks)} images of {len(set(sizes))} size(s); NVIDIA's test set has {wanted} of"
            f" {NVIDIA_PX}x{NVIDIA_PX}. Its training masks are another set: import them with --kind folder --invert."
        )
    found = {}
    for place, bucket in enumerate(NVIDIA_CLASSES):
        members = masks[place * NVIDIA_PER_CLASS : (place + 1) * NVIDIA_PER_CLASS]
        stack = np.stack([mask for _, mask in members])
        counts = stack.sum(axis=(1, 2)).tolist()
        inside = sum(ratio.bucket_of(count, stack[0].size, (bucket,)) is not None for count in counts)
        found[bucket.label] = {"masks": len(members), "inside": inside, "border": int(frozen.touches(stack).sum())}
    if 2 * sum(entry["inside"] for entry in found.values()) < wanted:
        raise BadInput(
            f"{source}: most masks are not in the class of their number. Is it NVIDIA's test set, unchanged?"
        )
    return found


def _objects(source: Path, size_px: int | None) -> tuple[list[Named], int]:
    """One mask for every object of a COCO-style file, `image/annotation`; also how many were too small."""
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
        objects = content["annotations"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise BadInput(f"{source} is no COCO-style file with images and annotations ({fault!r}).") from fault
    masks, left_out = [], 0
    with track(f"reading {source.name}", len(objects)) as ticker:
        for entry in objects:
            mask = fit(segmentation(entry["segmentation"], *sizes[entry["image_id"]]), size_px)
            if SMALLEST_OBJECT * mask.size < mask.sum() < mask.size:
                masks.append((f"{entry['image_id']}/{entry['id']}", mask))
            else:
                left_out += 1
            ticker.advance()
    return masks, left_out


def segmentation(shape: Any, height: int, width: int) -> Mask:
    """A COCO segmentation as bool [H, W]: polygons (their union, by pixel centres), or run lengths, packed or not."""
    if isinstance(shape, list):
        parts = [polygon(np.reshape(part, (-1, 2)), height, width) for part in shape]
        return np.logical_or.reduce(parts) if parts else np.zeros((height, width), bool)
    counts = _unpacked(shape["counts"]) if isinstance(shape["counts"], str) else shape["counts"]
    if list(shape["size"]) != [height, width] or sum(counts) != height * width:
        raise BadInput(
            f"Run lengths for {shape['size']} with {sum(counts)} pixels do not fit an image {height}x{width}."
        )
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def polygon(corners: npt.NDArray[Any], height: int, width: int) -> Mask:
    """The pixels whose centres a polygon holds (even-odd rule): corners [K, 2] as (x, y), decided in whole numbers."""
    points = np.rint(np.asarray(corners, np.float64) * _UNIT).astype(np.int64)
    centres = np.arange(height) * _UNIT + _UNIT // 2
    crossings = np.zeros((height, width + 1), np.int64)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        rows = np.flatnonzero((centres >= min(y0, y1)) & (centres < max(y0, y1)))
        if len(rows):
            # first column whose centre is not left of the edge: ceil((x - UNIT / 2) / UNIT) with x on the edge
            rise = (y1 - y0) * _UNIT
            above = (x0 - _UNIT // 2) * (y1 - y0) + (centres[rows] - y0) * (x1 - x0)
            columns = -((-above * np.sign(rise)) // abs(rise))
            crossings[rows, np.clip(columns, 0, width)] += 1
    return np.cumsum(crossings, axis=1)[:, :width] % 2 == 1


def _unpacked(text: str) -> list[int]:
    """COCO's packed run lengths: five bits a character, from the third on as differences to the last but one."""
    counts: list[int] = []
    digits: Iterable[int] = (ord(letter) - 48 for letter in text)
    value = place = 0
    for digit in digits:
        value |= (digit & 31) << 5 * place
        place += 1
        if not digit & 32:
            value -= (digit & 16) << (5 * place - 4) if digit & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = place = 0
    return counts
