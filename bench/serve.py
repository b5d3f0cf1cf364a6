"""Serve a model of another environment to `bench run`: copy this one file beside the authors' code (Python 3.6, NumPy).

    from serve import serve

    def predict(images, masks):         # or (images, masks, seeds): one whole number an image, for models that draw
        ...                             # images: float32 [B, 3, H, W], RGB in 0..1, zero under the mask
        return filled                   # masks: uint8 [B, 1, H, W], 1 = missing; returns [B, 3, H, W], float32 or uint8

    serve(predict, name="Their model", weights=["their.pth"])

Then `bench models serve-check 'path/to/their/python this_script.py'` proves it, and `bench run --models
'serve:path/to/their/python this_script.py'` measures it. What the script and its libraries print goes to the log.

On standard input and output: a line of JSON, then the arrays that it announces, little-endian, one after another.
"""

import hashlib
import inspect
import json
import os
import queue
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

PROTOCOL = 1
"""Both sides must speak the same version."""
LONGEST_LINE = 1 << 16
LEAVE_S = 30.0
"""So long a batch may go on for nobody, once the other side is gone, which cannot end a container or a far machine."""
LARGEST_ARRAY = 1 << 32
"""Bytes; what announces more is refused before any memory is asked for."""
KINDS = {"f4": "<f4", "u1": "u1"}


def serve(
    predict: Callable[..., Any],
    name: str = "",
    weights: Sequence[str] = (),
    prepare: Optional[Callable[[], Any]] = None,
    multiple: int = 1,
    minimum_px: int = 1,
    largest_px: int = 0,
    square: bool = False,
) -> None:
    """Answer until the other side has no more; call it last.

    name: as tables print it. weights: files whose digest stands for the model, by which a later run knows whether it is
    still the same. prepare: called once before the first picture (loads the network, say). The rest is what sizes the
    network takes: sides in multiples of, at least, at most (0: any), height equal to width; bench pads and crops.
    """
    requests, answers = _streams()
    seeded = len(inspect.signature(predict).parameters) > 2
    needs = {"multiple": multiple, "minimum_px": minimum_px, "largest_px": largest_px, "square": square}
    hello = {"op": "hello", "name": name, "digest": _digest(weights), "seeds": seeded, "needs": needs}
    waiting = queue.Queue(1)  # type: queue.Queue[Any]
    threading.Thread(target=_read_ahead, args=(requests, waiting), daemon=True).start()
    for asked, arrays in iter(waiting.get, None):
        if asked["op"] == "hello":
            write(answers, hello)
            continue
        if prepare is not None:
            prepare()
            prepare = None
        extra = [asked["seeds"]] if seeded else []
        try:
            header, answer = _answer(predict, arrays, extra)
        except Exception as fault:
            traceback.print_exc()
            header, answer = (
                {"op": "error", "text": traceback.format_exception_only(type(fault), fault)[-1].strip()},
                [],
            )
        write(answers, dict(header, id=asked["id"]), answer)


def write(stream: BinaryIO, header: Dict[str, Any], arrays: Sequence[Tuple[str, Any]] = ()) -> None:
    """One message; arrays, float32 or uint8, by name."""
    kinds = {np.dtype("float32"): "f4", np.dtype("uint8"): "u1"}
    listed = [[name, kinds[array.dtype], list(array.shape)] for name, array in arrays]
    line = json.dumps(dict(header, v=PROTOCOL, arrays=listed)).encode("ascii") + b"\n"
    for part in [memoryview(line)] + [_bytes(np.ascontiguousarray(array)) for _, array in arrays]:
        sent = 0
        while sent < len(part):
            sent += stream.write(part[sent:])


def read(stream: BinaryIO) -> Optional[Tuple[Dict[str, Any], List[Any]]]:
    """The next message and its arrays; None where the other side has ended. Raises `ValueError` for what is none."""
    line = stream.readline(LONGEST_LINE)
    if not line:
        return None
    header = parse(line)
    return header, [read_array(stream, kind, shape) for _, kind, shape in header["arrays"]]


def parse(line: bytes) -> Dict[str, Any]:
    """The header that a line holds; raises `ValueError` for a line that is none.

    A `hello` may be of any version: who reads it, compares.
    """
    try:
        header = json.loads(line.decode("ascii"))
    except ValueError:
        header = None
    if not isinstance(header, dict) or not {"v", "op", "arrays"} <= set(header):
        raise ValueError("a line that is no message: %r" % line[:60])
    if header["v"] != PROTOCOL and header["op"] != "hello":
        raise ValueError("a message of version %s, not %d" % (header["v"], PROTOCOL))
    return header


def read_array(stream: BinaryIO, kind: str, shape: List[int]) -> Any:
    """One announced array; raises `ValueError` for what cannot be, `EOFError` where it is cut short."""
    count = 1
    for side in shape:
        count *= side
    if kind not in KINDS or min(shape) < 1 or count * 4 > LARGEST_ARRAY:
        raise ValueError("an array %s of %s cannot be" % (shape, kind))
    array = np.empty(shape, KINDS[kind])
    part, taken = _bytes(array), 0
    while taken < len(part):
        got = stream.readinto(part[taken:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError("it ended within a message")
        taken += got
    return array


def _bytes(array: Any) -> memoryview:
    return memoryview(array).cast("B")


def _read_ahead(requests: BinaryIO, waiting: "queue.Queue[Any]") -> None:
    """Take in the next batch while the last one is at work."""
    try:
        while True:
            message = read(requests)
            if message is None:
                break
            waiting.put(message)
    except Exception:
        traceback.print_exc()
    end = threading.Timer(LEAVE_S, os._exit, [1])
    end.daemon = True
    end.start()
    waiting.put(None)


def _answer(predict: Callable[..., Any], arrays: List[Any], extra: List[Any]) -> Tuple[Dict[str, Any], List[Any]]:
    """What the model makes of a batch, and how long it took: wall and processor seconds."""
    begun, used = time.perf_counter(), time.process_time()
    found = np.asarray(predict(*(arrays + extra)))
    seconds = [time.perf_counter() - begun, time.process_time() - used]
    if found.dtype != np.uint8:
        found = found.astype(np.float32, copy=False)
    return {"op": "answer", "seconds": seconds}, [("images", found)]


def _digest(weights: Sequence[str]) -> str:
    """SHA-256 over the files, one after another; "" without any."""
    total = hashlib.sha256()
    for path in weights:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                total.update(block)
    return total.hexdigest() if weights else ""


def _streams() -> Tuple[BinaryIO, BinaryIO]:
    """Standard input and output for messages alone; whatever prints from now on, prints to standard error."""
    sys.stdout.flush()
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.stdout = sys.stderr
    return os.fdopen(requests, "rb", 1 << 16), os.fdopen(answers, "wb", 0)
