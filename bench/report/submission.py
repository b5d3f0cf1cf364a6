"""Submissions: a run in one archive that can be checked by whoever receives it.

NAME.zip holds the record, the list of images, results, summary and kept pictures of a run, named as in its folder, and
`digests.json` with the SHA-256 of each and the day on which it was packed. Feature vectors stay behind. Equal runs
packed on one day give equal bytes.
"""

from __future__ import annotations

import io
import itertools
import json
import shlex
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bench import digest, documents, masks
from bench.disk import whole_file
from bench.errors import BadInput, UnknownName
from bench.report import recomputed, results, verified
from bench.report.results import Run
from bench.runfolder import record
from bench.runfolder.damage import Damaged
from bench.runfolder.names import IMAGES, PICTURES, RECORD, RESULTS, SUMMARY, is_component
from bench.runfolder.pictures import kept

FORM = 1
DIGESTS = "digests.json"
WHOLE = (RECORD, IMAGES, RESULTS, SUMMARY)
MAX_BYTES = 4 << 30
"""Unpacked archives may not be larger."""
SMALL_BYTES, LIST_BYTES = 64 << 20, 256 << 20
"""The same of the record and the digests, and of the list of images."""
EPOCH = (1980, 1, 1, 0, 0, 0)
PLACES = ("--root", "--guides", "--prompts", "--out", "--spec", "--predictions", "--manifest")
"""Options that take a path of the machine on which a run was made."""


def pack(root: Path, out: Path, *, day: date | None = None) -> int:
    """Write a run's archive and return its size in bytes; `day`: when, today (UTC) unless given.

    Places of this machine are left out of the record: the folder of the photographs and the like, in the command too.
    Raises `BadInput` for a run without results, and for one that nobody would unpack.
    """
    run = results.load(root)
    files = [*WHOLE, *(name for one in kept(root, run.record) for name in one.names())]
    if sum((root / name).stat().st_size for name in files) > MAX_BYTES:
        raise BadInput(f"{root} holds more than the {MAX_BYTES >> 30} GiB that a submission may unpack to.")
    spec = replace(run.record.spec, root=None, guides=None, prompts=None)
    made = record.text(replace(run.record, spec=spec, command=_without_places(run.record.command))).encode()
    digests = {name: digest.of_file(root / name) for name in sorted(files)} | {RECORD: digest.of_bytes(made)}
    day = day or datetime.now(UTC).date()
    told = json.dumps({"form": FORM, "date": day.isoformat(), "sha256": digests}, indent=1) + "\n"
    texts = {RECORD: made, DIGESTS: told.encode()}
    with whole_file(out) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted({*files, *texts}):
            content = io.BytesIO(texts[name]) if name in texts else (root / name).open("rb")
            with content, archive.open(zipfile.ZipInfo(name, EPOCH), "w", force_zip64=True) as packed:
                shutil.copyfileobj(content, packed)
    return out.stat().st_size


def _without_places(command: str) -> str:
    """A command line with `...` for the paths that some of its options were given."""
    words = shlex.split(command)
    for at, word in enumerate(words):
        option, equals, _ = word.partition("=")
        if option in PLACES and equals:
            words[at] = f"{option}=..."
        elif word in PLACES and at + 1 < len(words):
            words[at + 1] = "..."
    return shlex.join(words)


def unpack(archive: Path, out: Path) -> Run:
    """Unpack a submission into an empty folder and check all of it; raises `BadInput` with the first thing wrong.

    Checked: names (nothing can leave the folder), size, digests of files; that masks and protocol are this
    installation's; that the summary follows from the rows; that kept pictures are those whose digests stand in the
    rows, and have the PSNR, L1 and MSE that stand there.
    """
    if not archive.is_file():
        raise BadInput("it is no regular file")
    try:
        with zipfile.ZipFile(archive) as opened:
            _extract(opened, out)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as fault:
        raise BadInput(f"it is no archive that can be read: {fault}") from fault
    try:
        run = _checked(out)
    except Damaged as fault:
        raise BadInput(f"its {fault.path.relative_to(out)} is damaged: {fault.why}") from fault
    except BadInput:
        raise
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, OSError, MemoryError) as fault:
        raise BadInput(f"its content is not that of a run: {fault!r}") from fault
    return run


