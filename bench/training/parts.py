"""A batch in parts: one for each process, or several that a process takes in turn to save memory (`--accumulate`).

Together they give the gradients of the whole batch. Three things see to it: what a term divides by is asked of every
part first (`Denominators`), what is drawn is drawn for the whole batch (`WholeDraws`), and every part starts from the
same buffers (`Buffers`). What lets images act on one another, as batch norms do, stays within a part and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

from bench.errors import ContractBroken
from bench.training.base import Batch

_APART: ContextVar[dict[str, None] | None] = ContextVar("apart", default=None)


@dataclass(frozen=True)
class Slot:
    """Which part of how many. Slot `place` has samples `place`, `place + count`, ... of the whole batch.

    So groups of images that stand a fraction of the batch apart, as StyleGAN's critics form them, stay together in
    parts of a multiple of their size.
    """

    place: int
    count: int
    copies: int = 1
    """Rows of one sample, which stand next to each other (`mix="each"`)."""

    def rows(self, whole: Tensor) -> Tensor:
        """This part's rows of a tensor whose first dimension holds the whole batch, once or several times."""
        return whole.unflatten(0, (-1, self.count, self.copies))[:, self.place].flatten(0, 1)

    def widened(self, rows: Tensor) -> Tensor:
        """A tensor for the whole batch in which every part has these rows; of the same memory format."""
        repeats = 1, self.count, *[1] * rows.dim()
        whole = rows.unflatten(0, (-1, 1, self.copies)).repeat(*repeats).flatten(0, 2)
        last = rows.dim() == 4 and rows.is_contiguous(memory_format=torch.channels_last)
        return whole.contiguous(memory_format=torch.channels_last) if last else whole


def divided(batch: Batch, count: int, copies: int, everywhere: Callable[[Tensor], Tensor]) -> list[Batch]:
    """A process's batch in so many parts, whose terms ask `everywhere` for what they divide by."""
    places = [Slot(place, count, copies) for place in range(count)]
    return [
        Batch(
            place.rows(batch.images),
            place.rows(batch.masks),
            batch.processes * count,
            None if batch.guides is None else place.rows(batch.guides),
            everywhere,
        )
        for place in places
    ]


class Denominators:
    """What terms divide by: noted from every part in a first pass, answered with the mean over all in a second."""

    def __init__(self) -> None:
        self.asked: list[list[Tensor]] = []
        self.answers: list[Tensor] | None = None
        self.left: Iterator[Tensor] = iter(())

    def ask(self) -> None:
        """Begin the first pass."""
        self.asked, self.answers = [], None

    def settle(self, everywhere: Callable[[Tensor], Tensor]) -> bool:
        """End the first pass: work out the means, over the processes too. Whether anything was asked."""
        if len({len(values) for values in self.asked}) > 1:
            raise ContractBroken("A term asks for `everywhere` in one part of a batch and not in another.")
        self.answers = [everywhere(torch.stack(values).mean(0)) for values in zip(*self.asked, strict=True)]
        return bool(self.answers)

    def next_part(self) -> None:
        """Another part comes; in either pass it asks in the same order."""
        if self.answers is None:
            self.asked.append([])
        else:
            self.left = iter(self.answers)

    def __call__(self, value: Tensor) -> Tensor:
        """The `everywhere` of a part."""
        if self.answers is None:
            self.asked[-1].append(value.detach())
            return value
        answer = next(self.left, None)
        if answer is None:
            raise ContractBroken("A term asks for `everywhere` in one step and not in another.")
        return answer


