"""A page that asks people: which of two pictures is better, or how good one is. It works from disk.

OUT/page/index.html, questions.js, pictures/NNNN.png    what raters are given; no file tells a model's name
OUT/key.json                                            which model is behind which picture: keep it to yourself
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from bench import digest, documents, images
from bench.disk import write_text
from bench.errors import BadInput, UnknownName
from bench.report import footer
from bench.runfolder import pictures, record
from bench.runfolder.names import MASK, MASKED, TRUTH
from bench.runfolder.pictures import Kept, Pixels
from bench.runfolder.record import Record

KINDS = {
    "choice": "Which picture looks more natural?",
    "rating": "How natural does this picture look? 1: bad, 5: like a photograph.",
    "aspects": "How good is the filled picture in the middle, beside the damaged and the real one?",
}
ASPECTS = {
    "content": "Does it show what the real picture shows? 1: something else, 5: the same.",
    "colour": "Are its colours those of the real picture? 1: others, 5: the same.",
    "naturalness": "Does it look real and natural? 1: not at all, 5: like a photograph.",
    "texture": "Is its texture natural and continuous? 1: broken, 5: as if nothing had been missing.",
}
"""What the study `aspects` asks of every picture: what dual-path GAN, in its subjective evaluation, judges by."""
NOISE = "noise"
"""What stands against the truth in a check: the photograph with noise in its hole."""
PAGE = Path(__file__).parent / "page.html"


@dataclass(frozen=True)
class Question:
    """One thing that a rater is asked."""

    image: str
    cell: str
    """`freeform-256/10-20`."""
    models: tuple[str, ...]
    """Left and right, or the one that is rated; `truth` and `noise` in a check."""
    files: tuple[str, ...] = ()
    shown: str = ""
    """The picture of the masked photograph that stands beside."""
    truth: str = ""
    """The photograph, where raters see it."""
    aspect: str = ""
    """One of `ASPECTS`; empty: the study's own question."""

    @property
    def check(self) -> bool:
        """Whether it only tells if a rater looks."""
        return bool({TRUTH, NOISE} & set(self.models))


@dataclass(frozen=True)
class Key:
    """What the person who asks keeps: which model is behind which picture."""

    study: str
    """Digest of all else, by which answers are known."""
    kind: str
    seed: int
    questions: tuple[Question, ...] = field(default_factory=tuple)
    notes: tuple[str, ...] = ()
    """What a reader of the tally must know of its models: that one was told the truth."""


def write(
    roots: Sequence[Path], out: Path, *, kind: str, questions: int, checks: int, seed: int, models: Sequence[str] = ()
) -> Key:
    """Draw the questions of a study from the pictures that runs kept, and write page and key.

    questions: how many besides the `checks`; models: only these. The same runs, numbers and seed give the same study.
    Raises `BadInput` for a folder that is there, for runs without pictures, and for fewer than two models of a choice.
    """
    if kind not in KINDS:
        raise UnknownName("kind of study", [kind], KINDS, "bench study make --help")
    if out.exists() and {path.name for path in out.iterdir()} - {"page"}:  # which one that was not finished may leave
        raise BadInput(f"{out} is not empty. Give --out a new folder: answers belong to one study.")
    runs = {root: record.read(root) for root in roots}
    kept = [one for root, made in runs.items() for one in pictures.kept(root, made) if one.models]
    if not kept:
        raise BadInput("The runs kept no pictures. Measure with --keep-images 20 or more.")
    chance = np.random.default_rng(seed)
    asked = _draw(kept, kind, questions, models, chance) + _checks(kept, kind, checks, chance)
    order = chance.permutation(len(asked))
    drawn = [asked[number] for number in order]
    made = [
        question
        for place, (one, names) in enumerate(drawn)
        for question in _aspects(kind, _written(place, one, names, kind, out))
    ]
    notes = _notes(runs.values(), made)
    plain = {"kind": kind, "seed": seed, "questions": [asdict(one) for one in made]} | (
        {"notes": notes} if notes else {}
    )
    key = Key(digest.of_settings(plain)[:16], kind, seed, tuple(made), notes)
    write_text(out / "key.json", json.dumps(asdict(key), indent=1, ensure_ascii=False) + "\n")
    told = {"study": key.study, "kind": kind, "text": KINDS[kind], "questions": [_told(one) for one in made]}
    write_text(out / "page" / "questions.js", f"const STUDY = {json.dumps(told)};\n")
    shutil.copyfile(PAGE, out / "page" / "index.html")
    return key


