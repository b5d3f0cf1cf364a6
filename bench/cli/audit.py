"""How much a metric's definition alone moves a run's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that kept pictures.", show_default=False)],
    metrics: Annotated[
        str, typer.Option(help="Metrics with several variants: psnr, ssim, l1, mse, lpips; comma-separated.")
    ] = "psnr,ssim,l1",
    as_json: options.Json = False,
) -> None:
    """Compute a run's kept pictures under every variant of a metric.

    Prints each variant's values, how far it lies from the standard one, and whether it ranks the models otherwise.
    LPIPS is left to `--metrics lpips`, since its networks take their time.

    Example: bench audit runs/demo --metrics ssim
    """
    import json
    import sys

    from bench.report.analysis import audit, audit_text

    lines = audit.audit(run, options.names(metrics))
    sys.stdout.write(json.dumps(audit_text.plain(lines), indent=1) + "\n" if as_json else audit_text.text(lines))
