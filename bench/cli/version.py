"""The version of the harness and of what its numbers depend on."""

from __future__ import annotations

import bench


def command() -> None:
    """Print the version."""
    print(bench.__version__)
