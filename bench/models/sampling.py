"""Diffusion pipelines at work: opened whole or refused, called so that an image depends on its own seed alone.

The facts behind every argument here were measured on diffusers 0.42: ranges are guessed per batch, tensors of another
size are resized without a word, masks are sampled at the first pixel of a latent cell, safety checkers blacken images.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from bench import progress
from bench.errors import BadInput, BenchError, exception_text
from bench.models import diffusion
from bench.models.diffusion import Pipeline
from bench.offline import Reached, without_network

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
ARGUMENTS = {"negative": "negative_prompt", "strength": "strength", "guidance": "guidance_scale"}
"""Settings, and what pipelines call them; a class that is not known here may lack one."""
TEXTS = 64
"""Batches of prompts whose encodings are kept; with one prompt for a run there is one."""


def opened(pipeline: Pipeline, device: torch.device | str, settings: Mapping[str, Any]) -> Any:
    """A pipeline on a device, with these settings; raises `BadInput` where it cannot be, or its files are not whole."""
    pipeline.check_on(str(device), settings)
    os.environ.setdefault("DIFFUSERS_DISABLE_REMOTE_CODE", "1")
    _quiet()
    dtype = getattr(torch, settings["dtype"])
    kind = RePaint if pipeline.kind == diffusion.REPAINT else Kandinsky if "Kandinsky" in pipeline.kind else Sampler
    try:
        with without_network():
            return kind(pipeline, torch.device(device), dtype, settings)
    except Reached as fault:
        raise BadInput(f"{pipeline.place} wants files that are not in it, from {fault}.") from fault
    except BenchError:
        raise
    except Exception as fault:
        raise BadInput(f"{pipeline.place} cannot be opened: {exception_text(fault)}") from fault


def _quiet() -> None:
    from diffusers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    progress.unshared()
    try:
        from transformers.utils import logging as of_texts
    except ImportError:  # pixels alone
        return
    of_texts.set_verbosity_error()
    of_texts.disable_progress_bar()


class Sampler:
    """A latent pipeline: Stable Diffusion 1.5 and 2, SDXL, SD3, FLUX and those that are called as they are."""

    def __init__(
        self, pipeline: Pipeline, device: torch.device, dtype: torch.dtype, settings: Mapping[str, Any]
    ) -> None:
        self.pipeline, self.settings, self.device = pipeline, settings, device
        self.imagewise = pipeline.traits.imagewise
        self.pipe = loaded(pipeline.place, pipeline.kind, dtype).to(device)
        if settings.get("slicing"):
            self.pipe.enable_attention_slicing()
        if hasattr(self.pipe, "encode_prompt"):
            self.pipe.encode_prompt = remembered(self.pipe.encode_prompt)
        self.takes = inspect.signature(type(self.pipe).__call__).parameters
        for setting, argument in ARGUMENTS.items():
            own = pipeline.card.settings.get(setting, {}).get("")
            if argument not in self.takes and settings.get(setting, own) != own:
                raise BadInput(f"--set {setting}={settings[setting]}: a {pipeline.kind} takes no {setting}.")

    def predict(
        self, images: torch.Tensor, masks: torch.Tensor, seeds: Sequence[int], prompts: Sequence[str] = ()
    ) -> torch.Tensor:
        """See `bench.contracts.Model`; prompts: a text an image, in place of the settings' own."""
        if not self.imagewise:
            return self._batch(images, masks, seeds, prompts)
        rows = zip(images.split(1), masks.split(1), seeds, prompts or [""] * len(images), strict=True)
        return torch.cat([self._batch(x, m, [seed], [text] * bool(prompts)) for x, m, seed, text in rows])

    def _batch(
        self, images: torch.Tensor, masks: torch.Tensor, seeds: Sequence[int], prompts: Sequence[str]
    ) -> torch.Tensor:
        height, width = images.shape[-2:]
        hole = masks if self.pipeline.traits.packed else widened(masks, self.pipeline.cell)
        with progress.inside(self.pipeline.card.title, self.settings["steps"]) as step:
            given = {
                **self._texts(prompts, len(images), seeds),
                "image": self._picture(filled(images, masks, self.settings["fill"])),
                "mask_image": hole,
                "height": height,
                "width": width,
                "num_inference_steps": self.settings["steps"],
                "guidance_scale": self.settings["guidance"],
                "generator": generators(seeds),
                "callback_on_step_end": _told(step),
                **self._more(),
            }
            made = self.pipe(**{name: value for name, value in given.items() if name in self.takes})
        return self._unit(made.images)

    def _texts(self, prompts: Sequence[str], count: int, seeds: Sequence[int]) -> dict[str, Any]:
        texts = {"prompt": list(prompts) or [self.settings["prompt"]] * count}
        if negative := self.settings.get("negative"):
            texts["negative_prompt"] = [negative] * count
        return texts

    def _picture(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def _more(self) -> dict[str, Any]:
        return {"output_type": "pt", "strength": self.settings["strength"]}

    def _unit(self, made: Any) -> torch.Tensor:
        return torch.as_tensor(made, device=self.device).float().clamp(0, 1)


class Kandinsky(Sampler):
    """Kandinsky 2.2: pictures of -1..1, texts as a prior's image embeddings, one image at a time."""

    def __init__(
        self, pipeline: Pipeline, device: torch.device, dtype: torch.dtype, settings: Mapping[str, Any]
    ) -> None:
        super().__init__(pipeline, device, dtype, settings)
        self.prior: Any = None
        if "prior" in settings:
            pipeline.check(settings)
            self.prior = loaded(str(diffusion.prior(settings)), diffusion.PRIOR, dtype).to(device)
        texts = self.prior or self.pipe.prior_pipe  # the combined class holds its own
        texts._encode_prompt = remembered(texts._encode_prompt)  # noqa: SLF001 - it has no public one

    def _texts(self, prompts: Sequence[str], count: int, seeds: Sequence[int]) -> dict[str, Any]:
        texts = super()._texts(prompts, count, seeds)
        if self.prior is None:
            return texts
        self.prior.set_progress_bar_config(disable=True)
        found = self.prior(**texts, generator=generators(seeds))
        return {"image_embeds": found.image_embeds, "negative_image_embeds": found.negative_image_embeds}

    def _picture(self, images: torch.Tensor) -> torch.Tensor:
        return images * 2 - 1

    def _more(self) -> dict[str, Any]:
        return {"output_type": "np"}  # its tensors are neither scaled nor clamped

    def _unit(self, made: Any) -> torch.Tensor:
        return super()._unit(np.asarray(made).transpose(0, 3, 1, 2))


class RePaint:
    """Lugmayr et al. 2022 on an unconditional network of pixels, by diffusers' scheduler; a seed for each image."""

    def __init__(
        self, pipeline: Pipeline, device: torch.device, dtype: torch.dtype, settings: Mapping[str, Any]
    ) -> None:
        from diffusers import RePaintScheduler, UNet2DModel

        self.title, self.settings, self.device, self.dtype = pipeline.card.title, settings, device, dtype
        self.unet: Any = whole(UNet2DModel, Path(pipeline.place) / "unet", dtype).to(device)
        self.scheduler: Any = RePaintScheduler.from_config(pipeline.configs["scheduler"], eta=settings["eta"])
        self.scheduler.eta = settings["eta"]

    def predict(self, images: torch.Tensor, masks: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """See `bench.contracts.Model`."""
        known, keep, drawn = (images * 2 - 1).to(self.dtype), (1 - masks).to(self.dtype), generators(seeds)
        options = (self.settings["steps"], self.settings["jump_length"], self.settings["jump_n_sample"])
        self.scheduler.set_timesteps(*options, self.device)
        sample = torch.stack([torch.randn(known.shape[1:], generator=one) for one in drawn]).to(known)
        last = self.scheduler.timesteps[0] + 1
        with progress.inside(self.title, len(self.scheduler.timesteps)) as step:
            for time in self.scheduler.timesteps:
                if time < last:
                    noise = self.unet(sample, time).sample
                    sample = self.scheduler.step(noise, time, sample, known, keep, drawn).prev_sample
                else:
                    sample = self.scheduler.undo_step(sample, last, drawn)
                last = time
                step()
        return sample.float().div(2).add(0.5).clamp(0, 1)


def loaded(place: str, kind: str, dtype: torch.dtype) -> Any:
    """A pipeline from its folder, every tensor from a file; no code of the folder runs, nothing judges pictures."""
    import diffusers

    maker = getattr(diffusers, kind)
    parts: dict[str, Any] = {
        name: whole(made_by, Path(place) / name, dtype) for name, made_by in networks(Path(place)).items()
    }
    optional = maker.__init__.__annotations__
    for name in diffusion.OPTIONAL:
        if name in optional and not (Path(place) / name).is_dir():
            parts[name] = None
    if "safety_checker" in optional:
        parts |= {"safety_checker": None, "requires_safety_checker": False}
    if "add_watermarker" in optional:
        parts["add_watermarker"] = False
    pipe = maker.from_pretrained(place, dtype=dtype, local_files_only=True, use_safetensors=True, **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def networks(place: Path) -> dict[str, Any]:
    """Name -> class of the text encoders and of diffusers' own networks in a pipeline's folder."""
    import diffusers
    import transformers

    index = diffusion.read_json(place / "model_index.json")
    named = {name: one for name, one in index.items() if isinstance(one, list) and (place / name).is_dir()}
    libraries = {"diffusers": diffusers, "transformers": transformers}
    made = {name: getattr(libraries.get(library), kind, None) for name, (library, kind) in named.items()}
    return {
        name: one
        for name, one in made.items()
        if name in TEXT_ENCODERS or (isinstance(one, type) and issubclass(one, diffusers.ModelMixin))
    }


def whole(kind: Any, place: Path, dtype: torch.dtype) -> Any:
    """A network of which every tensor stands in a file: its library would draw the others; `BadInput` instead."""
    made, told = kind.from_pretrained(
        place, output_loading_info=True, dtype=dtype, local_files_only=True, use_safetensors=True
    )
    if missing := sorted(told["missing_keys"]):
        raise BadInput(f"{place} lacks {len(missing)} of its tensors: {missing[0]}. Fetch it again.")
    return made


def remembered(encode: Callable[..., Any]) -> Callable[..., Any]:
    """The same encodings for the same texts: a run with one prompt encodes it once."""
    held: dict[str, Any] = {}

    def encoded(*given: Any, **named: Any) -> Any:
        if any(isinstance(value, torch.Tensor) for value in (*given, *named.values())):
            return encode(*given, **named)
        key = repr((given, sorted(named.items())))
        if key not in held:
            if len(held) >= TEXTS:
                held.pop(next(iter(held)))
            held[key] = encode(*given, **named)
        return held[key]

    return encoded


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One an image, on the processor whatever the device: the same noise everywhere, and no neighbour moves it."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def widened(masks: torch.Tensor, cell: int) -> torch.Tensor:
    """Masks float32 [B, 1, H, W] with every cell of cell x cell pixels missing that misses one.

    Pipelines look at the first pixel of a cell alone: a thin stroke would not be there for them.
    """
    if cell == 1:
        return masks
    return functional.max_pool2d(masks, cell).repeat_interleave(cell, -2).repeat_interleave(cell, -1)


def filled(images: torch.Tensor, masks: torch.Tensor, fill: str) -> torch.Tensor:
    """Images float32 [B, 3, H, W] with something in the hole (1 in masks), one of `diffusion.FILLS`."""
    if fill == "none":
        return images
    if fill == "mean":
        known = (1 - masks).sum((2, 3), keepdim=True).clamp(min=1)
        return images + masks * (images * (1 - masks)).sum((2, 3), keepdim=True) / known
    pictures = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    holes = masks[:, 0].byte().cpu().numpy()
    made = [cv2.inpaint(np.ascontiguousarray(x), m, 3, cv2.INPAINT_TELEA) for x, m in zip(pictures, holes, strict=True)]
    return torch.from_numpy(np.stack(made)).to(images.device).permute(0, 3, 1, 2).float().div(255)


def _told(step: Callable[[], None]) -> Callable[..., Any]:
    def told(pipe: Any, index: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        step()
        return tensors

    return told
