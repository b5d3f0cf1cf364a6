"""The training loop's state and what it does between steps: log, validate, save, stop."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torchvision

from bench import digest, progress
from bench import images as pictures
from bench.errors import BadInput, NotComparable
from bench.models import contamination, weights
from bench.training import checkpoint, data, validation
from bench.training import log as logs
from bench.training.base import Batch
from bench.training.job import TrainingJob, new_learner
from bench.training.learner import batches_until
from bench.training.recipe import plain

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SAVE_EVERY_S = 600.0
VALIDATION = -1
"""The seed of the masks that validations use; trainings have seeds from 0 on."""
OFFSET = 1 << 63
"""Takes an unsigned fingerprint into the range of signed tensors, which is all that processes exchange."""
CURVE = 200
"""Points of the losses curve that the weights' record keeps of each term."""


class Loop:
    """Where a training stands: its step, learner, log and scores, resumed from `found`, a checkpoint's content."""

    def __init__(self, job: TrainingJob, fabric: Fabric, found: dict[str, Any] | None) -> None:
        self.job, self.fabric = job, fabric
        before = contamination.load(job.start) if job.start else frozenset()
        known = found or {"step": 0, "seen": sorted(before), "seconds": 0.0, "scores": [], "best": -1.0}
        self.step, self.scores, self.best = int(known["step"]), list(known["scores"]), float(known["best"])
        self.start: dict[str, float] | None = known.get("start")
        self.learner = new_learner(job, fabric)
        if found:
            self.learner.restore(found["learner"])
        self.learned, held = data.split(job.photographs)
        seen = before if held != self.learned else ()
        self.validation = validation.prepare(
            job.photographs, held, job.sampler(VALIDATION), frozen=job.frozen_masks, seen=seen
        )
        self.judges = pictures.digest(self.validation.truth.numpy())
        if found and found.get("judges") != self.judges:
            raise _replaced("Photographs that judge this training", job)
        self.log = logs.Log(job.out, fabric, resumed_at=self.step, tensorboard=job.tensorboard)
        self.told: list[str] = []
        self.seen, self.fresh, self.again = list(known["seen"]), list[str](), dict[str, str]()
        self.before, self.begin, self.saved = float(known["seconds"]), time.monotonic(), time.monotonic()
        self.log_every = min(100, max(1, job.recipe.steps // 1000))

    def batches(self, step_s: float = math.inf) -> Iterator[data.Samples]:
        """The batches of this process that are still to come, made ahead by `job.workers` processes.

        Where these are not given, by as many as steps of so many seconds need.
        """
        fabric, recipe = self.fabric, self.job.recipe
        source = data.Batches(
            self.job.photographs,
            self.learned,
            recipe,
            self.job.sampler(self.job.seed),
            guides=self.job.guides,
            rank=fabric.global_rank,
            world=fabric.world_size,
        )
        first, stop = batches_until(recipe, self.step), batches_until(recipe, recipe.steps)
        workers = self.job.workers
        if workers is None:
            workers = data.workers_needed(source, first, step_s * recipe.steps / batches_until(recipe, recipe.steps))
        return data.load(source, first, stop, workers)

    def to_device(self, samples: data.Samples) -> Batch:
        """Samples as a float32 batch on the device (images in 0..1, masks 1 = missing); new photographs are noted."""
        self.fresh += samples.digests
        self.again |= samples.again
        device = self.fabric.device
        images, masks = (item.to(device, non_blocking=True) for item in (samples.images, samples.masks))
        guides = samples.guides.to(device, non_blocking=True).long() if self.job.guides else None
        return Batch(images.float() / 255, masks.float(), self.fabric.world_size, guides, self._everywhere)

    @torch.no_grad()
    def _everywhere(self, value: torch.Tensor) -> torch.Tensor:
        return self.fabric.all_reduce(value.clone(), reduce_op="mean")  # type: ignore[return-value]

    def should_stop(self, stop: list[bool]) -> bool:
        """Whether any process was asked to stop (`stop` is not empty); where saving is due, all save."""
        asked, due = bool(stop), time.monotonic() - self.saved > SAVE_EVERY_S
        if self.fabric.world_size > 1:
            flags = self.fabric.all_reduce(
                torch.tensor([asked, due], dtype=torch.float32, device=self.fabric.device), reduce_op="sum"
            )
            asked, due = (bool(flag) for flag in flags.tolist())  # type: ignore[union-attr]
        if due and not asked:
            self.save()
        return asked

    def tell_apart(self, ticker: progress.Ticker) -> None:
        """Say once, of a batch in parts, what stays within a part."""
        if new := [what for what in self.learner.apart if what not in self.told]:
            self.told += new
            ticker.say(
                f"{', '.join(new)}: within each of {self.learner.parts} parts of a batch; there gradients are not "
                "those of the whole batch."
            )

    def validate_and_log(self, stage: str, ticker: progress.Ticker) -> None:
        """After a step: write the log every `log_every` steps; validate and save when the recipe says so."""
        last = self.step == self.job.recipe.steps
        if self.step % self.log_every == 0 or last:
            self.log.flush()
        if self.step % self.job.recipe.validate_every == 0 or last:
            self.log.flush()
            self._gather_seen()
            self.learner.average_statistics()
            self._validate(stage, ticker)
            self.save()

    def judge_start(self, ticker: progress.Ticker) -> None:
        """Before the first step: score the weights to start from, where there are any, on the same photographs."""
        if self.job.start and self.step == 0 and self.fabric.is_global_zero:
            self.start = self._score(self.job.recipe.stages[0].name)
            ticker.say(f"step 0: {validation.told(self.start)} of the weights to start from")

    def _score(self, stage: str) -> dict[str, float]:
        eval_model = self.learner.eval_model
        training = [module for module in eval_model.modules() if module.training]
        eval_model.eval()
        outputs = self.validation.outputs(eval_model, self.job.card, self.fabric.device)  # type: ignore[arg-type]
        for module in training:
            module.training = True
        scores = self.validation.scores(outputs)
        self.validation.sheet(outputs, self.job.out / "sheets" / f"step-{self.step:07d}.png")
        self.log.score(self.step, stage, scores)
        return scores

    def _validate(self, stage: str, ticker: progress.Ticker) -> None:
        if not self.fabric.is_global_zero:
            return
        scores = self._score(stage)
        self.scores.append({"step": self.step, **scores})
        losses = ", ".join(f"{name} {value:.4g}" for name, value in self.log.latest.items() if "validation" not in name)
        ticker.say(f"step {self.step}: {validation.told(scores)} ({losses})")
        if (reached := validation.worth(scores, self.job.recipe.best)) > self.best:
            self.best = reached
            self._write("best")

    def save(self) -> None:
        """Write the checkpoint, once the log has shown that everything is finite."""
        self.log.flush()
        self._gather_seen()
        self.learner.average_statistics()
        self.saved = time.monotonic()
        if not self.fabric.is_global_zero:
            return
        content = {
            "identity": self.job.identity(),
            "step": self.step,
            "learner": self.learner.state(),
            "seen": self.seen,
            "seconds": self._seconds(),
            "scores": self.scores,
            "best": float(self.best),
            "start": self.start,
            "judges": self.judges,
        }
        checkpoint.save(self.job.out, content)

    def _gather_seen(self) -> None:
        """What all processes have seen. Raises `NotComparable` for a photograph that is not what it was before."""
        fabric = self.fabric
        new = torch.tensor([int(text or "0", 16) - OFFSET for text in self.fresh], dtype=torch.int64)
        slots = torch.zeros(fabric.world_size, len(new), dtype=torch.int64, device=fabric.device)
        slots[fabric.global_rank] = new
        # Process r of N has samples r, r + N, ...: by columns they stand in the order of one process.
        everywhere = fabric.all_reduce(slots, reduce_op="sum").T.flatten().tolist()  # type: ignore[union-attr]
        found = (f"{number + OFFSET:016x}" for number in everywhere if number > -OFFSET)
        self.seen = list(dict.fromkeys([*self.seen, *found]))
        self.fresh.clear()
        seen = frozenset(self.seen if self.again else ())
        replaced = [name for name, mark in self.again.items() if mark not in seen]
        if fabric.all_reduce(torch.tensor(float(len(replaced)), device=fabric.device), reduce_op="sum"):
            some = ", ".join(replaced[:3]) + ", ..." * (len(replaced) > 3) or "which another process read"
            raise _replaced(f"Photographs that this training has learned from ({some})", self.job)
        self.again.clear()

    def _seconds(self) -> float:
        return self.before + time.monotonic() - self.begin

    def finish(self) -> Path:
        """Write the last weights, and the whole curve into the record of the best ones; returns the file of these."""
        best = self.job.out / "best.safetensors"
        if self.fabric.is_global_zero:
            self._write("last")
            try:
                state, record = weights.read(best)
            except BadInput as fault:
                raise BadInput(f"{fault} This training is over: remove {self.job.out} to train anew.") from fault
            if not best.with_suffix(contamination.SUFFIX).is_file():
                contamination.save(best, self.seen)
            whole = self._record()
            whole["losses"] = whole["losses"] or record.facts["losses"]
            weights.save(best, state, record.facts | {key: whole[key] for key in ("validation", "losses", "seconds")})
        self.fabric.barrier()
        return best

    def _write(self, name: str) -> None:
        """Weights with their record, and the list of the photographs they have seen."""
        path = self.job.out / f"{name}.safetensors"
        weights.save(path, self.learner.eval_model.state_dict(), self._record())
        contamination.save(path, self.seen)

    def _record(self) -> dict[str, Any]:
        job = self.job
        return {
            "model": job.model,
            "variant": job.variant,
            "kind": "trained",
            "settings": plain(job.recipe.settings),
            "recipe": {"name": job.recipe_name, **plain(job.recipe)},
            "without": [term for term in job.recipe.weights if not job.recipe.wants(term)],
            "step": self.step,
            "steps": job.recipe.steps,
            "seed": job.seed,
            "from": _origin(job),
            "guides": job.guides.mark if job.guides else None,
            "data": {
                "name": job.photographs.name,
                "photographs": len(self.learned),
                "ids_sha256": digest.of_lines(self.learned),
                "seen": len(self.seen),
            },
            "validation": {
                "masks": self.validation.source,
                "photographs": len(self.validation.truth),
                "held_out": self.job.holds_out,
                "known": self.validation.known,
                "start": self.start,
                "scores": self.scores,
            },
            "losses": _curve(job.out / logs.FILE),
            "seconds": round(self._seconds(), 1),
            "device": _device(self.fabric),
            "accumulate": job.accumulate,
            "apart": list(self.learner.apart),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
            },
        }


def _replaced(what: str, job: TrainingJob) -> NotComparable:
    return NotComparable(
        f"{what} are not what they were before: put the old files back and go on, or move {job.out} away and train "
        "anew."
    )


def _origin(job: TrainingJob) -> dict[str, Any] | None:
    """What the weights that a training started from say of themselves."""
    if not job.start:
        return None
    record = weights.record(job.start).facts
    told = ("kind", "sha256", "recipe", "step", "steps", "stopped", "seconds", "device", "seed", "from")
    judged = record.get("validation", {})
    reached = {"reached": validation.best(record) | {"masks": judged["masks"]}} if judged.get("scores") else {}
    return {key: record[key] for key in told if key in record} | reached


def _curve(path: Path) -> dict[str, list[list[float]]]:
    """Term -> at most so many (step, value) pairs."""
    found: dict[str, list[list[float]]] = {}
    for row in logs.rows(path):
        if row["player"] != "validation":
            found.setdefault(f"{row['player']}.{row['term']}", []).append([int(row["step"]), float(row["value"])])
    return {term: points[:: max(1, -(-len(points) // CURVE))] for term, points in found.items()}


def _device(fabric: Fabric) -> str:
    name = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else platform.processor() or "CPU"
    return f"{fabric.world_size} x {name}"
