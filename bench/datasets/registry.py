"""Which data sets there are, how their official copies are laid out, and how one is opened by name.

`demo`, `folder`, `shards`, and every entry of `entries/*.toml`. Lists of ids are frozen: a subset is drawn by the
digest of the id, so that it is the same on every machine and in every order.
"""

from __future__ import annotations

import heapq
import importlib.util
import itertools
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bench import digest, documents, image_ids
from bench.contracts import Dataset
from bench.disk import write_text
from bench.errors import BadInput, UnknownName
from bench.paths import expanded
from bench.types import DOMAINS

if TYPE_CHECKING:
    from bench.datasets.folder import Folder

SEE = "bench datasets list"
LIST_BYTES = 1 << 29
"""Larger lists of photographs are refused."""
FAULTS_SHOWN = 3
PLAIN = {
    "demo": "the photographs that travel with the project",
    "folder": "any directory of photographs (--root DIR)",
    "shards": "one tar file or a directory of them (--root)",
}
"""Names that need no entry."""
HUB = {
    "hf:OWNER/NAME[@REVISION][#COLUMN]": "a data set in the hub's cache: hf download --repo-type dataset OWNER/NAME",
    "hf-stream:OWNER/NAME@COMMIT[#COLUMN]": "a data set of parquet files on the hub, read piece by piece",
    "imagefolder": "a folder of pictures, its splits and metadata.csv as the hub has them (--root)",
    "parquet": "a folder of parquet files with a column of pictures (--root); parquet#COLUMN where there are several",
    "webdataset": "a folder of tar files, their splits as the hub has them (--root)",
}
"""Names that the extra `hub` brings."""


@dataclass(frozen=True)
class OfficialLayout:
    """One split of a data set as its publishers, or the field, lay it out on disk."""

    split: str
    folder: str
    """Below the root; ids begin below it."""
    count: int = 0
    """How many photographs there must be; 0: not settled."""
    suffixes: tuple[str, ...] = ()
    """Files that are photographs, where label maps share folder and stem; all readable ones where none are named."""
    listing: str = ""
    """Official list below the root; its first column names the photographs of the split."""
    value: str = ""
    """Only lines of the listing whose last column is this."""
    first: str = ""
    last: str = ""
    """Only files whose names without suffix lie between these, both included."""
    texts: str = ""
    """JSON file below the root with a text for each photograph: {...: {"image": PATH, "caption": TEXT}}."""


