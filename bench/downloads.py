"""Weight files of known networks: where they are looked for, how they are checked, how they are fetched."""

from __future__ import annotations

import functools
import os
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench import digest, paths, progress
from bench.disk import whole_file
from bench.errors import BadInput, Unavailable, UnknownName

MIB = 1 << 20
TORCHVISION = "https://download.pytorch.org/models/"
IMAGENET = "BSD-3-Clause (torchvision); trained on ImageNet, whose terms ask for non-commercial research"


@dataclass(frozen=True)
class WeightFile:
    """A file that others publish and that cannot travel with the project."""

    file: str
    """Its name, the same everywhere."""
    url: str
    sha256: str
    """Digest in hexadecimal, or its first digits where the publisher states no more than these."""
    size_mib: float
    licence: str
    needed_by: str


KNOWN = {
    "alexnet-imagenet": WeightFile(
        file="alexnet-owt-7be5be79.pth",
        url=TORCHVISION + "alexnet-owt-7be5be79.pth",
        sha256="7be5be79",
        size_mib=233.1,
        licence=IMAGENET,
        needed_by="lpips-alex",
    ),
    "vgg16-imagenet": WeightFile(
        file="vgg16-397923af.pth",
        url=TORCHVISION + "vgg16-397923af.pth",
        sha256="397923af",
        size_mib=527.8,
        licence=IMAGENET,
        needed_by="lpips-vgg; perceptual and style losses",
    ),
    "vgg19-imagenet": WeightFile(
        file="vgg19-dcbb9e9d.pth",
        url=TORCHVISION + "vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9d",
        size_mib=548.1,
        licence=IMAGENET,
        needed_by="perceptual and style losses",
    ),
    "squeezenet-imagenet": WeightFile(
        file="squeezenet1_1-b8a52dc0.pth",
        url=TORCHVISION + "squeezenet1_1-b8a52dc0.pth",
        sha256="b8a52dc0",
        size_mib=4.7,
        licence=IMAGENET,
        needed_by="lpips-squeeze",
    ),
    "densenet121-imagenet": WeightFile(
        file="densenet121-a639ec97.pth",
        url=TORCHVISION + "densenet121-a639ec97.pth",
        sha256="a639ec97",
        size_mib=30.8,
        licence=IMAGENET,
        needed_by="models with a DenseNet encoder",
    ),
    # A copy of network-bsds500.pytorch, which sniklaus/pytorch-hed offers without encryption and without a digest.
    "hed-bsds500": WeightFile(
        file="network-bsds500.pth",
        url="https://huggingface.co/lllyasviel/ControlNet/resolve/main/annotator/ckpts/network-bsds500.pth",
        sha256="58a858782f5fa3e0ca3dc92e7a1a609add93987d77be3dfa54f8f8419d881a94",
        size_mib=56.1,
        licence="GPL-3.0 (sniklaus/pytorch-hed); HED's own weights, trained on BSDS500",
        needed_by="sketches of cfs",
    ),
    "inception-fid": WeightFile(
        file="pt_inception-2015-12-05-6726825d.pth",
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        sha256="6726825d",
        size_mib=91.2,
        licence="Apache-2.0 (port of TensorFlow's Inception of 2015-12-05)",
        needed_by="fid, fid-inf, kid, p-ids, u-ids",
    ),
    "dinov2-large": WeightFile(
        file="dinov2_vitl14_pretrain.pth",
        url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
        sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        size_mib=1161.2,
        licence="Apache-2.0",
        needed_by="fd-dinov2",
    ),
}


def known(name: str) -> WeightFile:
    """The entry of a file; raises `UnknownName` with the nearest names."""
    if name not in KNOWN:
        raise UnknownName("weight file", [name], KNOWN, "bench metrics fetch --help")
    return KNOWN[name]


def variable(name: str) -> str:
    """The environment variable that names the file itself: `BENCH_WEIGHTS_INCEPTION_FID`."""
    return "BENCH_WEIGHTS_" + re.sub(r"\W", "_", name).upper()


def find(name: str) -> Path | None:
    """Where the file lies, unchecked: what its variable names, else `BENCH_HOME`/weights, else torch's hub cache."""
    file = known(name).file
    if given := os.environ.get(variable(name)):
        if not Path(given).is_file():
            raise BadInput(f"{variable(name)} names {given}, which is not a file.")
        return Path(given)
    return next((folder / file for folder in (_store(), _torch_hub()) if (folder / file).is_file()), None)


def missing(name: str) -> str | None:
    """One sentence on a file that is not here: which, where to put it, what fetches it. None where it is."""
    if find(name):
        return None
    entry = known(name)
    return (
        f"{entry.file} ({entry.size_mib:g} MiB) is not on this machine: `bench metrics fetch {name}` gets it, "
        f"or put it into {_store()} (from {entry.url})."
    )


def locate(name: str, fetch: bool = False) -> Path:
    """The path of the file, its digest checked.

    Raises `Unavailable` where it is missing and was not to be fetched, `BadInput` where its digest is wrong.
    """
    path = find(name)
    if path is None and fetch:
        path = _download(known(name))
    if path is None:
        raise Unavailable(str(missing(name)))
    _check(path, known(name))
    return path


def sha256(name: str) -> str:
    """The full digest of the file that `locate` finds, for run records and caches."""
    return _digest_of(locate(name))


def bring(name: str, source: Path) -> Path:
    """Copy a file that the user brought into `BENCH_HOME`/weights, under its own name, its digest checked."""
    entry = known(name)
    if not source.is_file():
        raise BadInput(f"{source} is not a file.")
    _check(source, entry)
    with source.open("rb") as stream:
        return _keep(stream, entry, source.stat().st_size)


def _store() -> Path:
    return paths.home() / "weights"


def _torch_hub() -> Path:
    """Torch's own rule, without importing torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser() / "hub" / "checkpoints"


def _check(path: Path, entry: WeightFile) -> None:
    found = _digest_of(path)
    if not found.startswith(entry.sha256):
        raise BadInput(
            f"{path} is not {entry.file}: its SHA-256 begins with {found[: len(entry.sha256)]}, "
            f"not with {entry.sha256}. Remove it and fetch it again."
        )


def _digest_of(path: Path) -> str:
    state = path.stat()
    return _digest_once(path, state.st_size, state.st_mtime_ns)


@functools.cache
def _digest_once(path: Path, size: int, mtime_ns: int) -> str:
    """Half a gigabyte is not read twice in one process; size and time stand for the content."""
    return digest.of_file(path)


def _download(entry: WeightFile) -> Path:
    try:
        with urllib.request.urlopen(entry.url, timeout=60) as answer:  # noqa: S310 - the addresses stand above
            return _keep(answer, entry, int(answer.headers.get("Content-Length") or entry.size_mib * MIB))
    except OSError as fault:
        raise Unavailable(
            f"{entry.file} could not be fetched from {entry.url} ({fault}). Where there is no network, "
            f"bring the file and put it into {_store()}."
        ) from fault


def _keep(stream: IO[bytes], entry: WeightFile, size: int) -> Path:
    """Write beside the final name, check, rename: a file under its name is whole."""
    path = _store() / entry.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside:
        with progress.track(entry.file, size / MIB) as ticker, beside.open("wb") as file:
            while piece := stream.read(MIB):
                file.write(piece)
                ticker.advance(len(piece) / MIB)
        _check(beside, entry)
    return path
