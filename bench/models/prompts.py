"""What is to be seen in a hole, in words: a text an image, from a file or the data set itself."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import digest, documents, image_ids
from bench.contracts import Dataset
from bench.errors import BadInput
from bench.models.diffusion import one_line
from bench.models.registry import ModelRef
from bench.paths import expanded
from bench.runfolder.names import listed

OWN = "dataset"
"""In place of a file: the data set's own texts."""
HEAD = ["image", "text"]


@dataclass(frozen=True)
class Prompts:
    """A text for every image of a run."""

    texts: Mapping[str, str]
    digest: str


def read(source: str, refs: Sequence[ModelRef], dataset: Dataset, ids: Sequence[str]) -> Prompts:
    """The texts of a CSV file (image, text), or of the data set (`dataset`), for these images.

    Raises `BadInput` where a text is missing or has a line break, an image stands twice, or no model takes prompts.
    """
    if not any(ref.card.prompts for ref in refs):
        raise BadInput(f"--prompts {source}: none of the models takes prompts. Leave it out, or choose one that does.")
    found = _of_dataset(dataset, ids) if source == OWN else _of_file(expanded(source))
    if missing := [image_id for image_id in ids if image_id not in found]:
        strange = sorted(set(found) - set(dataset.ids))
        names = f" It names {listed(strange)}, which {dataset.name} does not hold." * bool(strange)
        raise BadInput(f"--prompts {source} has no text for {listed(missing)}. Each image needs one.{names}")
    texts = {image_id: one_line(found[image_id], f"--prompts {source}, {image_id}") for image_id in ids}
    return Prompts(texts, digest.of_settings(texts))


def given(refs: Sequence[ModelRef], prompts: Prompts) -> list[ModelRef]:
    """The models, those that take prompts with the prompts' digest."""
    return [replace(ref, prompts=prompts.digest) if ref.card.prompts else ref for ref in refs]


def _of_dataset(dataset: Dataset, ids: Sequence[str]) -> Mapping[str, str]:
    found = dataset.texts(ids)
    if not found:
        raise BadInput(f"--prompts {OWN}: the data set {dataset.name} has no texts. Give a file: --prompts FILE.csv.")
    return found


def _of_file(path: Path) -> dict[str, str]:
    rows = csv.reader(documents.text(path, "the file of prompts").splitlines(keepends=True), strict=True)
    found: dict[str, str] = {}
    try:
        for row in rows:
            if row == HEAD or not row:
                continue
            if len(row) != len(HEAD):
                raise BadInput(f"{path}, line {rows.line_num}: {len(row)} columns in place of image and text.")
            image_id, text = image_ids.without_suffix(row[0]), row[1]
            if image_id in found:
                raise BadInput(f"{path}, line {rows.line_num}: {image_id} stands twice.")
            found[image_id] = text
    except csv.Error as fault:
        raise BadInput(f"{path}, line {rows.line_num}: no CSV: {fault}.") from fault
    return found
