"""A metric that another package computes: image by image, on 8-bit pictures, its value as it is."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from typing import Any

import torch

from bench import images
from bench.contracts import PairMetric
from bench.errors import BadInput, BenchError, Unavailable, exception_text
from bench.metrics import precision
from bench.metrics.libraries import TRIED_PX
from bench.metrics.pairs import check_output, check_truth
from bench.offline import Reached, without_network
from bench.types import MetricCard

Score = Callable[[torch.Tensor, torch.Tensor], Any]
"""Output and truth, float32 [1, 3, H, W] in 0..1 -> what the library gives."""
NO_REFERENCE = "; of the output alone"


def card(library: str, name: str, *, lower: bool, span: str, of_two: bool) -> MetricCard:
    """What is known of a library's metric. span: the range of its values in the library's words, "" where it says none.

    of_two: whether it compares with a truth.
    """
    release = version(library)
    return MetricCard(
        title=f"{name} ({library} {release})",
        better="lower" if lower else "higher",
        decimals=4,
        formula=f"{name} of {library} {release}" + (f", {span}" if span else "") + NO_REFERENCE * (not of_two),
        reference=f"{library} {release}, called image by image on 8-bit pictures",
        tolerance="the library's own number",
        advantages="What others print by the same library and version.",
        limits="Defined by the library alone: another version may give other numbers.",
        version=release,
    )


class LibraryMetric(PairMetric):
    """One number per image from a library's function, which is given one image at a time: no batch moves a value."""

    def __init__(self, name: str, card: MetricCard, scorer: Callable[[Any], Score], device: Any) -> None:
        """scorer: device -> the library's function; it may load a network."""
        self.name, self.card, self._scorer, self.device = name, card, scorer, torch.device(device)

    def prepare(self, truth: torch.Tensor) -> torch.Tensor:
        """The truth itself, once it is known to be uint8 [B, 3, H, W]."""
        check_truth(truth)
        return truth

    def compare(self, prepared: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """float64 [B]; `BadInput` where the library refuses the pictures or gives something else than a number."""
        check_output(prepared.shape, output, masks)
        with precision.full(output.device):
            return torch.stack([self._one(*pair) for pair in zip(output.split(1), prepared.split(1), strict=True)])

    def fault(self, size_px: int = TRIED_PX) -> str | None:
        """Why it gives no number for a colour picture of this side, in one sentence; None where it does."""
        ramp = torch.linspace(0, 255, size_px, device=self.device).byte().expand(1, 3, size_px, size_px)
        said = io.StringIO()  # what it prints of files that it does not get
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                self.compare(ramp, ramp.mT, torch.ones_like(ramp[:, :1], dtype=torch.bool))
        except BenchError as fault:
            return str(fault)
        return None

    def _one(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        try:
            with without_network():
                found = self.score(images.to_unit(output), images.to_unit(truth))
        except Reached as fault:
            raise Unavailable(
                f"{self.name} needs files that its library keeps at {fault}; type: bench metrics fetch {self.name}"
            ) from fault
        except BenchError:
            raise
        except Exception as fault:
            height, width = output.shape[-2:]
            raise BadInput(
                f"{self.name} cannot measure colour images of {height} x {width} pixels: "
                f"{exception_text(fault)}. Leave it out, or choose a protocol with another size."
            ) from fault
        value = torch.as_tensor(found, device=output.device)
        if value.numel() != 1:
            raise BadInput(f"{self.name} gives {list(value.shape)} numbers for one image; leave it out.")
        return value.reshape(()).double()

    @cached_property
    def score(self) -> Score:
        """The library's function on the device; whatever it fetches, where nobody keeps it from that.

        Raises `Unavailable` where it cannot be had.
        """
        try:
            return self._scorer(self.device)
        except Exception as fault:
            raise Unavailable(f"{self.name} cannot be opened: {exception_text(fault)}") from fault

    def fetch(self) -> None:
        """Let the library bring what it needs, also what it loads with its first picture."""
        ramp = torch.linspace(0, 1, TRIED_PX, device=self.device).expand(1, 3, TRIED_PX, TRIED_PX)
        with precision.full(self.device):
            self.score(ramp, ramp.mT)
