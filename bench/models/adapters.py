"""What can stand for a model beside a file of ours: a served command, a pipeline of diffusers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from bench.contracts import Model


class Adapter(ABC):
    """Something that a `ModelRef` names; plain data that travels to any worker."""

    @abstractmethod
    def facts(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """All that decides its numbers beside the settings themselves (files that these name, say), for a digest."""

    @abstractmethod
    def open(self, device: torch.device | str, settings: Mapping[str, Any]) -> Model:
        """The model, ready to predict on the device."""

    def check(self, settings: Mapping[str, Any]) -> None:  # noqa: B027 - most take any
        """Raise `BadInput` for settings that cannot be used as given."""

    def check_on(self, device: str, settings: Mapping[str, Any]) -> None:  # noqa: B027 - most run anywhere
        """Raise `BadInput` for settings that this device cannot follow."""
