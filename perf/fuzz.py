"""Give the house damaged and made-up files, and see what it answers.

    python perf/fuzz.py checkpoints --count 1000          (fixed seed: the same files every time)
    python perf/fuzz.py checkpoints --only 317            one of them again, its fault as Python prints it

A kind of file is a module of `perf/fuzzed/`: whole samples, which are cut, flipped and spliced here, files that it
makes up, and what a user does with one. The right answer to each is success or one sentence (`BenchError`); everything
else is a fault: a traceback, processor time over 5 s, a process over 1.5 GiB. Exit status 1 where there is any.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from bench.errors import BenchError

CPU_S, WALL_S = 5.0, 60.0
"""Processor time that an answer may take; and after so long a worker is given up, however busy the machine is."""
PEAK_MIB = 1536
ROOM_BYTES = 4 << 30
"""A worker may ask the system for so much more than it begins with: a bomb fails in it, not on its machine."""


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """A file cut short, with bits or bytes changed, a piece repeated or left out, or strange bytes put in."""
    content = bytearray(whole)
    for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
        start = chance.randrange(len(content) + 1)
        end = min(len(content), start + chance.choice((1, 4, 64, 1024)))
        match chance.choice(("flip", "byte", "cut", "drop", "repeat", "insert", "large")):
            case "flip" if start < len(content):
                content[start] ^= 1 << chance.randrange(8)
            case "byte" if start < len(content):
                content[start] = chance.randrange(256)
            case "cut":
                del content[start:]
            case "drop":
                del content[start:end]
            case "repeat":
                content[start:start] = content[start:end]
            case "insert":
                content[start:start] = chance.randbytes(chance.choice((1, 4, 64)))
            case "large":
                content[start : start + 8] = chance.choice((b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\xff" * 4))
    return bytes(content)


def case(section: ModuleType, number: int, folder: Path) -> Path:
    """The file of a number: every third is made up, the others are a damaged sample."""
    chance = random.Random(f"{section.__name__} {number}")
    if number % 3 == 0:
        return section.made(chance, folder)
    samples = section.samples(folder / "samples")
    sample = samples[number % len(samples)]
    path = folder / f"{number}{''.join(sample.suffixes)}"
    path.write_bytes(damaged(sample.read_bytes(), chance))
    return path


def answer(section: ModuleType, path: Path) -> dict[str, Any]:
    """What a use of a file ends with: `kind` (`whole`, `sentence`, `traceback`), its text, seconds of the processor."""
    begin = time.process_time()
    kind, text = "whole", ""
    try:
        section.use(path)
    except BenchError as fault:
        text = str(fault)
        kind = "sentence" if text and "\n" not in text else "no sentence"
    except Exception as fault:  # noqa: BLE001 - whatever a user would see as a traceback
        place = traceback.extract_tb(fault.__traceback__)[-1]
        kind, text = "traceback", f"{type(fault).__name__}: {fault} ({place.filename}:{place.lineno})"
    seconds = time.process_time() - begin
    return {"kind": "slow" if seconds > CPU_S else kind, "text": text, "seconds": seconds}


def _work(name: str, numbers: list[int], pipe: multiprocessing.connection.Connection) -> None:
    """Answers to the files of some numbers, one after another, down a pipe."""
    section = importlib.import_module(f"fuzzed.{name}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        section.prepare(Path(folder))
        case(section, 1, Path(folder))  # imports what is needed
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM_BYTES, size + ROOM_BYTES))
        for number in numbers:
            path = case(section, number, Path(folder))
            found = answer(section, path)
            path.unlink(missing_ok=True)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            pipe.send(found | {"number": number, "peak_mib": peak})


def answers(name: str, numbers: list[int]) -> Iterator[dict[str, Any]]:
    """Answers as they come; a worker that hangs or dies is replaced, and its file is the fault."""
    context = multiprocessing.get_context("spawn")
    while numbers:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(name, numbers, theirs), daemon=True)
        worker.start()
        theirs.close()
        done = 0
        try:
            while done < len(numbers) and ours.poll(WALL_S):
                yield ours.recv()
                done += 1
            kind = "hang"
        except EOFError:
            kind = "died"
        worker.kill()
        worker.join()
        if done < len(numbers):
            yield {"kind": kind, "text": "", "seconds": WALL_S, "number": numbers[done], "peak_mib": 0}
            done += 1
        numbers = numbers[done:]


def again(name: str, number: int) -> None:
    """One file once more, here, its fault as Python prints it."""
    section = importlib.import_module(f"fuzzed.{name}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        section.prepare(Path(folder))
        path = case(section, number, Path(folder))
        print(path, path.stat().st_size, path.read_bytes()[:64])
        section.use(path)
        print("whole")


def main() -> None:
    """Count the answers and print them."""
    kinds = sorted(path.stem for path in (Path(__file__).parent / "fuzzed").glob("[a-z]*.py"))
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("kind", choices=kinds)
    given.add_argument("--count", type=int, default=1000)
    given.add_argument("--only", type=int, default=-1)
    wanted = given.parse_args()
    if wanted.only >= 0:
        again(wanted.kind, wanted.only)
        return
    found = list(answers(wanted.kind, list(range(wanted.count))))
    faults = [one for one in found if one["kind"] not in ("whole", "sentence")]
    peak = max(one["peak_mib"] for one in found)
    print("\n".join(json.dumps(one) for one in faults))
    told = Counter(one["kind"] for one in found)
    print(
        f"{wanted.kind}: {len(found)} files; "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(told.items()))
        + f"; slowest {max(one['seconds'] for one in found):.1f} s, largest process {peak:.0f} MiB"
    )
    sys.exit(bool(faults) or peak > PEAK_MIB)


if __name__ == "__main__":
    main()
