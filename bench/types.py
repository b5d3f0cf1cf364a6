"""The vocabulary of the house: what crosses the border of a file. Nothing here imports torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from typing import Annotated, Any, Literal, get_type_hints


@dataclass(frozen=True)
class Option:
    """How a user gives a field: as an option of the command line (`bench/cli/_fields.py`), or in a file that has it."""

    help: str
    """What the field is, in a sentence: its documentation too."""
    least: int | None = None
    most: int | None = None
    """The smallest and the largest value."""
    flag: str = ""
    """The option, where it is not called as the field is."""
    repeated: bool = False
    """Whether a list is given one by one, in place of a text with commas."""
    path: bool = False


def options(kind: type) -> dict[str, Option]:
    """Field -> its option, for the fields of a dataclass that have one."""
    hints = get_type_hints(kind, include_extras=True)
    found = {name: getattr(hint, "__metadata__", (None,))[0] for name, hint in hints.items()}
    return {name: option for name, option in found.items() if isinstance(option, Option)}


@dataclass(frozen=True, order=True)
class Bucket:
    """A half-open range `(lo, hi]` of the mask ratio (missing pixels / all pixels), decided in exact arithmetic."""

    lo: Fraction
    hi: Fraction
    border: bool | None = None
    """True: only masks whose hole touches the frame; False: only masks that do not; None: all."""

    @property
    def label(self) -> str:
        """How the bucket is written on the command line and in results: `10-20`, `1-25`, `0-100`, `10-20+border`."""
        suffix = {None: "", True: "+border", False: "-border"}[self.border]
        return f"{_percent(self.lo)}-{_percent(self.hi)}{suffix}"

    def holds(self, missing: int, total: int) -> bool:
        """Whether a mask with `missing` of `total` pixels falls into the bucket."""
        return self.lo * total < missing <= self.hi * total


def _percent(ratio: Fraction) -> str:
    value = ratio * 100
    return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"


@dataclass(frozen=True)
class Cell:
    """A mask set within a bucket: what every model is measured on."""

    mask_set: str
    bucket: Bucket

    @property
    def label(self) -> str:
        """How the cell is named in messages, results and folders: `freeform-256/10-20`."""
        return f"{self.mask_set}/{self.bucket.label}"

    def key(self, image_id: str) -> str:
        """The name of an image in this cell: `church/0001/freeform-256/10-20`."""
        return f"{image_id}/{self.label}"


DOMAINS = ("faces", "scenes", "objects", "textures", "mixed")
"""What photographs show, and models were made for; scenes are places with what stands in them."""


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model without loading it. In a model's file it is a literal, so that lists need no torch."""

    title: str
    """As tables print it."""
    kind: str = "learned"
    """`learned` (has weights) or `classical` (has none)."""
    authors: str = ""
    venue: str = ""
    year: int = 0
    paper: str = ""
    """Title and address of the paper."""
    code: str = ""
    """The authors' repository at a commit, or the library and its version."""
    licence: str = ""
    """Licence of the authors' weights (for classical models: of the library)."""
    size_px: int = 0
    """Native side of the square image in pixels; 0: any size."""
    multiple: int = 1
    """Height and width must be multiples of this; the harness pads by reflection and crops back."""
    minimum_px: int = 1
    """Smallest side; smaller images are padded up to it and cropped back."""
    largest_px: int = 0
    """Largest side that the network can take; 0: no bound. Larger images are refused in a sentence."""
    square: bool = False
    """True: height and width must be equal; the harness pads the shorter side and crops back."""
    larger: str = ""
    """How it fills pictures larger than its size by itself, as its paper does, in a clause: no tiles are then cut."""
    families: tuple[str, ...] = ()
    """Mask families that the published weights were trained on."""
    data: tuple[str, ...] = ()
    """Data sets that the published weights were trained on (for the contamination flag)."""
    form: str = ""
    losses: str = ""
    evidence: str = ""
    """What the network was held against: `equal to published code` (stored figures), `equal to a community's code` (the
    same, where the authors published none), `from the paper`, `from the survey only`. Empty for classical models."""
    domain: str = ""
    """What the model was made for, one of `DOMAINS`; empty: any picture."""
    strengths: str = ""
    limits: str = ""
    tables: tuple[str, ...] = ()
    """Seed tables that name the model: `dualpath-table1`, `survey-table2`, `rnon-table3`, `cfs-table1`, ..."""
    aliases: tuple[str, ...] = ()
    """Names that papers' tables use for it; accepted wherever a model is named."""
    variants: dict[str, str] = field(default_factory=dict)
    """Name -> one sentence; the first is the default. Empty: one form only."""
    same_weights: tuple[str, ...] = ()
    """Variants that are the default's network used in another way: weights of one are weights of all."""
    by_variant: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Variant -> fields of this card in which it differs: another size, files of other networks; see `of`."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Arguments of `model()` for `--set`: name -> variant ("" without any) -> its own value; whole numbers from 1."""
    guide: str = ""
    """What `predict` takes of a user (`--guides`): `edges`, `landmarks` or `labels`; else its own network makes it."""
    classes: int = 0
    """Number of classes of a guide of labels."""
    taught: tuple[str, ...] = ()
    """Loss terms that a user's labels of the photographs may teach (`bench train --guides`), in place of stand-ins."""
    parameters: dict[str, int] = field(default_factory=dict)
    """Number of parameters used at test time, by variant (`""` where there are none); a test measures them."""
    checkpoints: dict[str, str] = field(default_factory=dict)
    """Weights that the authors published: name -> where they put them, and what they were trained on."""
    parts: dict[str, str] = field(default_factory=dict)
    """Where the authors keep the networks of one model in files of their own: network -> its file's name, * for any."""
    files: dict[str, str] = field(default_factory=dict)
    """Name in `checkpoints` -> what the file to be imported is called; with `parts`, these are meant."""
    built_as: dict[str, str] = field(default_factory=dict)
    """Name in `checkpoints` -> its variant, where that is not the default; "": of what the authors' code writes."""
    numbers: dict[str, str] = field(default_factory=dict)
    """Name in `checkpoints` -> numbers that its file lacks and the import asks for (`mean=R,G,B`)."""
    stochastic: bool = False
    """True: `predict` takes a third argument, one integer seed per image."""
    prompts: bool = False
    """True: `predict` takes `prompts`, a text per image, where a run has any (`--prompts`)."""
    version: int = 1
    """Raised by every change that moves the model's numbers."""

    def of(self, variant: str) -> ModelCard:
        """The card as it is for a variant, "" being the default."""
        return replace(self, **self.by_variant.get(variant or next(iter(self.variants), ""), {}))


