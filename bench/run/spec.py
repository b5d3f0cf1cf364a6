"""From what a user asked for to a job in which every name is checked, before a single image is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import digest, documents, masks
from bench.contracts import Dataset
from bench.datasets import registry as dataset_registry
from bench.datasets import verify
from bench.errors import BadInput, BenchError, UnknownName
from bench.masks import ratio
from bench.metrics import registry as metric_registry
from bench.models import guides as model_guides
from bench.models import prompts as model_prompts
from bench.models import registry as model_registry
from bench.models import settings as model_settings
from bench.models.guides import Guides
from bench.models.prompts import Prompts
from bench.models.registry import ModelRef
from bench.paths import expanded
from bench.protocols import registry as protocols
from bench.run import keep
from bench.run.keep import Keep
from bench.runfolder.guides import FROM_TRUTH
from bench.runfolder.record import DatasetSettings, MaskSetRecord, Settings, model_key
from bench.types import PRECISIONS, TILINGS, Bucket, Cell, Protocol, RunSpec, options

if TYPE_CHECKING:
    from bench.masks.drawn import DrawnSet
    from bench.masks.frozen import MaskSet


@dataclass(frozen=True)
class Job:
    """A run with all names resolved; plain data that travels to any worker."""

    spec: RunSpec
    protocol: Protocol
    ids: tuple[str, ...]
    models: tuple[ModelRef, ...]
    absent: tuple[ModelRef, ...]
    """Models that were asked for and cannot run here; `ref.reason` says why."""
    cells: tuple[Cell, ...]
    mask_sets: dict[str, MaskSetRecord]
    pair_metrics: tuple[str, ...]
    set_metrics: tuple[str, ...]
    missing: dict[str, str] = field(default_factory=dict)
    """Metric -> why it cannot be computed here."""
    guides: Guides | None = None
    """What some of the models are given beside image and mask."""
    prompts: Prompts | None = None
    """What some of the models are told of each image."""
    domain: str = ""
    """What the photographs show; "" where nobody knows."""
    aside: dict[str, int] = field(default_factory=dict)
    """Files beside the photographs that are none: ending -> count."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Photographs that were asked for and are left out -> why they cannot be used."""
    expected: dict[str, str] = field(default_factory=dict)
    """Image -> digest that its prepared pixels must have, where a manifest says so."""

    @cached_property
    def keep(self) -> Keep:
        """How many images of each cell keep their pictures."""
        return keep.parse(self.spec.keep_images)

    @property
    def extractors(self) -> tuple[str, ...]:
        """The feature extractors that the set metrics at hand read."""
        return tuple(dict.fromkeys(metric_registry.card(name).extractor for name in self.set_metrics))

    @cached_property
    def settings(self) -> Settings:
        """Everything but the model that decides a number; its digest names the folder of the parts."""
        measured = (*self.pair_metrics, *self.set_metrics)
        return Settings(
            dataset=DatasetSettings(self.spec.dataset, self.spec.split, digest.of_lines(self.ids)),
            protocol=self.protocol.settings(),
            mask_sets={name: mask_set.digest for name, mask_set in self.mask_sets.items()},
            cells=tuple(cell.label for cell in self.cells),
            metrics={name: metric_registry.card(name).version for name in measured},
            vectors=self.spec.keep_vectors if self.folds else 0,
            arithmetic=self.spec.arithmetic,
            tiling=self.spec.tiling,
        )

    @property
    def folds(self) -> bool:
        """Whether there are more images than feature vectors are kept of."""
        return bool(self.set_metrics) and len(self.ids) > self.spec.keep_vectors

    @cached_property
    def digest(self) -> str:
        """Digest of the settings."""
        return self.settings.digest

    def ref(self, name: str) -> ModelRef:
        """A model that can run, by name."""
        return next(ref for ref in self.models if ref.name == name)

    def key(self, name: str) -> str:
        """The name under which a model's parts lie: its own, and the digest of its weights and code."""
        return model_key(name, self.ref(name).digest)


def from_file(path: Path) -> dict[str, Any]:
    """Read a run's TOML file: some fields of `RunSpec`. Names may be written as lists or as the command line has them.

    Raises `BadInput` naming file, line and field.
    """
    document = documents.from_toml(path, "the run file")
    spec = document.into(RunSpec, names=("models", "masks", "metrics", "set"), joined=("buckets",))
    for name, option in options(RunSpec).items():
        if option.least is not None and name in document.data and getattr(spec, name) < option.least:
            raise document.fault(f"must be {option.least} or more", name)
        if not option.repeated and name in document.data and getattr(spec, name) in ((), ""):
            raise document.fault("is empty: leave it out, or name something", name)
    return {name: getattr(spec, name) for name in document.data}


