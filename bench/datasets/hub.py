"""Data sets as the hub lays them out: `hf:NAME[@REVISION]` from its cache, `hf-stream:NAME@COMMIT` over the network,
and local `parquet`, `imagefolder`, `webdataset`. The library `datasets` says which files are which split; pictures are
read where they lie, never copied.
"""

from __future__ import annotations

import csv
import functools
import importlib.util
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench import decoding, image_ids, progress
from bench.contracts import Dataset
from bench.datasets import streamed
from bench.datasets.shards import Shards
from bench.datasets.streamed import Remote
from bench.errors import BadInput, Unavailable, UnknownName
from bench.offline import Reached, without_network

PREFIX = "hf:"
PREFERRED = ("test", "validation", "val", "train")
"""Which split is taken where none is named: the first of these that there is."""
TEXTS = ("text", "caption", "prompt", "captions")
"""Columns that say what a picture shows, the first of these that there is."""
GROUPS_HELD = 2
"""Row groups whose pictures are held in memory; one is what a parquet file gives at once."""
METADATA = ("metadata.csv", "metadata.jsonl")


File = Path | Remote
"""Where pictures lie: here, or on the hub."""


class PictureSource(NamedTuple):
    """What a name stands for."""

    root: Path
    """The folder; of files that are streamed `OWNER/NAME`."""
    column: str
    """Of the pictures; "" for the only one, or the first."""
    commit: str = ""
    """Of the files that are streamed; "" for files that are here."""


def opened(name: str, root: Path | None, split: str | None) -> Dataset:
    """The data set of a name, in one split.

    Raises `Unavailable` where the library or the cached files are missing, `UnknownName` for a split or column that is
    not there, `BadInput` for files that are no data set.
    """
    if importlib.util.find_spec("datasets") is None:
        raise Unavailable(f"{name} needs the package datasets, which is not installed: pip install '.[hub]'.")
    layout, _, column = ("", "", "") if name.startswith((PREFIX, streamed.PREFIX)) else name.partition("#")
    if column and layout != "parquet":
        raise BadInput(f"{name}: only parquet files have columns. Leave #{column} out.")
    place = PictureSource(_given(name, root), column) if layout else _located(name)
    kind, splits = _streamed(place) if place.commit else _resolved(place.root, layout)
    chosen = split or next((one for one in PREFERRED if one in splits), next(iter(splits)))
    if chosen not in splits:
        raise UnknownName(f"split of {name}", [chosen], splits, f"bench datasets show {name.partition('@')[0]}")
    files: list[Any] = [Remote(path) if place.commit else Path(path) for path in splits[chosen]]
    if kind == "parquet":
        return Parquet(files, name, place.column)
    if place.commit:
        raise BadInput(
            f"{name} is laid out as {kind}, and parquet alone is streamed. Fetch it: {_fetching(place.root)}"
        )
    if kind == "webdataset":
        return Tars(place.root, name, files)
    if kind == "imagefolder":
        return Pictures(place.root, name, files)
    raise BadInput(f"{name} is laid out as {kind}; pictures are read from parquet, imagefolder and webdataset.")


def _given(name: str, root: Path | None) -> Path:
    if root is None:
        raise BadInput(f"The data set {name} needs --root, a folder of its files.")
    return root if root.is_dir() else root.parent