@dataclass(frozen=True)
class MetricCard:
    """What is known of a metric variant without loading it; a literal in the metric's file."""

    title: str
    """Column head, variant included: `PSNR`, `SSIM (wang)`."""
    better: str
    """`higher` or `lower`."""
    decimals: int
    """Digits after the point in tables."""
    formula: str
    """The definition in one line."""
    reference: str
    """Implementation (with version) or paper that the variant equals."""
    tolerance: str
    """To what it agrees with the reference, as tested: `1e-6 absolute`."""
    advantages: str = ""
    """What it is good for, in a sentence."""
    limits: str = ""
    """Where it misleads."""
    unit: str = ""
    scope: str = "whole"
    """`whole` image or `hole` only."""
    users: str = ""
    """Who prints this variant."""
    extractor: str = ""
    """Set metrics: the feature extractor whose vectors they read."""
    weights: tuple[str, ...] = ()
    """Files of the network that it needs (names in `bench/downloads/`)."""
    libraries: tuple[str, ...] = ()
    """Packages that it needs beyond the required ones, by import name."""
    minimum: int = 1
    """Set metrics: below this count the value is refused unless asked for."""
    flagged_below: int = 0
    """Set metrics: below this count the value carries a mark."""
    version: int | str = 1
    """Raised by every change that moves the metric's numbers; of a library's metric, the library's version."""


@dataclass(frozen=True)
class Preparation:
    """How a photograph becomes the truth: crop and resize, on 8-bit RGB."""

    size_px: int | None = 256
    """Side of the square result; None keeps the original size."""
    crop: Literal["centre", "centre-pixels", "none"] = "centre"
    """`centre`: largest centred square; `none`: the whole image, stretched; `centre-pixels`: size_px square cut out."""
    resample: Literal["box", "bilinear", "bicubic", "lanczos"] = "bicubic"
    """Pillow filter with antialiasing."""
    upscale: bool = False
    """Whether a source smaller than `size_px` is enlarged; otherwise it is an error."""


