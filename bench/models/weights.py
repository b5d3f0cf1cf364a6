"""Weights: where they lie, how they are read and written. Authors' files: see importing.py.

`ID/TAG.safetensors` with its record `TAG.json` beside it, in `weights/` of the package that brings the model (shipped)
and in `BENCH_HOME/weights` (imported or trained here). The record is a flat JSON object:

- `model`, `variant` ("" or missing: the default), `kind` (`official`, `starter`, `trained`), `sha256` of the file;
- `settings`: what `model(variant, **settings)` was built with, where it is not the paper's size;
- imported files: `source` (names), `source_sha256`, `output_sha256` (of a forward pass on the stored input),
  `url` and `digest_from` (fetched ones), `unwrapped` (what stood around the tensors), `left` (what else the files
  hold), `numbers` (of their normalisation, which they lack), `stored_as` (number types that became the model's own);
- `normalisation`: means and deviations among the tensors, of files and of the user alike;
- trained ones: whatever the trainer wants to keep of data, steps and recipe.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import digest, documents, downloads, paths
from bench.disk import whole_file, write_text
from bench.downloads import Download
from bench.errors import BadInput, printable
from bench.models import sources

if TYPE_CHECKING:
    import torch

SUFFIX = ".safetensors"
State = dict[str, "torch.Tensor"]
NORMALISATION, CHANNELS = ("mean", "std"), 4
"""How buffers are called that hold the normalisation of a network's input, and how many numbers they have at most."""
RESERVED = ("untrained", "trained", "starter")
"""Tags that imported weights cannot take."""
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def is_tag(text: str) -> bool:
    """Whether weights may be called so: letters, digits, `.`, `-` and `_`."""
    return _TAG.fullmatch(text) is not None


def folder(model_id: str) -> Path:
    """Where imported and trained weights of a model are kept on this machine."""
    return paths.home() / "weights" / model_id


def find(model_id: str) -> dict[str, Path]:
    """Tag -> file of the weights at hand: shipped beside the model's package, and the user's own, which win."""
    member = sources.members().get(model_id)
    places = ([member.file.parent / "weights" / model_id] if member else []) + [folder(model_id)]
    return {path.stem: path for place in places for path in sorted(place.glob(f"*{SUFFIX}"))}


def published(model_id: str) -> dict[str, Download]:
    """Tag -> the file that others publish, where its address is known: `weights/ID/TAG.toml` of the model's package."""
    member = sources.members().get(model_id)
    folder = member.file.parent / "weights" / model_id if member else None
    files = sorted(folder.glob("*.toml")) if folder else []
    return {path.stem: downloads.read(path, f"{model_id}@{path.stem}") for path in files}


@dataclass(frozen=True)
class WeightsRecord:
    """What is known of a weights file."""

    sha256: str
    """Of the file."""
    kind: str = ""
    """`official`, `starter` or `trained`."""
    variant: str = ""
    """Empty: the default."""
    source: str = ""
    """Names of the files that it was imported from."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What it was built with, where that is not the paper's size."""
    recipe: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """All that stands in the file, these fields among it."""


def record(path: Path) -> WeightsRecord:
    """What is known of a weights file, from the JSON beside it; raises `BadInput` naming line and field."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise BadInput(f"{path} has no record {beside.name} beside it: import or train these weights again.")
    try:
        document = documents.from_json(beside, "the record")
        return document.into(WeightsRecord, loose=True, facts=document.data)
    except BadInput as fault:
        raise BadInput(f"{fault} Import or train these weights again.") from fault


def history(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the records of trained weights say, of each training that led to them, the first first."""
    return [*(history(facts["from"]) if facts.get("from") else []), facts]


def taken(training: Mapping[str, Any]) -> int:
    """Steps that a training took: fewer than its recipe has where it was stopped."""
    return int(training.get("stopped", training["steps"]))


def recorded(path: Path) -> bool:
    """Whether weights have a record beside them; what lies beside a foreign file may be anything."""
    if path.suffix != SUFFIX or not (beside := path.with_suffix(".json")).is_file():
        return False
    return find(path.parent.name).get(path.stem) == path or b'"sha256"' in beside.read_bytes()


def read(path: Path) -> tuple[State, WeightsRecord]:
    """The tensors of a weights file as stored (half precision stays half), and its record; the digest is checked."""
    from bench.models import checkpoints

    known, state = record(path), checkpoints.safetensors(path)
    if known.sha256 != digest.of_file(path):
        raise BadInput(f"{path} is not the file that {path.with_suffix('.json').name} describes: import it again.")
    return state, known


def save(path: Path, state: State, card: Mapping[str, Any]) -> dict[str, Any]:
    """Write tensors and record, each whole or not at all. Returns the record as written, `sha256` added.

    Killed between the two it leaves a pair whose digests differ, which `read` refuses.
    """
    from safetensors.torch import save as save_bytes

    path.parent.mkdir(parents=True, exist_ok=True)
    if told := normalisation(state):
        card = {**card, "normalisation": told}
    with whole_file(path) as draft:
        # safetensors' own writer leaves files that their owner alone can read
        draft.write_bytes(save_bytes({key: value.detach().cpu().contiguous().clone() for key, value in state.items()}))
        written = {**card, "sha256": digest.of_file(draft)}
        record = json.dumps(written, indent=1, ensure_ascii=False) + "\n"
    write_text(path.with_suffix(".json"), record)
    return written


def normalisation(state: State) -> str:
    """Means and deviations that travel with weights, as their record says them: `hed.mean=104,116.7,122.7`."""
    kept = {name: value for name, value in state.items() if name.rpartition(".")[2] in NORMALISATION}
    few = {name: value.flatten().tolist() for name, value in kept.items() if value.numel() <= CHANNELS}
    return "; ".join(f"{name}={','.join(f'{number:.9g}' for number in numbers)}" for name, numbers in few.items())


def misfit(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> str:
    """The first difference between a model's own tensors and a state, as half a sentence; empty if they agree."""
    own = model.state_dict()
    for key, value in own.items():
        if key not in state:
            return f"it lacks '{key}' {tuple(value.shape)}"
        if state[key].shape != value.shape:
            return f"'{key}' is {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        if value.is_floating_point() and not state[key].is_floating_point():
            return f"'{key}' holds {state[key].dtype} instead of {value.dtype} (quantised or damaged)"
    return next((f"it holds '{printable(key)}', which the model does not know" for key in state if key not in own), "")


def apply(model: torch.nn.Module, state: State, source: Path, name: str) -> None:
    """Load a state strictly, cast to the model's own dtypes; names the first key that differs."""
    if fault := misfit(model, state):
        raise BadInput(f"{source} does not fit the model '{name}': {fault}.")
    model.load_state_dict(state, strict=True)