class Buffers:
    """Buffers of networks that every part must find as they were: running statistics, vectors of spectral norms.

    Afterwards running statistics are the mean of what the parts left, all others what the last part left.
    """

    def __init__(self, *modules: nn.Module) -> None:
        named = {id(value): (name, value) for module in modules for name, value in module.named_buffers()}
        self.live = [value for _, value in named.values()]
        self.before = [value.clone() for value in self.live]
        self.running = [value for name, value in named.values() if running(name)]
        self.left: list[list[Tensor]] = []

    @torch.no_grad()
    def rewind(self) -> None:
        """Before a part: all as before the first."""
        for value, before in zip(self.live, self.before, strict=True):
            value.copy_(before)

    def keep(self) -> None:
        """After a part: note its running statistics."""
        self.left.append([value.clone() for value in self.running])

    @torch.no_grad()
    def average(self) -> None:
        """After the last part: the mean of the running statistics."""
        for value, left in zip(self.running, zip(*self.left, strict=True), strict=True):
            value.copy_(torch.stack(left).mean(0))


def running(name: str) -> bool:
    """Whether a buffer of this name is a running statistic of a batch norm."""
    return name.endswith(("running_mean", "running_var"))


class WholeDraws(TorchDispatchMode):
    """Within it a draw whose first dimension holds the part once or several times is drawn for the whole batch.

    Of it the part gets its rows. All other draws are the same in every part, as their seeds are; so are those of a
    generator that a model made for itself.
    """

    def __init__(self, place: Slot, images: int) -> None:
        super().__init__()
        self.place, self.images = place, images

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation; one that draws, for the whole batch."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or not _usual(kwargs.get("generator")):
            return func(*args, **kwargs)
        length = next((found for found in map(_length, (*args, *kwargs.values())) if found), 0)
        if not length or length % self.images:
            return func(*args, **kwargs)
        whole = func(*(self._whole(each) for each in args), **{key: self._whole(each) for key, each in kwargs.items()})
        if func._schema.is_mutable:  # noqa: SLF001 - how torch says so
            return kwargs.get("out", args[0]).copy_(self.place.rows(whole))
        return tuple(map(self.place.rows, whole)) if isinstance(whole, tuple) else self.place.rows(whole)

    def _whole(self, argument: Any) -> Any:
        if isinstance(argument, Tensor) and argument.dim():
            return self.place.widened(argument)
        if isinstance(argument, list | tuple) and argument:
            return [argument[0] * self.place.count, *argument[1:]]
        return argument


def _usual(generator: torch.Generator | None) -> bool:
    """Whether a draw is made by torch's global generator, which comes here in a new wrapper each time."""
    return generator is None or torch.equal(generator.get_state(), torch.get_rng_state())


def _length(argument: Any) -> int:
    """First dimension of a tensor or a shape; 0 for anything else."""
    if isinstance(argument, Tensor) and argument.dim():
        return len(argument)
    return int(argument[0]) if isinstance(argument, list | tuple) and argument else 0


@contextmanager
def of_a_batch(part: Slot, images: int, apart: dict[str, None]) -> Iterator[None]:
    """Within it a part of so many images is worked on; `apart` gathers what `stays_apart` says."""
    if part.count == 1:
        yield
        return
    token = _APART.set(apart)
    try:
        with WholeDraws(part, images):
            yield
    finally:
        _APART.reset(token)


def stays_apart(what: str) -> None:
    """Say that a term or a layer lets images of a batch act on one another, but only those of one part."""
    found = _APART.get()
    if found is not None:
        found[what] = None


@contextmanager
def still(norms: Iterable[nn.Module]) -> Iterator[None]:
    """Within it batch norms among these modules normalise as before, and their running statistics stand."""
    held = [norm for norm in norms if isinstance(norm, _BatchNorm) and norm.training and norm.track_running_stats]
    for norm in held:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in held:
            norm.track_running_stats = True


def batch_norms(players: nn.ModuleDict) -> list[str]:
    """`batch norms of NAME` for every player with such that learn statistics now."""
    normed = {
        name
        for name, player in players.items()
        for part in player.modules()
        if isinstance(part, _BatchNorm) and part.training
    }
    return [f"batch norms of {name}" for name in players if name in normed]
