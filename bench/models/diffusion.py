"""A diffusion pipeline as a model: `diffusers:PATH-or-REPO[@REVISION]`, from a folder or the hub's cache.

Which class opens it, what sizes it takes and which settings it has is read from the folder's own files.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import digest
from bench.errors import BadInput, Unavailable, UnknownName
from bench.models.adapters import Adapter
from bench.paths import expanded
from bench.types import ModelCard

if TYPE_CHECKING:
    import torch

    from bench.contracts import Model

PREFIX = "diffusers:"
LIBRARIES = ("diffusers", "transformers")
INSTALL = "pip install '.[diffusers]'"
DTYPES = ("float32", "float16", "bfloat16")
FILLS = ("telea", "mean", "none")
"""What stands in the hole of the picture that a pipeline is given: many encode it, and black would be an object."""
REPAINT = "RePaintPipeline"
"""The one that samples pixels without a text."""
PRIOR = "KandinskyV22PriorPipeline"
"""What makes image embeddings of texts for Kandinsky's decoder."""
OPTIONAL = ("safety_checker", "image_encoder", "text_encoder_3", "tokenizer_3", "feature_extractor")
"""Parts of a pipeline that may be missing: it is opened without them."""
VERSION = 1
"""Raised by every change here or in `sampling` that moves a number."""


@dataclass(frozen=True)
class Traits:
    """What is known of a class of pipelines beyond its files; figures are the library's own defaults."""

    steps: int = 50
    guidance: float = 7.5
    patch: int = 1
    """Latent pixels that make one unit of the network: sides are multiples of so many cells."""
    packed: bool = False
    """Whether every mask pixel of a cell reaches the network; else the mask is widened to whole cells."""
    imagewise: bool = False
    """Whether its own code mixes the images of a batch."""
    negative: bool = True
    """Whether it takes a text of what is not to be seen."""


INPAINTING = {
    "StableDiffusionInpaintPipeline": Traits(),
    "StableDiffusionXLInpaintPipeline": Traits(),
    "StableDiffusion3InpaintPipeline": Traits(guidance=7.0, patch=2),
    "FluxFillPipeline": Traits(guidance=30.0, patch=2, packed=True, negative=False),
    "FluxInpaintPipeline": Traits(guidance=7.0, patch=2),
    "KandinskyV22InpaintPipeline": Traits(steps=100, guidance=4.0, patch=8, imagewise=True),
    "KandinskyV22InpaintCombinedPipeline": Traits(steps=100, guidance=4.0, patch=8, imagewise=True),
    REPAINT: Traits(steps=250),
}
"""Classes that are called here; others that diffusers opens for inpainting are called as Stable Diffusion is."""
FAMILIES = {
    "StableDiffusionPipeline": "StableDiffusionInpaintPipeline",
    "StableDiffusionImg2ImgPipeline": "StableDiffusionInpaintPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLInpaintPipeline",
    "StableDiffusionXLImg2ImgPipeline": "StableDiffusionXLInpaintPipeline",
    "StableDiffusion3Pipeline": "StableDiffusion3InpaintPipeline",
    "StableDiffusion3Img2ImgPipeline": "StableDiffusion3InpaintPipeline",
    "FluxPipeline": "FluxInpaintPipeline",
    "FluxImg2ImgPipeline": "FluxInpaintPipeline",
    "DDPMPipeline": REPAINT,
    "DDIMPipeline": REPAINT,
}
"""The class of a folder -> the one that inpaints with its networks; RePaint samples unconditional ones of pixels."""


