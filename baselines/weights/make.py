"""Trains the starter weights that travel with the project, and packs those that are ready.

    python baselines/weights/make.py --root photographs                 every learned model
    python baselines/weights/make.py --root photographs gmcnn cfs       these, in this order
    python baselines/weights/make.py --root photographs --device cuda --at-once 8
    python baselines/weights/make.py gmcnn                              packs what stands in trainings/
    python baselines/weights/make.py --root photographs deepgin:std     one of the variants that a table compares
    python baselines/weights/make.py --root photographs --more 900 ce   goes on from the weights that stand here
    python baselines/weights/make.py --root photographs --judge         scores those that stand here anew

Stopped by Ctrl-C, the same command goes on where it was, and finished trainings are not repeated. Packed are the best
weights of a finished training in half precision, its record, and the photographs that it has seen. With `--more` the
recipe's stages, so many steps in all, start from the weights that stand here, and these stay unless they are passed.
A record's `held_out` says how the packed weights fill held-out photographs that no training of theirs has seen.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import torch

from bench import digest
from bench.errors import BadInput, BenchError, UnknownName, counted
from bench.models import calling, contamination, contract, sources, weights
from bench.models import registry as model_registry
from bench.training import data, loop, validation
from bench.training import spec as training_spec
from bench.types import TrainingSpec

HERE = Path(__file__).parent
TRAININGS = Path("trainings")
MASKS = "rectangular-256/20-60,freeform-256/20-60,cellular-256/20-60"
"""Frozen masks that choose the best step: families, ratios and size at which the project's tables measure."""
LIMIT_BYTES = 2_500_000
COMPARED = {
    "deepgin": (
        *("--steps", "200", "--set", "preparation.RandomResizedCrop.size=48", "--set", "batch=4"),
        *("--set", "settings.width=4", "--set", 'masks.families=["rectangular","freeform","cellular"]'),
    )
}
"""Model -> what its variants, named one by one, are trained with over its starter's recipe: all alike, in minutes."""
LICENCE = "trained on BSDS500 photographs, which are for research"


@dataclasses.dataclass(frozen=True)
class Given:
    """What the command was given."""

    models: Sequence[str] = ()
    root: Path | None = None
    at_once: int = 1
    device: str = "cpu"
    more: int | None = None
    judge: bool = False
    set: Sequence[str] = ()


def learned() -> list[str]:
    """Models of this project with a starter recipe."""
    mine = {name: member for name, member in sources.members().items() if member.file.parent == HERE.parent}
    return [name for name, member in mine.items() if "starter" in getattr(sources.load(member), "RECIPES", {})]


def command(name: str, given: Given) -> list[str]:
    """What trains a starter, of a model or of a variant that is compared; the words after `python -m`."""
    root = given.root or Path("photographs")
    told = ["--dataset", "folder", "--root", str(root), "--validate", MASKS, "--workers", "1", "--tag", ""]
    told += COMPARED[name.partition(":")[0]] if ":" in name else ()
    told += ["--from", f"{name}@{tag(name)}", "--steps", str(given.more)] if given.more else []
    told += [word for setting in given.set for word in ("--set", setting)]
    return ["bench", "train", name, "--recipe", "starter", *told, "--out", str(training(name, given))]


def check(names: Sequence[str]) -> None:
    """Raise `BadInput` or `UnknownName` for what is no model with a starter's recipe, and no variant to compare."""
    known = learned()
    for name in names:
        model, colon, variant = name.partition(":")
        if model not in known:
            raise UnknownName("model with a recipe for starters", [name], known, "bench models list")
        variants = model_registry.cards()[model].variants if model in COMPARED else ()
        if colon and variant not in variants:
            whose = "; ".join(f"{one}: {', '.join(model_registry.cards()[one].variants)}" for one in COMPARED)
            raise BadInput(f"{name}: no variant that a table compares. There are, of {whose}.")


def tag(name: str) -> str:
    """What the weights are called: `starter`, of a compared variant `ablation-VARIANT`."""
    _, colon, variant = name.partition(":")
    return f"ablation-{variant}" if colon else "starter"


def training(name: str, given: Given) -> Path:
    """The folder in which a starter is trained; one that goes on from weights is called by their digest."""
    if given.more and not packed(name).is_file():
        raise BadInput(f"{name}: no weights stand here to go on from. Train it without --more first.")
    begun = f"-from-{digest.of_file(packed(name))[:8]}" if given.more else ""
    return TRAININGS / f"{name.partition(':')[0]}-{tag(name)}{begun}"


def packed(name: str) -> Path:
    """The file of the weights that travel with the project."""
    return HERE / name.partition(":")[0] / f"{tag(name)}{weights.SUFFIX}"


