"""One trainer for every recipe: takes turns among players, logs, validates, saves, and goes on where it was stopped."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import torch

from bench import digest, progress
from bench.errors import BadInput, BenchError
from bench.locks import locked
from bench.models import contamination, weights
from bench.paths import check_folder
from bench.training import checkpoint, estimate, features, validation
from bench.training.job import TrainingJob, new_learner
from bench.training.learner import rounds
from bench.training.loop import Loop

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def plan(job: TrainingJob, fabric: Fabric) -> estimate.TrainingEstimate:
    """Time and memory of the whole training, from a learner of its own that is thrown away.

    A plan is a question: feature networks that are missing have drawn weights. Raises `BadInput` where a step
    fails, as on images of a size that the networks do not take, `FileExistsError` where a file stands for the folder.
    """
    check_folder(job.out)
    sampler = job.sampler(job.seed)
    try:
        with features.drawn_where_missing():
            learner = new_learner(job, fabric)
        return estimate.measure(learner, sampler, fabric.world_size)
    except (BenchError, torch.OutOfMemoryError):
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as fault:
        side, told = sampler.size_px, str(fault).partition("\n")[0].rstrip(".")
        raise BadInput(
            f"A step of {job.model}'s recipe '{job.recipe_name}' fails on images of {side} x {side} pixels: {told}. "
            "Its networks may take the recipe's own sizes alone: look at what --set changed."
        ) from fault


def train(job: TrainingJob, fabric: Fabric) -> Path:
    """Train to the end, or go on with what stands in `job.out`; returns the file of the best weights.

    Raises `Diverged` where a loss is no longer finite; the last checkpoint stands; `BadInput` where another training is
    at work in the folder. Ctrl-C finishes the step, saves, and surfaces as `KeyboardInterrupt`; the same job then
    goes on.
    """
    with _held(job.out, fabric):
        return _train(job, fabric)


@contextmanager
def _held(folder: Path, fabric: Fabric) -> Iterator[None]:
    """Hold the folder in the first process; where it is refused, all stop with its sentence, and none waits for it."""
    refused = ""
    with ExitStack() as held:
        if fabric.is_global_zero:
            try:
                held.enter_context(locked(folder))
            except BadInput as fault:
                refused = str(fault)
        if refused := fabric.broadcast(refused):
            raise BadInput(refused)
        yield


def _train(job: TrainingJob, fabric: Fabric) -> Path:
    found = checkpoint.load(job.out, job.identity())
    if found:
        step_s = found["seconds"] / max(1, found["step"])
    else:
        planned = plan(job, fabric)
        estimate.check_memory(planned, fabric.device, job.recipe.batch, job.accumulate)
        step_s = planned.seconds / job.recipe.steps
    loop = Loop(job, fabric, found)
    recipe, learner = job.recipe, loop.learner
    with progress.track(f"training {job.model}", recipe.steps, loop.step) as ticker, _stop_requests() as stop:
        if loop.validation.known:
            ticker.say(
                f"{loop.validation.known} held-out photographs do not judge: the weights to start from know them."
            )
        if not job.holds_out:
            ticker.say("Too few photographs to hold any out: those that teach will judge too.")
        loop.judge_start(ticker)
        batches = loop.batches(step_s)
        for step, stage, done in rounds(recipe, loop.step):
            learner.enter(stage)
            for turn, player in enumerate(stage.turns):
                if stage.fresh or turn == 0:
                    batch = loop.to_device(next(batches))
                torch.manual_seed(digest.number(f"turn/{job.seed}/{step}/{turn}/0") >> 1)
                loop.log.add(step + 1, stage.name, player, learner.turn(player, batch, stage, done))
            loop.tell_apart(ticker)
            learner.update_ema()
            loop.step = step + 1
            ticker.advance()
            loop.validate_and_log(stage.name, ticker)
            if loop.should_stop(stop):
                loop.save()
                raise KeyboardInterrupt
    return loop.finish()


def install(job: TrainingJob, best: Path, tag: str) -> dict[str, float]:
    """Copy the best weights to where `bench run --models MODEL@TAG` finds them; returns their validation scores.

    An empty tag copies nothing. Where another training's weights bear the tag, they are replaced, and that is said; so
    is it where the weights to start from scored no less.
    """
    state, record = weights.read(best)
    start, by = record.facts["validation"].get("start"), job.recipe.best
    if start and validation.worth(start, by) >= validation.worth(validation.best(record.facts), by):
        progress.warn(f"The weights to start from score no less by {by}: {validation.told(start)}.")
    if tag:
        place = weights.folder(job.model) / f"{tag}{weights.SUFFIX}"
        if place.exists() and digest.of_file(place) != record.sha256:
            progress.warn(
                f"{job.model}@{tag} was another training's: its weights there are replaced. --tag keeps both."
            )
        weights.save(place, state, record.facts)
        shutil.copyfile(best.with_suffix(contamination.SUFFIX), place.with_suffix(contamination.SUFFIX))
    return validation.best(record.facts)


@contextmanager
def _stop_requests() -> Iterator[list[bool]]:
    """A list that fills when the process is asked to stop (Ctrl-C, SIGTERM); a second Ctrl-C interrupts at once."""
    asked: list[bool] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)

    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