def _located(name: str) -> PictureSource:
    """The snapshot in the hub's cache of `hf:OWNER/NAME[@REVISION][#COLUMN]`; nothing is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    text, _, column = name.partition(":")[2].partition("#")
    repo, _, revision = text.partition("@")
    if name.startswith(streamed.PREFIX):
        return PictureSource(Path(repo), column, streamed.pinned(repo, revision))
    try:
        found = snapshot_download(repo, repo_type="dataset", revision=revision or None, local_files_only=True)
    except LocalEntryNotFoundError as fault:
        at = f" --revision {revision}" if revision else ""
        line = f"{_fetching(repo)}{at}"
        raise Unavailable(f"{PREFIX}{text} is not in the hub's cache on this machine; type: {line}") from fault
    except HFValidationError as fault:
        raise BadInput(f"{name} is no name of a data set, which is {PREFIX}OWNER/NAME: {fault}.") from fault
    return PictureSource(Path(found), column)


def _fetching(repo: Path | str) -> str:
    return f"hf download --repo-type dataset {repo}"


def _resolved(root: Path, kind: str) -> tuple[str, Mapping[str, Sequence[str]]]:
    """How a folder is laid out, and the files of each split, as the library reads its names and its card."""
    import datasets

    _alone(datasets)
    try:
        with without_network():
            builder = (
                datasets.load_dataset_builder(kind, data_dir=str(root))
                if kind
                else datasets.load_dataset_builder(str(root))
            )
    except Reached as fault:
        raise BadInput(f"{root} names files that are not in it, at {fault}.") from fault
    except Exception as fault:
        raise BadInput(f"{root} is no data set that can be read: {fault}") from fault
    return _layout(builder, str(root))


def _streamed(place: PictureSource) -> tuple[str, Mapping[str, Sequence[str]]]:
    """The same of a repository on the hub, of which only names and card are read."""
    import datasets

    _alone(datasets)
    repo = place.root.as_posix()
    with streamed.answered(f"{streamed.PREFIX}{repo}@{place.commit}"):
        return _layout(datasets.load_dataset_builder(repo, revision=place.commit), repo)


def _alone(datasets: Any) -> None:
    """Keep the library from sending a count of uses."""
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    progress.unshared()


def _layout(builder: Any, root: str) -> tuple[str, Mapping[str, Sequence[str]]]:
    files = {str(split): list(paths) for split, paths in (builder.config.data_files or {}).items()}
    if not files:
        raise BadInput(f"{root} holds no data files.")
    return type(builder).__module__.rpartition(".")[2], files


class ParquetRow(NamedTuple):
    """Where a picture's bytes stand."""

    file: File
    group: int
    row: int
    """Within its group."""