@dataclass(frozen=True)
class DatasetEntry:
    """What is known of a data set without having it."""

    name: str
    title: str
    type: str
    domain: str
    """What it shows, one of `types.DOMAINS`."""
    year: int
    images: int
    resolution: str
    licence: str
    url: str
    get: str
    """How to obtain it."""
    preparation: str
    """How papers make their inputs from it."""
    layouts: tuple[OfficialLayout, ...]
    """The first one's split is the default."""
    tables: tuple[str, ...] = ()
    """Paper tables that use it."""
    survey: dict[str, str] = field(default_factory=dict)
    """Its row in the survey's Table 3 (Gao, Generative adversarial network based image inpainting), as printed."""
    torchvision: str = ""
    """The class of torchvision that reads it."""
    notes: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of its splits, the default first."""
        return tuple(dict.fromkeys(layout.split for layout in self.layouts))


@cache
def entries() -> dict[str, DatasetEntry]:
    """Name -> what is known of a data set, from the files of `entries/`."""
    files = sorted((Path(__file__).parent / "entries").glob("*.toml"))
    return {file.stem: _entry(file) for file in files}


def _entry(file: Path) -> DatasetEntry:
    document = documents.from_toml(file, "the data set entry")
    found: DatasetEntry = document.into(DatasetEntry, name=file.stem)
    if found.domain not in DOMAINS:
        raise document.fault(f"must be one of {', '.join(DOMAINS)}", "domain")
    for place, layout in enumerate(found.layouts):
        if any(suffix.startswith(".") for suffix in layout.suffixes):
            raise document.fault("must be suffixes without their dot: png", "layouts", place, "suffixes")
    return found


def known() -> list[str]:
    """Every name that `open_dataset` takes."""
    return [*PLAIN, *HUB, *entries()]


def from_hub() -> dict[str, str]:
    """`HUB`, with what to type where the extra is missing here."""
    missing = "" if importlib.util.find_spec("datasets") else "; missing here, type: pip install '.[hub]'"
    return {name: what + missing for name, what in HUB.items()}


def entry(name: str) -> DatasetEntry:
    """One entry; raises `UnknownName`."""
    if name not in entries():
        raise UnknownName("data set", [name], known(), SEE)
    return entries()[name]


def domain(name: str, said: str = "") -> str:
    """What a data set shows, one of `DOMAINS`; "" where nobody knows. said: what the user says of it.

    Raises `UnknownName` for another word, `BadInput` where a known data set shows something else.
    """
    if said and said not in DOMAINS:
        raise UnknownName("domain", [said], DOMAINS, "bench run --help")
    own = "mixed" if name == "demo" else entries()[name].domain if name in entries() else ""
    if said and own and said != own:
        raise BadInput(f"--domain {said}: the data set {name} shows {own}. Leave it out.")
    return own or said


def layout_of(name: str, root: str | None, split: str | None) -> OfficialLayout | None:
    """The official layout that `open_dataset` reads with these words; None where a copy has no official count."""
    if name not in entries() or not root or (split and split.endswith(".txt")):
        return None
    return _locate(entries()[name], _place(root), split)[0]


def open_dataset(
    name: str, root: str | None = None, split: str | None = None, *, large: bool = False, faulty: bool = False
) -> Dataset:
    """Open a data set by name.

    large: photographs beyond the bounds of `bench.decoding` are read too. faulty: its `faults` are left to the caller.

    `root` is where the copy lies: the directory that holds the official folders, one of these, or (for `shards`) a tar
    file. `split` is the name of a split, of an official folder, or a list of ids (a file that ends in .txt). Raises
    `UnknownName`, or `BadInput` saying what was expected where.
    """
    dataset = _opened(name, root, split)
    dataset.large = large
    if dataset.faults and not faulty:
        more = f" And {len(dataset.faults) - FAULTS_SHOWN} more: bench datasets verify {name}"
        raise BadInput(" ".join(dataset.faults[:FAULTS_SHOWN]) + more * (len(dataset.faults) > FAULTS_SHOWN))
    return dataset


def _opened(name: str, root: str | None, split: str | None) -> Dataset:
    if split and split.endswith(".txt"):
        return _by_list(name, root, split)
    if split and name in PLAIN:
        raise BadInput(f"The data set {name} has no splits; --split takes a list of ids (.txt) here.")
    if name == "demo":
        return _demo(root)
    if name.partition("#")[0] in HUB or name.startswith(("hf:", "hf-stream:")):
        return _hub(name, root, split)
    if name not in known():
        here = f"for the folder of that name: --dataset folder --root {shlex.quote(name)}; else: {SEE}"
        raise UnknownName("data set", [name], known(), here if Path(name).is_dir() else SEE)
    if not root:
        raise BadInput(
            f"The data set {name} needs --root DIR, where its photographs lie. See: bench datasets show {name}"
        )
    if name in entries():
        return _official(entries()[name], _place(root), split)
    return _folder(_place(root)) if name == "folder" else _shards(_place(root))


def _by_list(name: str, root: str | None, path: str) -> Dataset:
    """The photographs that a list names, of the first split that holds them all, the default before the others."""
    wanted = read_list(Path(path))
    found = _narrow(_opened(name, root, None), wanted, path)
    for other in entries()[name].splits[1:] if found.faults and name in entries() else ():
        with suppress(BadInput):
            narrowed = _narrow(_opened(name, root, other), wanted, path)
            if not narrowed.faults:
                return narrowed
    return found


# Photographs are opened with Pillow and NumPy; lists of names must not wait for them.


def _demo(root: str | None) -> Dataset:
    from bench.datasets import demo

    if root:
        raise BadInput("The data set demo travels with the project and takes no --root.")
    dataset = _folder(demo.FOLDER, "demo")
    dataset.aside = {}  # their licences
    return dataset


def _folder(root: Path, name: str = "folder", suffixes: tuple[str, ...] = ()) -> Folder:
    from bench.datasets.folder import Folder

    return Folder(root, name, suffixes)


def _shards(root: Path) -> Dataset:
    from bench.datasets.shards import Shards

    return Shards(root)


def _hub(name: str, root: str | None, split: str | None) -> Dataset:
    from bench.datasets import hub

    if root and name.startswith(("hf:", "hf-stream:")):
        raise BadInput(f"The data set {name} lies {_where(name)} and takes no --root.")
    return hub.opened(name, _place(root) if root else None, split)


def _where(name: str) -> str:
    return "in the hub's cache" if name.startswith("hf:") else "on the hub"


def _place(root: str) -> Path:
    place = expanded(root).absolute()
    if not place.exists():
        raise BadInput(f"--root {root} {'is a link that leads nowhere' if place.is_symlink() else 'does not exist'}.")
    return place


def _torchvision(class_name: str, root: Path, split: str, name: str) -> Dataset:
    from bench.datasets.torchvision import TorchVision

    return TorchVision(class_name, root, split, name)


def _official(entry: DatasetEntry, root: Path, split: str | None) -> Dataset:
    layout, base = _locate(entry, root, split)
    if entry.torchvision:
        return _torchvision(entry.torchvision, base, layout.split, entry.name)
    dataset = _folder(base / layout.folder, entry.name, layout.suffixes)
    if layout.last:
        dataset.ids = [i for i in dataset.ids if layout.first <= i.rpartition("/")[2] <= layout.last]
    if layout.listing:
        listing = base / layout.listing
        return _narrow(dataset, list(_listed(listing, layout.value)), str(listing))
    if layout.texts:
        dataset.captions = base / layout.texts
    return dataset


def _locate(entry: DatasetEntry, root: Path, split: str | None) -> tuple[OfficialLayout, Path]:
    """The layout that is there, and the directory that its folder lies in."""
    wanted = split or next((layout.split for layout in entry.layouts if _tail(root, layout.folder)), entry.splits[0])
    layouts = [layout for layout in entry.layouts if wanted in (layout.split, layout.folder)]
    if not layouts:
        raise UnknownName(f"split of {entry.name}", [wanted], entry.splits, f"bench datasets show {entry.name}")
    for layout in layouts:
        if base := _base(root, layout):
            return layout, base
    expected = ", ".join(f"{layout.folder}{layout.listing and f' with {layout.listing}'}" for layout in layouts)
    others = ", ".join(dict.fromkeys(layout.split for layout in entry.layouts if _base(root, layout)))
    hint = f"There is: --split {others}." if others else "The data set folder takes any arrangement."
    raise BadInput(f"{root} holds no split {wanted} of {entry.name}; expected: {expected}. {hint}")


def _tail(root: Path, folder: str) -> bool:
    """Whether the root itself is an official folder."""
    parts = PurePosixPath(folder).parts
    return bool(parts) and root.parts[-len(parts) :] == parts


def _base(root: Path, layout: OfficialLayout) -> Path | None:
    """The directory above the layout's folder, where the root is that directory, the folder, or between the two."""
    parts = PurePosixPath(layout.folder).parts
    for depth in range(min(len(parts), len(root.parents)) + 1):
        base = root.parents[depth - 1] if depth else root
        inside = root.parts[len(root.parts) - depth :] == parts[:depth]
        if inside and (base / layout.folder).exists() and (base / layout.listing).exists():
            return base
    return None


