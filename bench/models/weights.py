"""Weights: where they lie, how they are read, written, and imported from the authors' files.

`ID/TAG.safetensors` with its record `TAG.json` beside it, in `weights/` of the package that brings the model (shipped)
and in `BENCH_HOME/weights` (imported or trained here). The record is a flat JSON object:

- `model`, `variant` ("" or missing: the default), `kind` (`official`, `starter`, `trained`), `sha256` of the file;
- `settings`: what `model(variant, **settings)` was built with, where it is not the paper's size;
- imported files: `source` (name), `source_sha256`, `output_sha256` (of a forward pass on the stored input);
- trained ones: whatever the trainer wants to keep of data, steps and recipe.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import digest, documents, paths
from bench.disk import whole_file, write_text
from bench.errors import BadInput, ContractBroken
from bench.models import sources
from bench.types import ModelCard

if TYPE_CHECKING:
    import torch

SUFFIX = ".safetensors"
State = dict[str, "torch.Tensor"]
RESERVED = ("untrained", "trained", "starter")
"""Tags that imported weights cannot take."""


def folder(model_id: str) -> Path:
    """Where imported and trained weights of a model are kept on this machine."""
    return paths.home() / "weights" / model_id


def find(model_id: str) -> dict[str, Path]:
    """Tag -> file of the weights at hand: shipped beside the model's package, and the user's own, which win."""
    member = sources.members().get(model_id)
    places = ([member.file.parent / "weights" / model_id] if member else []) + [folder(model_id)]
    return {path.stem: path for place in places for path in sorted(place.glob(f"*{SUFFIX}"))}


@dataclass(frozen=True)
class _Record:
    """Of a record what is asked for by name."""

    sha256: str
    kind: str = ""
    variant: str = ""
    source: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)


def record(path: Path) -> dict[str, Any]:
    """What is known of a weights file, from the JSON beside it; raises `BadInput` naming line and field."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise BadInput(f"{path} has no record {beside.name} beside it: import or train these weights again.")
    try:
        document = documents.from_json(beside, "the record")
        document.into(_Record, loose=True)
    except BadInput as fault:
        raise BadInput(f"{fault} Import or train these weights again.") from fault
    return document.data


def read(path: Path) -> tuple[State, dict[str, Any]]:
    """The tensors of a weights file as stored (half precision stays half), and its record; the digest is checked."""
    known, state = record(path), _safetensors(path)
    if known.get("sha256") != digest.of_file(path):
        raise BadInput(f"{path} is not the file that {path.with_suffix('.json').name} describes: import it again.")
    return state, known


def save(path: Path, state: State, card: Mapping[str, Any]) -> dict[str, Any]:
    """Write tensors and record, each whole or not at all. Returns the record as written, `sha256` added.

    Killed between the two it leaves a pair whose digests differ, which `read` refuses.
    """
    from safetensors.torch import save as save_bytes

    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as draft:
        # safetensors' own writer leaves files that their owner alone can read
        draft.write_bytes(save_bytes({key: value.detach().cpu().contiguous().clone() for key, value in state.items()}))
        written = {**card, "sha256": digest.of_file(draft)}
        record = json.dumps(written, indent=1, ensure_ascii=False) + "\n"
    write_text(path.with_suffix(".json"), record)
    return written