@dataclass(frozen=True)
class Pipeline(Adapter):
    """A folder of a pipeline, read but not loaded."""

    place: str
    kind: str
    """The class that opens it."""
    files: tuple[tuple[str, str], ...]
    """Name and SHA-256 of every file."""
    commit: str = ""
    """Revision in the hub's cache; empty for a folder."""

    @property
    def traits(self) -> Traits:
        """What is known of its class."""
        return INPAINTING.get(self.kind, Traits())

    @functools.cached_property
    def configs(self) -> dict[str, dict[str, Any]]:
        """Component -> its configuration, of those that have one."""
        names = ("unet", "transformer", "vae", "movq", "scheduler")
        return {name: read_json(path) for name in names if (path := self._config(name)).is_file()}

    def _config(self, name: str) -> Path:
        return Path(self.place) / name / ("scheduler_config.json" if name == "scheduler" else "config.json")

    @property
    def network(self) -> dict[str, Any]:
        """Configuration of the network that takes the steps."""
        return self.configs.get("unet") or self.configs.get("transformer") or {}

    @property
    def cell(self) -> int:
        """Pixels along a side of what is one pixel for the network."""
        levels = (self.configs.get("vae") or self.configs.get("movq") or {}).get("block_out_channels", [0])
        return 1 << (len(levels) - 1)

    @property
    def card(self) -> ModelCard:
        """What sizes it takes and what can be set of it."""
        levels = len(self.network.get("down_block_types", [0]))
        pixels = self.kind == REPAINT
        multiple = (1 << levels - 1) if pixels else max(8, self.cell) * self.traits.patch
        side = self.network.get("sample_size") or 0
        cached = [part[8:].replace("--", "/") for part in Path(self.place).parts if part.startswith("models--")]
        return ModelCard(
            title=f"{'RePaint, ' if pixels else ''}{cached[-1] if self.commit and cached else Path(self.place).name}",
            kind="diffusion",
            form=f"{self.kind} of diffusers {version('diffusers')}",
            size_px=(side if isinstance(side, int) else max(side)) * self.cell,
            multiple=multiple,
            minimum_px=multiple,
            settings={key: {"": value} for key, value in self._settings().items()},
            stochastic=True,
            prompts=not pixels,
            version=VERSION,
        )

    def _settings(self) -> dict[str, Any]:
        if self.kind == REPAINT:
            return {"steps": self.traits.steps, "jump_length": 10, "jump_n_sample": 10, "eta": 0.0, "dtype": "float32"}
        found: dict[str, Any] = {
            "prompt": "",
            "negative": "",
            "steps": self.traits.steps,
            "guidance": self.traits.guidance,
            "strength": 1.0,
            "dtype": "float32",
            "slicing": False,
        }
        lacking = {"strength": "Kandinsky" in self.kind, "negative": not self.traits.negative}
        lacking["slicing"] = "unet" not in self.configs  # transformers have no slices
        found = {name: value for name, value in found.items() if not lacking.get(name)}
        if self.kind == "KandinskyV22InpaintPipeline":
            found["prior"] = ""
        return {**found, "fill": FILLS[0]}

    def facts(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Every file's digest, those of a prior too, the class, and the libraries that compute."""
        versions = {name: version(name) for name in LIBRARIES if installed(name)}
        known = {"files": dict(self.files), "class": self.kind, "libraries": versions}
        return {**known, "prior": dict(_digests(prior(settings)))} if settings.get("prior") else known

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise `BadInput` for a value that no device can take."""
        for name, known in (("dtype", DTYPES), ("fill", FILLS)):
            if settings.get(name, known[0]) not in known:
                raise UnknownName(name, [settings[name]], known, f"bench models show {PREFIX}{self.place}")
        if not 0 < settings.get("strength", 1.0) <= 1:
            raise BadInput(f"--set strength={settings['strength']}: it must lie above 0 and be 1 at most.")
        if settings.get("steps", self.traits.steps) * settings.get("strength", 1.0) < 1:
            raise BadInput("--set steps, strength: steps times strength must be 1 at least.")
        if settings.get("guidance", 1.0) < 0:
            raise BadInput(f"--set guidance={settings['guidance']}: it must be 0 or more.")
        for name in ("prompt", "negative"):
            one_line(settings.get(name, ""), f"--set {name}")
        if "prior" in self.card.settings:
            if not settings.get("prior"):
                raise BadInput(f"{PREFIX}{self.place} needs --set prior=PATH-or-REPO, a {PRIOR}.")
            prior(settings)

    def check_on(self, device: str, settings: Mapping[str, Any]) -> None:
        """Raise `BadInput` for a number format that the device does not compute in."""
        if settings.get("dtype") == "float16" and device.partition(":")[0] == "cpu":
            raise BadInput("--set dtype=float16: a CPU computes in float32 or bfloat16; float16 is for a GPU.")

    def open(self, device: torch.device | str, settings: Mapping[str, Any]) -> Model:
        """The pipeline on a device; see `sampling`."""
        from bench.models import sampling

        own = {key: value[""] for key, value in self.card.settings.items()}
        made: Model = sampling.opened(self, device, {**own, **settings})
        return made


def prior(settings: Mapping[str, Any]) -> Path:
    """The folder of Kandinsky's prior; `BadInput` where it is none."""
    place, _ = folder(settings["prior"], "model_index.json")
    if (own := read_json(place / "model_index.json").get("_class_name", "")) != PRIOR:
        raise BadInput(f"--set prior={settings['prior']}: {place} is a {own or 'nameless class'}, no {PRIOR}.")
    return place


def one_line(text: str, where: str) -> str:
    """A prompt, which is one line; `BadInput` for others."""
    if "\n" in text or "\r" in text:
        raise BadInput(f"{where}: a prompt is one line of text, and this one has a line break: {text[:40]!r}.")
    return text


def named(name: str) -> Pipeline:
    """What `diffusers:PATH-or-REPO[@REVISION]` stands for.

    Raises `Unavailable` where a library or the cached files are missing, `BadInput` for what is no inpainting pipeline.
    """
    _need("diffusers", name)
    place, commit = folder(name.removeprefix(PREFIX), "model_index.json")
    index = read_json(place / "model_index.json")
    kind = _inpainting(index.get("_class_name", ""), name)
    wanted = [part for part, made in index.items() if isinstance(made, list) and made[:1] not in ([], [None])]
    if missing := [part for part in wanted if part not in OPTIONAL and not (place / part).is_dir()]:
        raise BadInput(f"{name}: {place} lacks {', '.join(missing)}, which its model_index.json names. Fetch it again.")
    if kind != REPAINT:
        _need("transformers", name)
    return Pipeline(str(place), kind, tuple(_digests(place)), commit)


def _need(library: str, name: str) -> None:
    if not installed(library):
        raise Unavailable(f"{name} needs the package {library}, which is not installed: {INSTALL}.")


def folder(text: str, wanted: str) -> tuple[Path, str]:
    """The folder of `PATH-or-REPO[@REVISION]` and its revision ("" for a path), which must hold a file `wanted`."""
    path = expanded(text)
    if path.is_dir():
        place, commit = path.resolve(), ""
    elif text.startswith((os.sep, ".", "~")) or text.count("/") != 1:
        raise BadInput(f"{PREFIX}{text}: no such folder, and no repository, which is named OWNER/NAME.")
    else:
        place = _cached(*text.partition("@")[::2])
        commit = place.name
    if not (place / wanted).is_file():
        raise BadInput(f"{PREFIX}{text} is no pipeline of diffusers: {place} has no {wanted}.")
    return place, commit


def _cached(repo: str, revision: str) -> Path:
    """The snapshot of a repository in the hub's cache; nothing is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision or None, local_files_only=True))
    except LocalEntryNotFoundError as fault:
        at = f" --revision {revision}" if revision else ""
        raise Unavailable(
            f"{PREFIX}{repo}{'@' * bool(revision)}{revision} is not in the hub's cache on this machine; type: "
            f"hf download {repo}{at}"
        ) from fault
    except HFValidationError as fault:
        raise BadInput(f"{PREFIX}{repo} is no name of a repository: {fault}.") from fault


def _inpainting(own: str, name: str) -> str:
    """The class that inpaints with a pipeline of this class; others are asked of diffusers, which imports torch."""
    if own in INPAINTING or own in FAMILIES:
        return FAMILIES.get(own, own)
    from diffusers.pipelines import auto_pipeline

    try:
        found: str = auto_pipeline._get_task_class(auto_pipeline.AUTO_INPAINT_PIPELINES_MAPPING, own).__name__  # noqa: SLF001
    except ValueError as fault:
        raise BadInput(f"{name} is a {own or 'nameless class'}, which does not inpaint.") from fault
    if "Control" in found:
        raise BadInput(f"{name} is a {own}, which wants a picture that steers it; a run has image and mask alone.")
    return found


def _digests(place: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(place.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(place).parts):
            yield path.relative_to(place).as_posix(), digest.of_file(path)


def read_json(path: Path) -> dict[str, Any]:
    """An object of JSON; `BadInput` for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise BadInput(f"{path} cannot be read: {fault}.") from fault
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no object of JSON.")
    return found


def installed(library: str) -> bool:
    """Whether a package is here; it is not imported."""
    return importlib.util.find_spec(library) is not None
