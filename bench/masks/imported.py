"""Masks that others drew: NVIDIA's irregular test set, any folder of mask images, objects of COCO-style segmentation.

They are read once, checked, brought to one size without interpolation, and frozen like the house's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import decoding, digest, paths
from bench.errors import BadInput, UnknownName
from bench.masks import brushnet, coco, frozen, packing, ratio, writing
from bench.masks.registry import families
from bench.paths import hidden
from bench.progress import track
from bench.types import Bucket

Mask = npt.NDArray[np.bool_]
Named = tuple[str, Mask]

KINDS = ("folder", "nvidia", "coco", "brushnet")
NAMED = ("folder", "brushnet")
"""Kinds whose masks can belong to a picture each, by name."""
SUFFIXES = {".png", ".bmp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".pgm"}
OTHER_FORMATS = ("GIF", "PPM")
"""What masks may be stored as beyond the formats of photographs."""
FINE_STRATA = tuple(Bucket(Fraction(k, 20), Fraction(k + 1, 20)) for k in range(20))
NVIDIA_PX = 512
NVIDIA_PER_CLASS = 2000
NVIDIA_FAMILY = "irregular"
"""What NVIDIA's test masks count as wherever a protocol or a layout asks for a family."""
NVIDIA_CLASSES = ratio.buckets("1-10,10-20,20-30,30-40,40-50,50-60")
SMALLEST_OBJECT = Fraction(1, 100)
"""Objects that cover less of the square are left out."""


def bring(
    kind: str,
    name: str,
    source: Path,
    size_px: int | None,
    threshold: int | None = None,
    invert: bool = False,
    force: bool = False,
    *,
    paired: bool = False,
    ending: str = "",
) -> frozen.MaskSet:
    """Import a source of one of `KINDS` under a name and freeze it into the user's folder.

    size_px: the centred square is cut out and each pixel takes the value under its centre; None keeps the size, which
    must then be square and the same everywhere. threshold: grey values above it count as white. White is missing;
    `invert`: black is. force: replaces a set of this name and size. paired: a picture takes the mask of its own name.
    ending: only files whose stem ends so are masks; it is no part of the name. Raises `BadInput` for a taken name
    without `force`, and naming the file for values that are not two, for empty and for full masks.
    """
    _check(kind, name, source)
    if kind != "folder" and (threshold is not None or invert):
        raise BadInput(f"--threshold and --invert belong to --kind folder; the values of --kind {kind} are known.")
    if (paired and kind not in NAMED) or (ending and kind != "folder"):
        raise BadInput(f"--paired belongs to --kind {' and '.join(NAMED)}, --ending to --kind folder.")
    if size_px and not force:
        _refuse_taken(f"{name}-{size_px}")
    about: dict[str, Any] = {"kind": kind, "threshold": threshold, "inverted": invert}
    about |= {"paired": True} if paired else {}
    if kind == "coco":
        masks, left_out = _objects(source, size_px)
        about["left_out"] = left_out
    elif kind == "brushnet":
        masks = [(label, fit(whole, size_px)) for label, whole in brushnet.masks(source)]
        masks = [(label, mask) for label, mask in masks if mask.any() and not mask.all()]
    else:
        files = _files(source, ending)
        labels = [_label(file, source, ending) if paired else file.name for file in files]
        read = (_file(file, threshold, invert, size_px) for file in _watched(files, f"reading {name}"))
        masks = list(zip(labels, read, strict=True))
        about["files_sha256"] = digest.of_lines(f"{digest.of_file(file)}  {file.name}" for file in files)
    if kind == "nvidia":
        about["classes"] = _classes(masks, [_side(file) for file in files], source)
    return freeze(name, masks, about, force=force)


def _check(kind: str, name: str, source: Path) -> None:
    if kind not in KINDS:
        raise UnknownName("kind of mask source", [kind], KINDS, "bench masks import --help")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or name in {"all", *families()}:
        raise BadInput(f"'{name}' cannot name an imported set: use a-z, 0-9 and dashes, no family's name, not all.")
    if not source.exists():
        raise BadInput(f"{source} does not exist.")


