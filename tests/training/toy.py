"""A small inpainting model with everything that a recipe can ask for."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from bench.training import adversarial, base, losses
from bench.training.recipe import MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(title="Toy", variants={"plain": "without norms", "normed": "with a batch norm"})
SIZE = 32


class Toy(nn.Module):
    def __init__(self, width, *, normed):
        super().__init__()
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width) if normed else nn.Identity()
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, images, masks):
        hidden = self.norm(self.first(torch.cat([images * (1 - masks), masks], 1))).relu()
        return self.last(hidden).sigmoid()

    def predict(self, images, masks):
        return self(images, masks)


def model(variant="", width=4):
    return Toy(width, normed=variant == "normed")


class Training(base.Training):
    def __init__(self, model, recipe):
        critic = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 4, 2, 1))
        super().__init__(generator=model, critic=critic)
        self.fault = recipe.options["fault"]
        self.turns = 0

    def critic(self, batch, weights):
        fake = self.players["generator"](batch.images, batch.masks)
        assert not fake.requires_grad
        critic = self.players["critic"]
        penalty = adversarial.gradient_penalty(critic, batch.images, fake)
        game = adversarial.WASSERSTEIN
        return {"real": game.real(critic(batch.images)), "fake": game.fake(critic(fake)), "penalty": penalty}

    def generator(self, batch, weights):
        self.turns += 1
        fake = self.players["generator"](batch.images, batch.masks)
        terms = {"hole": losses.l1(fake, batch.images, batch.masks)}
        if weights["fool"]:
            terms["fool"] = adversarial.WASSERSTEIN.fool(self.players["critic"](fake))
        if self.fault and self.turns > self.fault:
            terms["hole"] = terms["hole"] * float("nan")
        return terms


def left_half(chance: np.random.Generator, size_px: int) -> np.ndarray:
    mask = np.zeros((size_px, size_px), bool)
    mask[:, : int(chance.integers(1, size_px // 2))] = True
    return mask


MASKS = {"left-half": left_half}

PAPER = Recipe(
    note="for tests",
    stages=(
        Stage("warm-up", 10, weights={"fool": 0.0}),
        Stage("joint", 30, turns=("critic", "critic", "generator"), fresh=True, lr={"critic": 2e-3}),
    ),
    optimizers={"generator": Optimizer(1e-2, clip=1.0), "critic": Optimizer(1e-3, settings={"betas": (0.5, 0.9)})},
    weights={"hole": 1.0, "fool": 0.01, "real": 1.0, "fake": 1.0, "penalty": 10.0},
    batch=4,
    preparation={"RandomCrop": {"size": SIZE}, "RandomHorizontalFlip": {"p": 0.5}},
    masks=MaskRecipe(("left-half",)),
    options={"fault": 0},
    ema=0.9,
)
RECIPES = {"paper": PAPER, "starter": replace(PAPER, batch=2)}