@dataclass(frozen=True)
class ProtocolSettings:
    """How every number of a run is made: what must be the same in two of them that are put side by side."""

    preparation: Preparation
    composite: bool
    rounding: Literal["round", "truncate"]

    def differences(self, other: ProtocolSettings) -> list[str]:
        """A phrase for each field in which two differ: `composite is True and False`."""
        pairs = [(field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return [f"{name} is {_plain(one)} and {_plain(two)}" for name, one, two in pairs if one != two]


def _plain(value: object) -> str:
    if isinstance(value, Preparation):
        return ", ".join(f"{name} {part}" for name, part in asdict(value).items())
    return str(value)


@dataclass(frozen=True)
class Protocol:
    """Everything that decides a number. Data in `bench/protocols/NAME@VERSION.toml`."""

    name: str
    title: str
    preparation: Preparation
    dataset: str
    """Data set and count that the source used, as text."""
    masks: tuple[str, ...]
    """Mask families or sets that `bench run` takes unless told otherwise."""
    buckets: str
    """Name of a list of buckets (`deciles`, `rnon`, `cfs`, `liu`, `none`) or the list itself (`10-20,20-30`)."""
    composite: bool
    """True: known pixels are pasted back before scoring."""
    rounding: Literal["round", "truncate"]
    """How the output becomes 8-bit."""
    metrics: tuple[str, ...]
    """Metric variants, in table order."""
    origin: dict[str, str] = field(default_factory=dict)
    """Field (`masks`, `preparation.crop`) -> `paper`, `code`, `inferred` or `chosen`, a colon, the place or reason."""
    omitted: dict[str, str] = field(default_factory=dict)
    """Columns of the source that the harness does not compute -> why; never filled by another definition."""
    blocked: str = ""
    """Why the protocol cannot be run as its source describes it; empty where it can."""
    notes: str = ""

    def settings(self) -> ProtocolSettings:
        """The fields that decide a number whatever is measured (masks and metrics are a run's own)."""
        return ProtocolSettings(self.preparation, self.composite, self.rounding)


PRECISIONS = ("float32", "tf32", "bf16")
"""In which networks compute."""
TILINGS = ("", "native")
"""How networks take pictures larger than their own size: as a whole, or in tiles of it."""


@dataclass(frozen=True)
class RunSpec:
    """What a user asked for: names only. Device, batch size and workers are not here, since they change no number."""

    models: Annotated[
        tuple[str, ...],
        Option("`all`, names, -NAMES, globs, path/to/file.py:Class, a folder of pictures; comma-separated."),
    ] = ("all",)
    dataset: Annotated[str, Option("A name from `bench datasets list`, or `folder`.")] = "demo"
    root: Annotated[str | None, Option("Where the data set lies.", path=True)] = None
    split: Annotated[str | None, Option("A split, an official folder name, or a .txt list of ids.", path=True)] = None
    masks: Annotated[tuple[str, ...], Option("Mask families or sets; the protocol's by default.")] = ()
    buckets: Annotated[
        str, Option("deciles, rnon, cfs, liu, or a list: 10-20,20-30 (per cent); the protocol's by default.")
    ] = ""
    metrics: Annotated[tuple[str, ...], Option("Metric variants, `all`, globs; the protocol's by default.")] = ()
    protocol: Annotated[str, Option("A name from `bench protocols list`.")] = "bench@1"
    limit: Annotated[int | None, Option("Only so many images, chosen by digest of their ids.", least=1)] = None
    keep_images: Annotated[
        str | int, Option("Images of a cell whose pictures are kept: 12, worst:4, best:4, spread:6; or 8,worst:4.")
    ] = 4
    keep_vectors: Annotated[
        int, Option("Images whose feature vectors are kept; of more, moments stand for the others.", least=2)
    ] = 10_000
    set: Annotated[
        tuple[str, ...],
        Option("MODEL.SETTING=VALUE, as `bench models show MODEL` lists them; may be repeated.", repeated=True),
    ] = ()
    guides: Annotated[
        str | None, Option("Folder of IMAGE.png for models that take guides; from-truth: their own edges.", path=True)
    ] = None
    prompts: Annotated[
        str | None,
        Option("CSV file of image,text for models that take prompts, or `dataset`: its own texts.", path=True),
    ] = None
    domain: Annotated[str, Option(f"What the photographs of a folder show: {', '.join(DOMAINS)}.")] = ""
    precision: Annotated[str, Option(f"In which networks compute: {', '.join(PRECISIONS)}; moves numbers.")] = "float32"
    compile: Annotated[bool, Option("Networks by torch's compiler; moves numbers, is recorded.")] = False
    tiling: Annotated[
        str, Option("`native`: networks fill larger pictures in tiles of their own size; moves numbers.")
    ] = ""
    skip_damaged: Annotated[bool, Option("Go on without photographs that cannot be used; they are listed.")] = False
    allow_large: Annotated[bool, Option("Read photographs of any number of pixels, bytes and scans.")] = False

    @property
    def arithmetic(self) -> str:
        """How networks compute, in words; empty for float32 without a compiler."""
        return " ".join([self.precision] * (self.precision != "float32") + ["compiled"] * self.compile)


@dataclass(frozen=True)
class Execution:
    """How the work is done. Nothing here changes a number."""

    device: Annotated[str, Option("cpu, cuda, cuda:1; by default a GPU where there is one.")] = "cpu"
    batch: Annotated[
        int,
        Option("Images that a network sees at once; by default the quickest size.", least=1, flag="--batch-size"),
    ] = 0
    exact: Annotated[
        bool, Option("On a GPU too, only batches with the bits of one image at a time, as always on a CPU; slower.")
    ] = False
    shard: Annotated[
        int | None, Option("Images of a part; by default what keeps memory level.", least=1, flag="--shard-size")
    ] = None
    workers: Annotated[
        int, Option("Processes that do the work; 0: this one. By default one a device, on a CPU one a core.", least=0)
    ] = 0
    devices: Annotated[tuple[str, ...], Option("cuda:0,cuda:1: a worker on each of them, in place of --device.")] = ()
    threads: Annotated[
        int, Option("Threads of one operation on a CPU; by default each worker's share of the cores.", least=1)
    ] = 0
    """0: as the run's record says, else as many as cores allow."""
    time_limit_s: Annotated[
        float, Option("Seconds that a batch may take before its worker is replaced.", least=1, flag="--time-limit")
    ] = 600.0
    fail_fast: Annotated[bool, Option("Stop at the first failed cell.")] = False
    share: Annotated[
        tuple[int, int] | None,
        Option("3/16: do every sixteenth part, on any machine that sees --out; then `bench collect`."),
    ] = None
    """Counted from 1; None: all of it."""


@dataclass(frozen=True)
class TrainingSpec:
    """A training as a user asked for it: names only."""

    model: str
    dataset: Annotated[str, Option("A name from `bench datasets list`, or `folder`.")] = "demo"
    root: Annotated[str | None, Option("Where the data set lies.", path=True)] = None
    split: Annotated[str | None, Option("Its part; `train` by default where there is one.", path=True)] = None
    recipe: Annotated[str, Option("paper, starter, or another that the model brings.")] = "paper"
    steps: Annotated[int | None, Option("So many steps in all; stages keep their shares.", least=1)] = None
    set: Annotated[
        tuple[str, ...], Option("key=value; keys as --plan prints them; may be repeated.", repeated=True)
    ] = ()
    without: Annotated[tuple[str, ...], Option("Loss terms to leave out, comma-separated; recorded.")] = ()
    seed: Annotated[int, Option("Decides first weights, crops, masks.", least=0, most=2**63 - 1)] = 0
    start: Annotated[
        str | None,
        Option("Start from these weights: a name with a tag, as `ce@starter`, or a file.", flag="--from", path=True),
    ] = None
    guides: Annotated[str | None, Option("Folder of IMAGE.png: labels of photographs to learn from.", path=True)] = None
    validate: Annotated[str, Option("Frozen masks for validation: SET/BUCKET,..., as freeform-256/20-40.")] = ""


@dataclass(frozen=True)
class SetDifference:
    """How far two models differ in a metric of whole sets (FID) in one cell, or why they are not compared."""

    metric: str
    cell: str
    """`freeform-256/10-20`."""
    n: int = 0
    """Images of which both have vectors."""
    a: float = math.nan
    b: float = math.nan
    low: float = math.nan
    high: float = math.nan
    """95 % bootstrap interval of a - b over the images, both models on the same resamples."""
    flag: str = ""
    reason: str = ""