def _notes(runs: Iterable[Record], made: Sequence[Question]) -> tuple[str, ...]:
    asked = {name for question in made for name in question.models}
    told = [footer.from_truth(name, run.models[name].guides) for run in runs for name in run.models if name in asked]
    return tuple(filter(None, dict.fromkeys(told)))


def read(path: Path) -> Key:
    """The key of a study; raises `BadInput` naming line and field."""
    return documents.from_json(path, "the study's key").into(Key)


def _told(question: Question) -> dict[str, Any]:
    more = {"truth": question.truth, "text": ASPECTS[question.aspect]} if question.aspect else {}
    return {"files": question.files, "shown": question.shown, **more}


def _aspects(kind: str, question: Question) -> list[Question]:
    """The question itself, or one for each aspect of its picture."""
    return [replace(question, aspect=aspect) for aspect in ASPECTS] if kind == "aspects" else [question]


def _draw(
    kept: Sequence[Kept], kind: str, count: int, models: Sequence[str], chance: np.random.Generator
) -> list[tuple[Kept, tuple[str, ...]]]:
    """Questions that meet models, pairs and pictures as evenly as their number allows."""
    wanted = [name for name in _models(kept) if not models or name in models]
    if unknown := sorted(set(models) - set(_models(kept))):
        raise UnknownName("model with kept pictures", unknown, _models(kept), "bench study make --help")
    each = 2 if kind == "choice" else 1
    groups = list(combinations(wanted, each))
    if not groups:
        raise BadInput(f"A choice needs pictures of two models or more; there is {', '.join(wanted) or 'none'}.")
    found = []
    for group in groups:
        places = [one for one in kept if set(group) <= set(one.models)]
        found.append([(one, group) for one in (places[number] for number in chance.permutation(len(places)))])
    turns = [question for turn in range(max(map(len, found))) for group in found for question in group[turn : turn + 1]]
    if len(turns) < count:
        fewer = f"--questions {len(turns)}"
        raise BadInput(f"The kept pictures give {len(turns)} questions, not {count}: {fewer}, or keep more pictures.")
    return [(one, tuple(chance.permutation(group).tolist())) for one, group in turns[:count]]


def _models(kept: Sequence[Kept]) -> list[str]:
    return list(dict.fromkeys(name for one in kept for name in one.models))


def _checks(
    kept: Sequence[Kept], kind: str, count: int, chance: np.random.Generator
) -> list[tuple[Kept, tuple[str, ...]]]:
    places = [kept[int(number)] for number in chance.integers(len(kept), size=count)]
    if kind == "choice":
        return [(one, tuple(chance.permutation([TRUTH, NOISE]).tolist())) for one in places]
    return [(one, (what,)) for one in places for what in (TRUTH, NOISE)]


def _written(place: int, kept: Kept, models: tuple[str, ...], kind: str, out: Path) -> Question:
    """Write a question's pictures under numbers that say nothing."""
    files = []
    for letter, name in zip("ab", models, strict=False):
        files.append(f"pictures/{place:04d}{letter}.png")
        _save(out / "page" / files[-1], _picture(kept, name, place))
    shown = f"pictures/{place:04d}m.png"
    _save(out / "page" / shown, kept.given(MASKED))
    truth = f"pictures/{place:04d}t.png" if kind == "aspects" else ""
    if truth:
        _save(out / "page" / truth, kept.given(TRUTH))
    return Question(kept.image, f"{kept.mask_set}/{kept.bucket}", models, tuple(files), shown, truth)


def _picture(kept: Kept, name: str, place: int) -> Pixels:
    if name == TRUTH:
        return kept.given(TRUTH)
    if name == NOISE:
        truth, hole = kept.given(TRUTH), kept.given(MASK) > 127
        return np.where(hole, np.random.default_rng(place).integers(0, 256, truth.shape, np.uint8), truth)
    return kept.made(name)


def _save(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(pixels))
