"""What a model's training is to the trainer: players, and for each of them the terms that it minimises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


def _itself(value: torch.Tensor) -> torch.Tensor:
    return value


@dataclass(frozen=True)
class Batch:
    """The images and masks of one turn of a player: a process's share of them, or a part of that."""

    images: torch.Tensor
    """The truth: float32 [B, 3, H, W], RGB in 0..1. Whatever is shown to a network is masked by the training itself."""
    masks: torch.Tensor
    """float32 [B, 1, H, W], 1 = missing."""
    processes: int = 1
    """So many processes, or parts that a process takes one after another, share the batch, each with as many images;
    their gradients are averaged. A term that is a sum over the batch is multiplied by it."""
    guides: torch.Tensor | None = None
    """Labels of the photographs that a user gave, int64 [B, 1, H, W]; `guides.UNSAID` where they say nothing."""
    everywhere: Callable[[torch.Tensor], torch.Tensor] = _itself
    """Mean of a value over the processes and parts, without gradient. What a term divides by, where that depends on the
    images (`everywhere(masks.mean())`), must be the whole batch's, or N parts would not teach what the whole does."""


class Training(nn.Module):
    """A model's players and their loss terms. Its file derives from it and gives each player a method of its name:

        class Training(base.Training):
            def __init__(self, model, recipe):
                super().__init__(generator=model, discriminator=Discriminator())
                self.perceptual = features.load("vgg16-imagenet") if recipe.wants("perceptual") else None

            def discriminator(self, batch, weights):
                real, fake = ...
                return {"real": ..., "fake": ...}

            def generator(self, batch, weights):
                ...
                return {"reconstruction": ..., "adversarial": ...}

    Such a method takes the `Batch` and the weights of the stage (term -> weight) and returns its terms by name, each a
    scalar tensor without its weight; the trainer multiplies, adds and steps the player's optimizer. Every term it ever
    returns must be in the recipe's `weights`; a term whose weight is 0 need not be computed.

    Where several players need one pass, `forward(batch)` gives what it puts out. In a player's turn only its own
    parameters require gradients, so a fake made for a discriminator needs no `detach()`. All players are in training
    mode, but for modules that the stage freezes. Running statistics of the model's batch norms stand in the turns of
    critics, as in code that makes a fake once for all turns of a step; where the authors' code makes one in every turn,
    the class says `statistics_of_all_turns = True`. Random numbers come from torch's global generator, which the
    trainer seeds anew for every turn. `__init__` gives the players the initial weights of the paper. What is not a
    player (feature networks, fixed kernels) is an ordinary submodule or buffer: it follows the device, never learns,
    and is not saved.
    """

    statistics_of_all_turns = False

    def __init__(self, **players: nn.Module) -> None:
        super().__init__()
        self.players = nn.ModuleDict(players)
