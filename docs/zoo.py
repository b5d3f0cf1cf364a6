"""Writes the table of learned models in `docs/models.md` from their cards.

Command: python docs/zoo.py        (make docs)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.disk import write_text
from bench.models import registry as model_registry

PAGE = Path(__file__).with_name("models.md")
BEGIN, END = "<!-- zoo:begin -->", "<!-- zoo:end -->"


def section() -> str:
    """What stands between the two marks."""
    return "\n".join((BEGIN, *table(), END))


def table() -> Iterator[str]:
    """A row for each learned model."""
    yield "| id | model | published | made for | evidence |"
    yield "|---|---|---|---|---|"
    for name, card in model_registry.cards().items():
        if card.kind == "learned":
            page = f"[`{name}`](models/{name}.md)"
            published = f"{card.venue} {card.year or ''}".strip()
            yield f"| {page} | {card.title} | {published} | {card.domain or 'any picture'} | {card.evidence} |"


def update() -> None:
    """Rewrite the section of the page."""
    text = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, text.split(BEGIN)[0] + section() + text.split(END)[1])


if __name__ == "__main__":
    update()