def _listed(path: Path, value: str) -> Iterator[str]:
    """The ids in an official list: its first column without suffix, of all lines or of those that end with `value`."""
    for line in _lines(path):
        columns = line.split()
        if columns and (not value or columns[-1] == value):
            yield image_ids.without_suffix(columns[0])


LONGEST = 200
"""Letters of a line of a list that a sentence quotes."""


def _narrow(dataset: Dataset, lines: Sequence[str], source: str) -> Dataset:
    """Only the photographs that a list names."""
    known = set(dataset.ids)
    root = getattr(dataset, "root", None)
    found = [next((name for name in _meanings(line, root) if name in known), None) for line in lines]
    missing = sorted(line for line, name in zip(lines, found, strict=True) if name is None)
    if missing:
        fault = (
            f"{source} names {len(missing)} photograph{'s' * (len(missing) > 1)} that {dataset.name} does not hold: "
            f"{missing[0][:LONGEST]}"
            f"{', ...' * (len(missing) > 1)}. Its ids look like this: {min(known)}."
        )
        dataset.faults = [*dataset.faults, fault]
    dataset.ids = sorted(_once([name for name in found if name is not None], source))
    return dataset


def _meanings(line: str, root: Path | None) -> Iterator[str]:
    """The ids that a line can mean, the plainest first; publishers write whole paths, backslashes, class numbers."""
    for text in (line, re.sub(r"\s+-?\d+$", "", line)):
        yield image_ids.without_suffix(text)
        path = PurePosixPath(text.replace("\\", "/"))
        if root and path.is_relative_to(root):
            path = path.relative_to(root)
        yield image_ids.without_suffix(str(path))


def draw_lists(ids: Sequence[str], counts: Mapping[str, int], seed: int) -> dict[str, list[str]]:
    """Disjoint lists of so many photographs each, by name: those with the smallest digests of `seed/id`, in turn.

    They depend on ids, counts and seed alone; each list is sorted. Raises `BadInput` where there are too few ids.
    """
    wanted = sum(counts.values())
    if wanted > len(ids):
        raise BadInput(f"The lists ask for {wanted:,} photographs; there are {len(ids):,}. Give smaller --counts.")
    drawn = iter(heapq.nsmallest(wanted, ids, key=lambda name: digest.number(f"{seed}/{name}")))
    return {name: sorted(itertools.islice(drawn, count)) for name, count in counts.items()}


def write_list(path: Path, ids: Sequence[str]) -> None:
    """Freeze a list: one id a line, UTF-8."""
    write_text(path, "".join(f"{name}\n" for name in ids))


def read_list(path: Path) -> list[str]:
    """Read a list of photographs, one a line (their suffix is dropped); an empty or repeated one is `BadInput`."""
    ids = [image_ids.without_suffix(line) for line in _lines(path)]
    if not ids:
        raise BadInput(f"The list {path} is empty.")
    return _once(ids, str(path))


def _once(ids: list[str], source: str) -> list[str]:
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise BadInput(f"The list {source} names {twice[0]} twice.")
    return ids


def _lines(path: Path) -> list[str]:
    text = documents.text(path, "the list", LIST_BYTES)
    return [line.strip() for line in text.split("\n") if line.strip()]


def list_digest(ids: Sequence[str]) -> str:
    """SHA-256 under which a list of ids is known."""
    return digest.of_lines(ids)
