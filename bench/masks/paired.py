"""Masks that belong to one picture each: which of an imported set is a picture's own, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bench import image_ids


def own(sources: Sequence[str]) -> Mapping[str, int]:
    """Id of a picture -> place of its mask among `sources`: paths of the masks, or of the pictures they belong to.

    A mask is a picture's own where their paths are equal without suffix, or where the mask's ends with the picture's,
    as it does where the data set begins below a folder of the list; an end that several masks have stands for none.
    """
    names = [image_ids.without_suffix(source) for source in sources]
    ends = [(end, place) for place, name in enumerate(names) for end in _ends(name)]
    shared = Counter(end for end, _ in ends)
    return {end: place for end, place in ends if shared[end] == 1} | {name: i for i, name in enumerate(names)}


def _ends(name: str) -> Iterator[str]:
    """What is left of a path below each of its folders."""
    parts = name.split("/")
    return ("/".join(parts[depth:]) for depth in range(1, len(parts)))
