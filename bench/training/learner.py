"""The moving parts of a training: players, their optimizers, the averaged weights; one turn at a time."""

from __future__ import annotations

import copy
import fnmatch
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bench.errors import BadInput, ContractBroken
from bench.training import parts
from bench.training.base import Batch, Training
from bench.training.recipe import Optimizer, Recipe, Stage

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Learner:
    """Everything whose state a checkpoint must hold, on the device. A process takes a batch in `accumulate` parts."""

    def __init__(
        self, model: nn.Module, training: Training, recipe: Recipe, fabric: Fabric, accumulate: int = 1
    ) -> None:
        self.model, self.training, self.recipe, self.fabric = model, training, recipe, fabric
        self.players, self.accumulate = training.players, accumulate
        self.copies = len(recipe.masks.families) if recipe.masks.mix == "each" else 1
        self.apart: dict[str, None] = {}
        """What stays within a part of a batch: its gradients are not quite those of the whole one."""
        self.asking: dict[tuple[str, str], bool] = {}
        """(stage, player) -> whether its terms ask for `everywhere`; where that is not known yet they may."""
        self.latest: tuple[Batch, list[Batch]] | None = None
        self.shared = parts.Denominators()
        self.average = copy.deepcopy(model).requires_grad_(False).eval() if recipe.ema else None
        channels_last = fabric.device.type == "cpu" and _learns_channels_last(training, recipe, self.parts)
        for module in filter(None, (model, training, self.average)):
            fabric.to_device(module)
            if channels_last:
                module.to(memory_format=torch.channels_last)
        self.stage = ""
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.learning: dict[str, list[nn.Parameter]] = {}

    @property
    def parts(self) -> int:
        """Parts of a batch, over all processes."""
        return self.fabric.world_size * self.accumulate

    @property
    def eval_model(self) -> nn.Module:
        """The model that is validated and saved: that of the averaged weights where the recipe has `ema`."""
        return self.average or self.model

    def enter(self, stage: Stage) -> None:
        """Freeze, thaw and make optimizers for a stage; nothing happens within one."""
        if stage.name == self.stage:
            return
        self.average_statistics()
        for module in (self.model, self.training):
            module.requires_grad_(requires_grad=False)
        frozen = self._frozen(stage)
        held = {id(parameter) for module in frozen for parameter in module.parameters()}
        self.players.train()
        for module in frozen:
            module.eval()
        before, self.optimizers = self.optimizers, {}
        for player in dict.fromkeys(stage.turns):
            if player not in self.players or player not in self.recipe.optimizers or not hasattr(self.training, player):
                raise ContractBroken(f"Stage '{stage.name}': '{player}' lacks a network, an optimizer or a method.")
            self.learning[player] = [item for item in self.players[player].parameters() if id(item) not in held]
            self.optimizers[player] = _optimizer(self.recipe.optimizers[player], self.learning[player])
            if stage.continues and player in before:
                _take_over(self.optimizers[player], before[player])
        self.stage = stage.name
        if self.parts > 1:
            self.apart |= dict.fromkeys(parts.batch_norms(self.players))

    def _frozen(self, stage: Stage) -> list[nn.Module]:
        modules = dict(self.players.named_modules())
        chosen = {pattern: fnmatch.filter(modules, pattern) for pattern in stage.frozen}
        if missed := [pattern for pattern, names in chosen.items() if not names]:
            raise BadInput(f"Stage '{stage.name}' freezes '{missed[0]}', but no module is called like that.")
        return [modules[name] for names in chosen.values() for name in names]

    def turn(self, player: str, batch: Batch, stage: Stage, done: float) -> dict[str, torch.Tensor]:
        """One optimizer step of a player; `done` is the share of the stage that lies behind. Returns its terms."""
        optimizer, learning = self.optimizers[player], self.learning[player]
        settings = self.recipe.optimizers[player]
        rate = stage.rate(player, settings.lr, done)
        for group in optimizer.param_groups:
            group["lr"] = rate
        _require_gradients(learning, needed=True)
        optimizer.zero_grad(set_to_none=True)
        with parts.still(self._watching(player)):
            terms = self._learn(player, batch, stage)
        _share_gradients(self.fabric, learning)
        if settings.clip:
            nn.utils.clip_grad_norm_(learning, settings.clip)
        optimizer.step()
        _require_gradients(learning, needed=False)
        return terms

    def _watching(self, player: str) -> list[nn.Module]:
        """Modules whose statistics stand in a player's turn: the model's in that of a critic."""
        own = set(self.model.modules())
        critic = own.isdisjoint(self.players[player].modules())
        return [*own] if critic and not self.training.statistics_of_all_turns else []

    def _learn(self, player: str, batch: Batch, stage: Stage) -> dict[str, torch.Tensor]:
        """Add up the gradients of a player's terms, one part of the batch after another. Returns the terms."""
        weights = self.recipe.stage_weights(stage)
        if self.accumulate == 1:
            terms = self._terms(player, batch, weights, 0)
            _total(terms, weights, player).backward()
            return terms
        pieces, buffers, seed = self._pieces(batch), parts.Buffers(self.model, self.players), torch.initial_seed()

        def passes() -> Iterator[dict[str, torch.Tensor]]:
            for place, piece in enumerate(pieces):
                buffers.rewind()
                torch.manual_seed(seed)
                self.shared.next_part()
                yield self._terms(player, piece, weights, place)

        self.shared.ask()
        if self.asking.get((stage.name, player), True):
            for _ in passes():
                pass
        self.asking[stage.name, player] = self.shared.settle(batch.everywhere)
        found = []
        for terms in passes():
            (_total(terms, weights, player) / self.accumulate).backward()
            found.append({name: value.detach() for name, value in terms.items()})
            buffers.keep()
        buffers.average()
        return {name: torch.stack([terms[name] for terms in found]).mean(0) for name in found[0]}

    def _pieces(self, batch: Batch) -> list[Batch]:
        """The parts of a batch, the same objects for all players of a step: models keep what they made of them."""
        if self.latest is None or self.latest[0] is not batch:
            self.latest = (batch, parts.divided(batch, self.accumulate, self.copies, self.shared))
        return self.latest[1]

    def _terms(self, player: str, batch: Batch, weights: dict[str, float], place: int) -> dict[str, torch.Tensor]:
        """A player's terms on what this process takes at once: its share, or part `place` of that."""
        number = place * self.fabric.world_size + self.fabric.global_rank
        part = parts.Slot(number, self.parts, self.copies)
        with self.fabric.autocast(), parts.of_a_batch(part, len(batch.images), self.apart):
            return dict(getattr(self.training, player)(batch, weights))

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the averaged parameters, and running statistics, towards the present ones by 1 - `ema`.

        Those of the present weights alone do not fit averaged ones (timm's ModelEmaV2 averages them too). Other buffers
        (vectors of spectral norms, counters) are copied, as in StyleGAN2's code: a mean of singular vectors is none.
        """
        if self.average:
            for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(now, 1 - self.recipe.ema)
            for (name, kept), buffer in zip(self.average.named_buffers(), self.model.buffers(), strict=True):
                kept.lerp_(buffer, 1 - self.recipe.ema) if parts.running(name) else kept.copy_(buffer)

    @torch.no_grad()
    def average_statistics(self) -> None:
        """Running statistics of batch norms become their mean over all processes, each of which saw its own images.

        They are moving averages, so that it does not matter when, or how often, this is done.
        """
        if self.fabric.world_size == 1:
            return
        modules = filter(None, (self.model, self.training, self.average))
        buffers = {
            id(value): value for module in modules for name, value in module.named_buffers() if parts.running(name)
        }
        for value in buffers.values():
            value.copy_(self.fabric.all_reduce(value.clone(), reduce_op="mean"))  # type: ignore[arg-type]

    def state(self) -> dict[str, Any]:
        """Name of the stage and every state dict (model, players, average, optimizers), for a checkpoint."""
        return {
            "stage": self.stage,
            "model": self.model.state_dict(),
            "players": self.players.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "optimizers": {player: optimizer.state_dict() for player, optimizer in self.optimizers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave: stage, weights and optimizers go on from there."""
        self.model.load_state_dict(state["model"])
        self.players.load_state_dict(state["players"])
        if self.average:
            self.average.load_state_dict(state["average"])
        for stage in self.recipe.stages:
            if stage.name == state["stage"]:
                self.enter(stage)
        for player, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][player])


