"""Masks: one file a family, buckets of ratio, frozen sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bench.masks.drawn import DrawnSet
    from bench.masks.frozen import MaskSet
    from bench.types import Bucket


def resolve(names: Sequence[str], size_px: int | None) -> list[str]:
    """Ids of the sets meant by ids, families, globs and `all` at a size; None: at each photograph's own.

    A family of the house that is named and not there at this size is frozen into the user's folder. Raises as
    `frozen.resolve` and `drawn.resolve` do.
    """
    from bench.masks import drawn, frozen

    names = [name.lower() for name in names]  # as all ids are
    if not size_px:
        return drawn.resolve(names)
    _freeze(names, size_px)
    return frozen.resolve(names, size_px)


def _freeze(names: Iterable[str], size_px: int) -> None:
    """Draw the families among some names that can be frozen at a size and are not."""
    from bench.masks import freezing, frozen

    known = freezing.frozen_families()
    for name in names:
        if name in known and size_px in known[name].sizes and f"{name}-{size_px}" not in frozen.folders():
            freezing.freeze(name, size_px)


def load(set_id: str, size_px: int | None) -> MaskSet | DrawnSet:
    """The set of an id that `resolve` gave for the same size."""
    from bench.masks import drawn, frozen

    return frozen.load(set_id) if size_px else drawn.load(set_id)


def draw(
    family: str, size_px: int, key: int, index: int | Iterable[int], stratum: Bucket | None = None
) -> npt.NDArray[np.bool_]:
    """Masks on the fly, for training: bool [size, size] for one index, [N, size, size] for several; True = missing.

    A mask depends on family, size, `key`, its own index and `stratum` alone, on every platform. Without a stratum the
    masks are distributed as the source's; with one (families that are frozen in strata) their ratio lies in it. No
    index ever meets a frozen mask: those are drawn under keys of their own. Raises `UnknownName` for the family.
    """
    import numpy as np

    from bench.masks import philox, ratio
    from bench.masks import registry as mask_registry

    member = mask_registry.find(family)
    name = ratio.stratum_name(stratum) if stratum else "all"
    indices = np.atleast_1d(np.fromiter(index, np.int64) if isinstance(index, Iterable) else np.int64(index))
    masks, _ = mask_registry.sample(
        member, size_px, philox.key_of("fresh", family, size_px, name, key), indices, stratum
    )
    return masks if isinstance(index, Iterable) else masks[0]