def misfit(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> str:
    """The first difference between a model's own tensors and a state, as half a sentence; empty if they agree."""
    own = model.state_dict()
    for key, value in own.items():
        if key not in state:
            return f"it lacks '{key}' {tuple(value.shape)}"
        if state[key].shape != value.shape:
            return f"'{key}' is {tuple(state[key].shape)} instead of {tuple(value.shape)}"
    return next((f"it holds '{key}', which the model does not know" for key in state if key not in own), "")


def apply(model: torch.nn.Module, state: State, source: Path, name: str) -> None:
    """Load a state strictly, cast to the model's own dtypes; names the first key that differs."""
    if fault := misfit(model, state):
        raise BadInput(f"{source} does not fit the model '{name}': {fault}.")
    model.load_state_dict(state, strict=True)


def checkpoint(file: Path) -> dict[str, Any]:
    """What a foreign file (.safetensors, .t7, torch's own) holds, as nested as it comes; no code in it is ever run."""
    import torch

    from bench.models import torch7

    if not file.is_file():
        raise BadInput(f"{file} does not exist.")
    if file.suffix == SUFFIX:
        return _safetensors(file)
    if file.suffix == ".t7":
        return dict(torch7.read(file))
    try:
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as fault:
        if "Unsupported operand" in str(fault):
            raise BadInput(f"{file} is damaged or no checkpoint: torch cannot read it as tensors.") from fault
        raise BadInput(
            f"{file} holds code besides tensors; it was refused and nothing in it was run. "
            "Save its state dict alone (torch.save(net.state_dict(), ...)) where you trust it, and import that."
        ) from fault
    except Exception as fault:  # a damaged file may raise anything
        raise BadInput(f"{file} is damaged or no checkpoint: {_first_line(fault)}.") from fault


def _safetensors(file: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except FileNotFoundError:
        raise BadInput(f"{file} does not exist.") from None
    except SafetensorError as fault:
        raise BadInput(f"{file} is damaged or no safetensors file: {fault}") from fault


def _first_line(fault: BaseException) -> str:
    return (str(fault) or type(fault).__name__).splitlines()[0].rstrip(".")


def import_checkpoint(
    model_id: str, file: Path, tag: str = "official", *, variant: str = "", force: bool = False
) -> dict[str, Any]:
    """Turn the authors' file into `BENCH_HOME/weights/ID/TAG.safetensors` and its record, which is returned.

    The model's file brings the key map: `convert(state, tag) -> state`, in the names of the model's own state dict;
    without one the names must agree already. Refused: files of another model (first differing key), damaged files,
    pickles with code, weights whose forward pass on the stored input is not finite or does not repeat, and, without
    `force`, a tag that is taken.
    """
    member = sources.members()[model_id]
    card = sources.card_in(member.file)
    if card is None or card.kind != "learned":
        raise BadInput(f"'{model_id}' takes no weights.")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", tag) or tag in RESERVED:
        raise BadInput(
            f"'{tag}' cannot name imported weights: letters, digits, - and _, but none of {', '.join(RESERVED)}."
        )
    place = folder(model_id) / f"{tag}{SUFFIX}"
    if place.exists() and not force:
        raise BadInput(f"There are weights {model_id}@{tag} already ({place}). Choose another --tag, or --force.")
    name = f"{model_id}:{variant}" if variant else model_id
    state = _converted(sources.load(member), checkpoint(file), tag, file, name)
    model = sources.build(member, variant)
    apply(model, state, file, name)
    written = {
        "model": model_id,
        "variant": variant,
        "kind": "official",
        "source": file.name,
        "source_sha256": digest.of_file(file),
        "output_sha256": forward_digest(model, card, file),
    }
    return save(place, model.state_dict(), written)


def _converted(module: Any, found: dict[str, Any], tag: str, file: Path, name: str) -> State:
    try:
        state = module.convert(found, tag) if hasattr(module, "convert") else found
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as fault:
        raise BadInput(f"{file} does not fit the model '{name}': its key map fails at {fault!r}.") from fault
    for key, value in state.items():
        if not hasattr(value, "shape"):
            raise BadInput(f"{file} does not fit the model '{name}': '{key}' is no tensor but {type(value).__name__}.")
    return state


def forward_digest(model: Any, card: ModelCard, source: Path) -> str:
    """Digest of the 8-bit output on the stored input; `ContractBroken` if not finite or not repeatable."""
    import torch

    from bench.models import contract, predict

    images, masks = contract.probe(card.size_px or 256, count=1)
    model.eval()
    with torch.inference_mode():
        first, again = (predict.call(model, images, masks, seeds=[0] if card.stochastic else None) for _ in range(2))
    if fault := predict.output_fault(first, images):
        raise ContractBroken(f"{source} was read, but the model's output on the stored input is wrong: {fault}")
    if not torch.equal(first, again):
        raise ContractBroken(f"{source} was read, but two passes on the same input differ.")
    return digest.of_bytes(first.clamp(0, 1).mul(255).round().byte().numpy().tobytes())