class Parquet(Dataset):
    """Pictures in a column of parquet files: structs of bytes and path, or bytes.

    An id is the stored path without suffix where every picture has one of its own, else the file's name and the row.
    Only a few row groups are in memory at a time.
    """

    def __init__(self, files: Sequence[File], name: str, column: str = "") -> None:
        self.name, self.files = name, files
        self.column = _picture_column(files[0], column)
        rows = {image_id: row for file in files for image_id, row in _rows(file, self.column, stored=True)}
        if len(rows) != sum(_metadata(file).num_rows for file in files) or "" in rows:
            rows = {image_id: row for file in files for image_id, row in _rows(file, self.column, stored=False)}
        self._rows = rows
        self.ids: Sequence[str] = sorted(rows)
        self._group = functools.lru_cache(GROUPS_HELD)(self._read_group)
        self._reading = threading.Lock()

    def read(self, image_id: str) -> Image.Image:
        """Decode one picture to 8-bit RGB, upright."""
        file, group, row = self._rows[image_id]
        with self._reading:  # threads that want one group read it once
            held = self._group(file, group)
        stored = held[row].as_py()
        content = stored["bytes"] if isinstance(stored, dict) else stored
        if not content:
            raise BadInput(f"{file}: the picture {image_id} has no bytes in it.")
        return decoding.decode(content, f"{file}:{image_id}", large=self.large)

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The column of texts, by id; nothing where there is none."""
        known = _opened(self.files[0]).schema_arrow.names
        column = next((one for one in TEXTS if one in known), "")
        if not column:
            return {}
        read = {file: _opened(file).read(columns=[column])[column] for file in self.files}
        starts = {file: _starts(file) for file in self.files}
        places = {image_id: self._rows[image_id] for image_id in ids}
        return {i: str(read[at.file][starts[at.file][at.group] + at.row].as_py()) for i, at in places.items()}

    def _read_group(self, file: File, group: int) -> Any:
        with _answered(file):
            return _opened(file).read_row_group(group, columns=[self.column])[self.column]


def _answered(file: File) -> AbstractContextManager[None]:
    return streamed.answered(str(file)) if isinstance(file, Remote) else nullcontext()


def _opened(file: File) -> Any:
    try:
        with _answered(file):
            return pq.ParquetFile(file.open() if isinstance(file, Remote) else file)
    except (OSError, pa.ArrowException) as fault:
        raise BadInput(f"{file} is no parquet file that can be read: {fault}.") from fault


def _metadata(file: File) -> Any:
    return _opened(file).metadata


def _picture_column(file: File, wanted: str) -> str:
    """The column of pictures: the one that is asked for, or the first that holds bytes."""
    schema = _opened(file).schema_arrow
    fits = [field.name for field in schema if _holds_bytes(field.type)]
    if wanted and wanted not in fits:
        raise UnknownName("column of pictures", [wanted], fits, str(file))
    if not fits:
        raise BadInput(f"{file} has no column of pictures; it has: {', '.join(schema.names)}.")
    return wanted or fits[0]


def _holds_bytes(kind: pa.DataType) -> bool:
    inner = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
    return bool(pa.types.is_binary(inner) or pa.types.is_large_binary(inner))


def _rows(file: File, column: str, *, stored: bool) -> Iterator[tuple[str, ParquetRow]]:
    """Every picture of a file by id. stored: the paths in the column are the ids, "" where there is none."""
    whole = _opened(file)
    for group in range(whole.num_row_groups):
        count = whole.metadata.row_group(group).num_rows
        with _answered(file):
            table = whole.read_row_group(group, columns=[f"{column}.path"]) if stored else None
        paths = [(one or {}).get("path") for one in table[column].to_pylist()] if table and table.num_columns else []
        first = _starts(file)[group]
        for row in range(count):
            own = image_ids.without_suffix(paths[row] or "") if stored and paths else ""
            yield own if stored else f"{file.stem}:{first + row:08}", ParquetRow(file, group, row)


@functools.cache
def _starts(file: File) -> list[int]:
    """The number of the first row of each row group."""
    metadata, starts = _metadata(file), [0]
    for group in range(metadata.num_row_groups):
        starts.append(starts[-1] + metadata.row_group(group).num_rows)
    return starts


class Tars(Shards):
    """The tars of one split; a text is the member `KEY.txt` beside its picture."""

    def __init__(self, root: Path, name: str, files: Sequence[Path]) -> None:
        super().__init__(root, name, files)
        self.files = files

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The text members, by id."""
        wanted, found = set(ids), {}
        for file in self.files:
            with tarfile.open(file, "r:") as archive:
                for member in archive:
                    key, _, suffix = member.name.rpartition(".")
                    if suffix == "txt" and key in wanted and (content := archive.extractfile(member)):
                        found[key] = content.read().decode("utf-8").strip()
        return found


class Pictures(Dataset):
    """Files of one split; texts stand in `metadata.csv` or `metadata.jsonl` beside them."""

    def __init__(self, root: Path, name: str, files: Sequence[Path]) -> None:
        self.root, self.name = root, name
        self._files: dict[str, Path] = {}
        self.faults: list[str] = []
        self._tables = [path for path in files if path.name in METADATA]
        for path in files:
            if image_ids.is_photograph(path.name, image_ids.suffixes()):
                own = image_ids.without_suffix(
                    path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
                )
                if self._files.setdefault(own, path) != path:
                    self.faults.append(f"{root}: two pictures are called {own}. Keep one of them.")
        if not self._files:
            raise BadInput(f"No photographs in {root} (wanted: {' '.join(image_ids.suffixes())}).")
        self.ids: Sequence[str] = sorted(self._files)

    def read(self, image_id: str) -> Image.Image:
        """Decode one photograph to 8-bit RGB, upright."""
        return decoding.decode(self._files[image_id], str(self._files[image_id]), large=self.large)

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The texts that metadata beside the files give them."""
        own = {path: image_id for image_id, path in self._files.items()}
        found = {}
        for table in self._tables:
            for row in _lines(table):
                text = next((row[one] for one in TEXTS if row.get(one)), "")
                if (image_id := own.get(table.parent / str(row.get("file_name")))) and text:
                    found[image_id] = str(text)
        return {image_id: found[image_id] for image_id in ids if image_id in found}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            yield from csv.DictReader(file)
        else:
            yield from (json.loads(line) for line in file if line.strip())
