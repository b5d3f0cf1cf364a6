"""Which file names are photographs, and the id that a file name gives."""

from __future__ import annotations

SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff")
"""File name endings that mean a photograph, in any case."""


def is_photograph(name: str, suffixes: tuple[str, ...] = SUFFIXES) -> bool:
    """Whether a file name ends as photographs do."""
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and suffix.lower() in suffixes


def without_suffix(name: str) -> str:
    """The id of a photograph; names that have no such ending stay as they are."""
    return name.rpartition(".")[0] if is_photograph(name) else name