def packed_on(archive: Path) -> str:
    """The day on which an archive that was checked says that it was packed; empty where it says none."""
    with zipfile.ZipFile(archive) as opened:
        return _digests(opened.read(DIGESTS)).date


def _checked(out: Path) -> Run:
    made = record.read(out)
    verified.check_sizes(out, made, record.read_images(out, made))
    run = results.load(out)
    checks = (_mask_sets(run), verified.faults(run), _pictures(run), recomputed.faults(run))
    if fault := next(itertools.chain(*checks), ""):
        raise BadInput(fault)
    return run


def _extract(opened: zipfile.ZipFile, out: Path) -> None:
    members = {member.filename: member for member in opened.infolist()}
    if DIGESTS not in members or len(members) != len(opened.infolist()):
        raise BadInput(f"it has no {DIGESTS}, or a name twice; write it with bench submit")
    if sum(member.file_size for member in members.values()) > MAX_BYTES:
        raise BadInput(f"it unpacks to more than {MAX_BYTES >> 30} GiB")
    for name, most in {DIGESTS: SMALL_BYTES, RECORD: SMALL_BYTES, IMAGES: LIST_BYTES}.items():
        if name in members and members[name].file_size > most:
            raise BadInput(f"its {name} unpacks to more than {most >> 20} MiB")
    digests = _digests(opened.read(DIGESTS)).sha256
    if lacking := [name for name in WHOLE if name not in digests]:
        raise BadInput(f"it lacks {', '.join(lacking)}")
    if set(members) != {*digests, DIGESTS}:
        raise BadInput(f"its files are not those of {DIGESTS}")
    for name, expected in digests.items():
        if name not in WHOLE and not _is_picture(name):
            raise BadInput(f"it holds '{name}', which is no part of a submission")
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(name) as packed, path.open("wb") as file:
            shutil.copyfileobj(packed, file)
        if digest.of_file(path) != expected:
            raise BadInput(f"{name} does not have the digest that {DIGESTS} gives")


@dataclass(frozen=True)
class _Digests:
    """What `digests.json` holds."""

    form: int
    sha256: dict[str, str]
    date: str = ""
    """`2026-02-28`, the day of packing as the submitter's machine had it; empty in archives of earlier versions."""


def _digests(content: bytes) -> _Digests:
    try:
        found = documents.parse(content.decode("utf-8"), DIGESTS, toml=False).into(_Digests)
    except (UnicodeDecodeError, BadInput) as fault:
        raise BadInput(f"its {DIGESTS} is not one that bench submit wrote ({fault})") from fault
    if found.form != FORM:
        raise BadInput(f"its {DIGESTS} has the form {found.form}, not {FORM}")
    if wrong := found.date and _no_day(found.date):
        raise BadInput(f"its date {found.date} {wrong}")
    return found


def _no_day(text: str) -> str:
    """Why a text is no day on which an archive can have been packed; empty where it is one, in any time zone."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return "is none that is written as 2026-02-28"
    return "lies in the future" if day > datetime.now(UTC).date() + timedelta(days=1) else ""


def _is_picture(name: str) -> bool:
    top, *parts = name.split("/")
    return top == PICTURES and len(parts) in (4, 5) and name.endswith(".png") and all(map(is_component, parts))


def _mask_sets(run: Run) -> Iterator[str]:
    """The mask sets are those that this installation holds, and what is told of them is what they are."""
    settings = run.record.settings
    for name, claimed in settings.mask_sets.items():
        try:
            held = masks.load(name, settings.protocol.preparation.size_px)
        except UnknownName:
            yield f"its mask set {name} is not on this machine: bench masks freeze draws ours, import brings others"
            continue
        if held.digest != claimed:
            yield f"its mask set {name} is not the one that is frozen here"
        told = run.record.mask_sets.get(name)
        if not told or (told.family, told.size_px) != (held.family, held.size_px):
            yield f"its record tells of another mask set {name} than is frozen here"


def _pictures(run: Run) -> Iterator[str]:
    """Kept pictures are those that were scored, and there are no others."""
    known: set[str] = set()
    for one in kept(run.root, run.record):
        one.check()
        known |= set(one.names())
    names = [path.relative_to(run.root).as_posix() for path in sorted((run.root / PICTURES).rglob("*.png"))]
    yield from (f"the picture {name} is not one that was scored" for name in names if name not in known)