def freeze(name: str, masks: Sequence[Named], about: Mapping[str, Any], *, force: bool) -> frozen.MaskSet:
    """Sort masks into strata by their exact ratio and write the set."""
    shapes = {mask.shape for _, mask in masks}
    if len(shapes) != 1 or len(set(*shapes)) != 1:
        sizes = ", ".join(sorted(f"{width}x{height}" for height, width in shapes)[:5]) or "no masks"
        raise BadInput(f"The masks have {sizes} pixels; a set has square masks of one size. Give --size.")
    size_px = masks[0][1].shape[0]
    family = NVIDIA_FAMILY if about["kind"] == "nvidia" else _stood_in(name)
    strata: dict[Bucket, list[Named]] = {bucket: [] for bucket in FINE_STRATA}
    for label, mask in masks:
        bucket = ratio.bucket_of(int(mask.sum()), mask.size, FINE_STRATA)
        assert bucket is not None, "empty masks were refused when they were read"
        strata[bucket].append((label, mask))
    held = {ratio.stratum_name(bucket): members for bucket, members in strata.items() if members}
    parts = [
        frozen.stratum(stratum, packing.pack(np.stack([mask for _, mask in members])), size_px)
        for stratum, members in held.items()
    ]
    facts = {stratum: {"sources": [label for label, _ in members]} for stratum, members in held.items()}
    if not force:
        _refuse_taken(f"{name}-{size_px}")
    whole = {"id": f"{name}-{size_px}", "family": family, "version": 1, "imported": about}
    return writing.write(paths.home() / "masksets" / f"{name}-{size_px}", parts, size_px, facts, whole)


def _stood_in(name: str) -> str:
    """What a set counts as: the family that stands in for it, which its name begins with (`mat-small-authors`)."""
    return next((one.name for one in families().values() if one.stands_in and name.startswith(f"{one.name}-")), name)


def _refuse_taken(set_id: str) -> None:
    folder = paths.home() / "masksets" / set_id
    if (folder / frozen.MANIFEST).exists():
        raise BadInput(f"There is a mask set {set_id} already ({folder}). Choose another name, or replace it: --force.")


def _files(folder: Path, ending: str) -> list[Path]:
    if not folder.is_dir():
        raise BadInput(f"{folder} is a file; give the folder of the mask images.")
    pictures = (one for one in folder.rglob("*") if one.suffix.lower() in SUFFIXES and not hidden(one, folder))
    found = sorted(one for one in pictures if one.stem.endswith(ending))
    if not found:
        named = f" whose names end with {ending}" if ending else ""
        raise BadInput(f"{folder} holds no mask images{named} ({', '.join(sorted(SUFFIXES))}).")
    return found


def _label(file: Path, folder: Path, ending: str) -> str:
    """The path of a mask below the folder, as that of its picture."""
    return file.relative_to(folder).with_name(file.stem.removesuffix(ending) + file.suffix).as_posix()


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
    mask = fit(~white if invert else white, size_px)
    if mask.all() or not mask.any():
        raise BadInput(f"{path} has {'only' if mask.all() else 'no'} missing pixels. Leave it out.")
    return mask


def _grey(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with decoding.opened(path, str(path), also=OTHER_FORMATS) as image:
            if image.mode not in {"1", "L", "P", "RGB"}:
                raise BadInput(f"{path} is an image of mode {image.mode}; masks are 8-bit grey (or plain RGB).")
            channels = np.asarray(image.convert("RGB"))
    except decoding.DAMAGE as fault:
        raise BadInput(f"{path}: damaged: {fault}.") from fault
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
    with decoding.opened(path, str(path), also=OTHER_FORMATS) as image:
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
        found[bucket.label] = {"masks": len(members), "inside": inside, "border": int(packing.touches(stack).sum())}
    if 2 * sum(entry["inside"] for entry in found.values()) < wanted:
        raise BadInput(
            f"{source}: most masks are not in the class of their number. Is it NVIDIA's test set, unchanged?"
        )
    return found


def _objects(source: Path, size_px: int | None) -> tuple[list[Named], int]:
    """One mask for every object of a COCO-style file, `image/annotation`; also how many were too small."""
    masks, left_out = [], 0
    for label, whole in coco.objects(source):
        mask = fit(whole, size_px)
        if SMALLEST_OBJECT * mask.size < mask.sum() < mask.size:
            masks.append((label, mask))
        else:
            left_out += 1
    return masks, left_out
