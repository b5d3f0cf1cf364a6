"""What a file is that somebody takes for a checkpoint, by its first bytes, its name and what a zip in it lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.models import archives

AGAIN = "get the file itself and import that"
SAVE = "save its tensors under their names by torch.save or as safetensors, and import that"
HOW = " (docs/weights.md says how)"
HEADS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file that it points to: type git lfs pull beside it, or "
    "download the file from its page",
    b"<!doctype": f"is a web page, no checkpoint: some hosts ask before they hand a file out; {AGAIN}",
    b"<html": f"is a web page, no checkpoint: some hosts ask before they hand a file out; {AGAIN}",
    b"<?xml": f"is an XML page, no checkpoint; {AGAIN}",
    b"\x89hdf": "is an HDF5 file (Keras, MATLAB): save its arrays under their names as safetensors and import that"
    f"{HOW}",
    b"\x93numpy": "is a single NumPy array without names: save the tensors under their names as safetensors",
    b"\x1f\x8b": "is compressed, but no tar: unpack it and import what is in it",
    b"7z\xbc\xaf": "is a compressed archive: unpack it and import what is in it",
    b"pk\x05\x06": "is an empty archive: get it again",
    b"rar!": "is a compressed archive: unpack it and import what is in it",
}
"""How a file begins, in small letters -> what it is and what to do."""
SUFFIXES = {
    ".index": f"is part of a TensorFlow checkpoint: save its variables under their names as npz and import that{HOW}",
    ".meta": f"is the graph of a TensorFlow checkpoint: save its variables under their names as npz{HOW}",
    ".pb": f"is a graph of TensorFlow's: save its constants under their names as npz and import that{HOW}",
    ".caffemodel": f"is Caffe's: save its blobs under their layers' names as safetensors and import that{HOW}",
    ".onnx": "is an ONNX program: save its initializers under their names as safetensors and import that",
}
PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How every pickle begins since protocol 2, torch's own among them."""
TORCH = b"l\xfc\x9cF\xf9 j\xa8P\x19"
"""Torch's sign, a whole number, at the beginning of what it wrote before 1.6."""


def other(file: Path) -> str:
    """What a file is that holds no checkpoint, and what to do, in a clause; empty where it may be one.

    Nothing of what it holds is said. Raises `BadInput` for a zip file that is damaged or inflates beyond bounds.
    """
    if not (size := file.stat().st_size):
        return "is empty (0 bytes): get it again"
    with file.open("rb") as opened:
        head = opened.read(512)
    start = head.lstrip().lower()
    if said := next((said for sign, said in HEADS.items() if start.startswith(sign)), ""):
        return said
    if head.startswith(archives.ZIP):
        names = archives.names(file)
        return _other_zip(file, names) if names else f"is cut short after {size:,} bytes: get it again"
    if said := SUFFIXES.get(file.suffix, SUFFIXES[".index"] if ".data-0" in file.name else ""):
        return said
    return "" if file.suffix == ".t7" or is_safetensors(file) else _other_pickle(head)


def _other_zip(file: Path, names: Sequence[str]) -> str:
    known = is_numpy(names) or any(name.endswith("/data.pkl") for name in names)
    return "" if known else f"is an archive of {', '.join(sorted(names)[:3])}: name the file in it, {file.name}/FILE"


def _other_pickle(head: bytes) -> str:
    if head.startswith(PICKLE):
        pickled = f"is a pickle that torch.save did not write, which may hold code: it was not read; {SAVE}"
        return "" if TORCH in head[:64] else pickled
    kind = "holds text" if not set(head) & set(range(8)) else "begins as no checkpoint does"
    return f"{kind}: it is none of torch's, safetensors', NumPy's or Torch7's files, or it is damaged; {AGAIN}"


def is_script(file: Path) -> bool:
    """Whether a file is a TorchScript program."""
    return any(name.endswith("/constants.pkl") for name in archives.names(file))


def is_numpy(names: Sequence[str]) -> bool:
    """Whether a zip file that lists these names is NumPy's."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def is_safetensors(file: Path) -> bool:
    """Whether a file is called or begins as safetensors."""
    with file.open("rb") as opened:
        head = opened.read(9)
    announced = int.from_bytes(head[:8], "little")
    return file.suffix == ".safetensors" or (head[8:] == b"{" and 8 + announced <= file.stat().st_size)
