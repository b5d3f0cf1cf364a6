"""Which files there are: one TOML each, `NAME.toml` beside this module."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import documents
from bench.errors import UnknownName

LEAST_DIGITS = 8
"""So many digits of a digest are stated at least, as the names of torch's own files have them."""
BY_HAND = ("drive.google.com", "docs.google.com", "onedrive.live.com", "1drv.ms", "www.dropbox.com", "pan.baidu.com")
"""Hosts that ask a person before they hand a file out."""


@dataclass(frozen=True)
class Download:
    """A file that others publish and that cannot travel with the project."""

    name: str
    file: str
    """What it is called where it lies, the same everywhere."""
    url: str
    licence: str
    sha256: str = ""
    """Digest in hexadecimal, or its first digits where the publisher states no more than these.

    Empty where nobody states any: a metric's network is then brought by the user, never fetched; of weights the first
    file is trusted.
    """
    md5: str = ""
    """Where this is the only digest that anybody states."""
    size_mib: float = 0
    """0 where nobody states it."""

    @property
    def algorithm(self) -> str:
        """Of the digest that is stated: `sha256` or `md5`."""
        return "md5" if self.md5 and not self.sha256 else "sha256"

    @property
    def algorithm_title(self) -> str:
        """As sentences write it."""
        return {"md5": "MD5", "sha256": "SHA-256"}[self.algorithm]

    @property
    def stated(self) -> str:
        """The digest, or its first digits; empty where nobody states any."""
        return self.sha256 or self.md5

    @property
    def by_hand(self) -> bool:
        """Whether it lies where only a person with a browser gets it."""
        return urlsplit(self.url).hostname in BY_HAND


@functools.cache
def entries() -> dict[str, Download]:
    """All files that metrics and recipes need, by name."""
    return {path.stem: read(path, path.stem) for path in sorted(Path(__file__).parent.glob("*.toml"))}


def read(path: Path, name: str) -> Download:
    """A download as its TOML file describes it; raises `BadInput` with line and field."""
    document = documents.from_toml(path, "the download")
    found: Download = document.into(Download, name=name)
    for field, most in (("sha256", 64), ("md5", 32)):
        digits = getattr(found, field)
        if digits and not (LEAST_DIGITS <= len(digits) <= most and set(digits) <= set("0123456789abcdef")):
            raise document.fault(f"must be {LEAST_DIGITS} to {most} hexadecimal digits in lower case", field)
    return found


def entry(name: str) -> Download:
    """One of them; raises `UnknownName` with the nearest names."""
    if name not in entries():
        raise UnknownName("weight file", [name], entries(), "bench doctor")
    return entries()[name]