def train(words: list[str], device: str) -> int:
    """Train on one core, so that the bits do not depend on how many there are; returns the exit status."""
    whole = [sys.executable, "-m", *words, "--device", device]
    status = subprocess.run(whole, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode
    return status if status >= 0 else 128 - status


def train_all(names: list[str], given: Given) -> int:
    """Train models side by side; after one that fails, or Ctrl-C, none is started any more. The highest exit status."""
    halt = Event()

    def one(name: str) -> int:
        status = 0 if halt.is_set() else train(command(name, given), given.device)
        if status:
            halt.set()
        return status

    side_by_side = ThreadPoolExecutor(given.at_once)
    try:
        return max(side_by_side.map(one, names))
    finally:
        halt.set()
        side_by_side.shutdown()


def pack(name: str, given: Given) -> str:
    """Store a finished training's best weights here; a line that says how they are."""
    model, best = name.partition(":")[0], training(name, given) / "best.safetensors"
    if not best.with_name("last.safetensors").is_file():
        more = f" --more {given.more}" if given.more else ""
        raise BadInput(
            f"{name}: no finished training in {best.parent}. Train it: {Path(__file__).name} --root DIR{more} {name}"
        )
    if given.more:
        facts = weights.record(best).facts
        by = validation.chosen_by(facts)
        before, after = facts["validation"]["start"], validation.best(facts)
        if validation.worth(after, by) <= validation.worth(before, by):
            return f"{name}: {by} {before[by]:.4g} before, {after[by]:.4g} after {given.more} steps more: left out"
    state, known = weights.read(best)
    halved = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    record = known.facts | {
        "kind": "starter",
        "stored": "float16",
        "halving": difference(model, known, state, halved),
        "command": shlex.join(command(name, dataclasses.replace(given, root=given.root and Path(given.root.name)))),
        "licence": LICENCE,
    }
    size = sum(tensor.nbytes for tensor in halved.values())
    if size > LIMIT_BYTES:
        raise BadInput(f"{name}: its weights take {size:,} bytes, more than {LIMIT_BYTES:,}: train it narrower.")
    place = packed(name)
    weights.save(place, halved, record)
    shutil.copyfile(best.with_suffix(contamination.SUFFIX), place.with_suffix(contamination.SUFFIX))
    if given.root:
        judge(name, given.root)
    best_score = validation.best(record)
    return (
        f"{name}: {best_score['psnr']:.2f} dB at step {best_score['step']}, {record['seconds'] / 60:.0f} min, "
        f"{size:,} bytes"
    )


@torch.no_grad()
def judge(name: str, root: Path) -> str:
    """Score the weights that stand here on held-out photographs that they have not seen; the record and a line say how.

    Of the composites, as in a validation of a training: PSNR (dB), L1 (0..1), Wang's SSIM under `MASKS`.
    """
    place = packed(name)
    state, known = weights.read(place)
    spec = TrainingSpec(name.partition(":")[0], "folder", str(root), recipe="starter", validate=MASKS)
    job = training_spec.resolve(spec, TRAININGS)
    learned, held = data.split(job.photographs)
    if digest.of_lines(learned) != known.facts["data"]["ids_sha256"]:
        raise BadInput(f"{name}: {root} does not hold the photographs, by name, beside which these weights learned.")
    seen = contamination.load(place)
    found = validation.prepare(job.photographs, held, job.sampler(loop.VALIDATION), frozen=MASKS, seen=seen)
    model = sources.build(sources.members()[job.model], known.variant, **known.settings).eval()
    weights.apply(model, state, place, name)
    scores = found.scores(found.outputs(model, job.card, torch.device("cpu")))
    told = {"masks": MASKS, "photographs": len(found.truth), "known": found.known, **scores}
    weights.save(place, state, known.facts | {"held_out": told})
    return f"{name}: {validation.told(scores)} on {counted(len(found.truth), 'held-out photograph')}"


@torch.no_grad()
def difference(name: str, known: weights.WeightsRecord, state: weights.State, halved: weights.State) -> float:
    """Largest difference that half precision makes in the output (0..1) on the stored input."""
    member = sources.members()[name]
    card = model_registry.cards()[name]
    images, masks = contract.probe(card.size_px or 256, count=1)
    outputs = []
    for tensors in (state, halved):
        model = sources.build(member, known.variant, **known.settings).eval()
        weights.apply(model, tensors, HERE, name)
        outputs.append(calling.call(model, images, masks, [0] if card.stochastic else None))
    return float((outputs[0] - outputs[1]).abs().max())


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: leave it out, or name a folder")
    return Path(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no count: 1 or more")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="all learned ones unless given")
    parser.add_argument("--root", type=_folder, help="the photographs; without it nothing is trained")
    parser.add_argument("--at-once", type=_count, default=1, help="trainings side by side, one core each")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where; only on a CPU bits repeat")
    parser.add_argument("--more", type=_count, metavar="STEPS", help="go on from the weights that stand here")
    parser.add_argument("--judge", action="store_true", help="train nothing: score the weights that stand here anew")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="changes the recipe; in the record"
    )
    given = Given(**vars(parser.parse_args()))
    names = list(given.models) or learned()
    check(names)
    if given.judge:
        if not given.root:
            raise BadInput("--judge needs --root: the photographs, of which some are held out.")
        for name in names:
            print(judge(name, given.root), flush=True)
        return 0
    if status := train_all(names, given) if given.root else 0:
        return status
    for name in names:
        print(pack(name, given))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)  # each training has said that it goes on