def _learns_channels_last(training: nn.Module, recipe: Recipe, parts_of_batch: int) -> bool:
    """Whether a CPU may keep channels last, which takes 0.7 of the time.

    So torch 2.15 gives wrong gradients of instance norms with one image, and in bfloat16 those of a dilated
    convolution's weights hold what lay in memory before.
    """
    dilated = any(isinstance(part, nn.Conv2d) and max(part.dilation) > 1 for part in training.modules())
    return recipe.batch > parts_of_batch and not (dilated and recipe.precision.startswith("bf16"))


def _optimizer(settings: Optimizer, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    kind = getattr(torch.optim, settings.kind, None)
    if kind is None:
        raise BadInput(f"torch.optim has no optimizer '{settings.kind}'.")
    try:
        return kind(parameters, lr=settings.lr, **settings.settings)
    except (TypeError, ValueError) as fault:
        raise BadInput(f"The optimizer {settings.kind} does not take {settings.settings}: {fault}.") from fault


def _take_over(optimizer: torch.optim.Optimizer, before: torch.optim.Optimizer) -> None:
    """Go on with the moments of the parameters that learned before; those that are thawed now start without."""
    for group in optimizer.param_groups:
        optimizer.state.update({item: before.state[item] for item in group["params"] if item in before.state})


def _require_gradients(parameters: list[nn.Parameter], *, needed: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(needed)


def _total(terms: dict[str, torch.Tensor], weights: dict[str, float], player: str) -> torch.Tensor:
    if unknown := [name for name in terms if name not in weights]:
        raise ContractBroken(f"The player '{player}' returned '{unknown[0]}', which the recipe's weights lack.")
    weighted = [weights[name] * value for name, value in terms.items() if weights[name]]
    if not weighted:
        raise BadInput(f"Every loss term of the player '{player}' has weight 0: there is nothing to learn from.")
    return sum(weighted[1:], weighted[0])


def _share_gradients(fabric: Fabric, parameters: list[nn.Parameter]) -> None:
    """Average gradients over all processes, in one piece.

    Done here and not by torch's DistributedDataParallel, which forbids what adversarial training needs: several passes
    before one backward, networks called by other names than `forward`, gradients with respect to inputs.
    """
    if fabric.world_size == 1:
        return
    gradients = [item.grad for item in parameters if item.grad is not None]
    mean = fabric.all_reduce(torch.cat([item.flatten() for item in gradients]), reduce_op="mean")
    for gradient, piece in zip(gradients, mean.split([item.numel() for item in gradients]), strict=True):  # type: ignore[union-attr]
        gradient.copy_(piece.view_as(gradient))


def rounds(recipe: Recipe, start: int) -> Iterator[tuple[int, Stage, float]]:
    """(step, its stage, share of the stage that lies behind) from step `start` to the last."""
    first = 0
    for stage in recipe.stages:
        for step in range(max(start, first), first + stage.steps):
            yield step, stage, (step - first) / stage.steps
        first += stage.steps


def batches_until(recipe: Recipe, step: int) -> int:
    """How many batches the steps before step `step` take: a fresh stage takes one a turn, others one a step."""
    ends = itertools.accumulate(stage.steps for stage in recipe.stages)
    taken = 0
    for stage, end in zip(recipe.stages, ends, strict=True):
        inside = max(0, min(step, end) - (end - stage.steps))
        taken += inside * (len(stage.turns) if stage.fresh else 1)
    return taken