def resolve(spec: RunSpec) -> Job:
    """Check every name of a spec against its registry and resolve weights, masks and metric networks.

    Raises one `BenchError` that names everything wrong at once.
    """
    faults: list[str] = []

    def attempt(function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except BenchError as fault:
            faults.append(str(fault))
            return None

    protocol = attempt(protocols.runnable, spec.protocol)
    models = attempt(lambda: model_settings.apply(model_registry.choose(spec.models), spec.set))
    metrics = attempt(metric_registry.choose, spec.metrics or (protocol.metrics if protocol else ()))
    buckets = attempt(ratio.buckets, spec.buckets or (protocol.buckets if protocol else "deciles"))
    size = protocol.preparation.size_px if protocol else None
    sets = attempt(masks.resolve, spec.masks or protocol.masks, size) if protocol else []
    attempt(_check_kept, spec.keep_images, metrics or ())
    dataset = attempt(_dataset, spec)
    if spec.precision not in PRECISIONS:
        faults.append(str(UnknownName("precision", [spec.precision], PRECISIONS, "bench run --help")))
    if spec.tiling not in TILINGS:
        faults.append(str(UnknownName("tiling", [spec.tiling], TILINGS, "bench run --help")))
    for name, option in options(RunSpec).items():
        if option.least is not None and getattr(spec, name) is not None and getattr(spec, name) < option.least:
            faults.append(f"--{name.replace('_', '-')} {getattr(spec, name)}: it must be {option.least} or more.")
    if dataset:
        attempt(dataset_registry.domain, spec.dataset, spec.domain)
    if protocol and not size and spec.guides:
        faults.append(f"--guides: the protocol {protocol.name} scores photographs at their own sizes; guides have one.")
    several = tuple(f"{name} has several " for name in spec.models)
    faults += [ref.reason for ref in models or () if ref.reason.startswith(several)]
    if faults:
        raise BadInput(" ".join(faults))
    return _job(spec, protocol, models, metrics, buckets, sets, dataset)


def _check_kept(asked: int | str, metrics: Sequence[str]) -> None:
    """Raise `BadInput` where it cannot be said which pictures are to be kept."""
    if keep.parse(asked).scored and metrics and not any(metric_registry.kind(name) == "pair" for name in metrics):
        raise BadInput(f"--keep-images {asked}: none of the metrics scores single images; name one that does.")


def _dataset(spec: RunSpec) -> Dataset:
    return dataset_registry.open_dataset(spec.dataset, spec.root, spec.split, large=spec.allow_large)


def _guides(given: str, models: list[ModelRef], ids: list[str], size_px: int) -> Guides:
    if given == FROM_TRUTH:
        return model_guides.from_truth(models)
    return model_guides.look_through(expanded(given), models, ids, size_px)


def _cells(opened: Mapping[str, MaskSet | DrawnSet], buckets: tuple[Bucket, ...], *, everywhere: bool) -> list[Cell]:
    """Every set in the buckets, which a set that is not cut by ratio gets only `everywhere`.

    That is where a user named the buckets, or neither them nor the masks: a protocol's buckets are meant for its own.

    Raises `BadInput` for a set without masks in the buckets, and for a bucket of which no set has masks.
    """
    whole = ratio.buckets("none")
    cells = [
        Cell(name, bucket)
        for name, one in opened.items()
        for bucket in one.within(buckets if one.bucketed or everywhere else whole)
    ]
    if empty := [bucket.label for bucket in buckets if everywhere and bucket not in {cell.bucket for cell in cells}]:
        raise BadInput(f"None of the mask sets {', '.join(opened)} has masks in bucket {' or '.join(empty)}.")
    return cells


def _job(
    spec: RunSpec,
    protocol: Protocol,
    models: list[ModelRef],
    metrics: list[str],
    buckets: tuple[Bucket, ...],
    sets: list[str],
    dataset: Any,
) -> Job:
    ids = digest.subset(dataset.ids, spec.limit) if spec.limit is not None else list(dataset.ids)
    skipped = verify.unusable(dataset, ids, protocol.preparation) if spec.skip_damaged else {}
    ids = [image_id for image_id in ids if image_id not in skipped]
    opened = {name: masks.load(name, protocol.preparation.size_px) for name in sets}
    cells = _cells(opened, buckets, everywhere=bool(spec.buckets) or not spec.masks)
    for cell in cells:
        opened[cell.mask_set].check(cell.bucket, ids)
    guides = None
    if spec.guides:
        guides = _guides(spec.guides, models, ids, protocol.preparation.size_px or 0)
        models = model_guides.given(models, guides)
    prompts = model_prompts.read(spec.prompts, models, dataset, ids) if spec.prompts else None
    models = model_prompts.given(models, prompts) if prompts else models
    size_px = protocol.preparation.size_px
    missing = {name: reason for name in metrics if (reason := metric_registry.unavailable(name, size_px))}
    ready = [name for name in metrics if name not in missing]
    return Job(
        spec=spec,
        protocol=protocol,
        ids=tuple(ids),
        models=tuple(ref for ref in models if not ref.reason),
        absent=tuple(ref for ref in models if ref.reason),
        cells=tuple(cells),
        mask_sets={n: MaskSetRecord(s.family, s.digest, s.size_px, s.stands_in) for n, s in opened.items()},
        pair_metrics=tuple(name for name in ready if metric_registry.kind(name) == "pair"),
        set_metrics=tuple(name for name in ready if metric_registry.kind(name) == "set"),
        missing=missing,
        guides=guides,
        prompts=prompts,
        aside=dict(dataset.aside),
        skipped=skipped,
        domain=dataset_registry.domain(spec.dataset, spec.domain),
    )
