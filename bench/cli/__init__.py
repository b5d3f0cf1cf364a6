"""The command line: one file a noun or verb. What a command needs is imported inside it, so that help answers at once.

A file holds either `app`, a `typer.Typer` whose commands are the verbs of a noun (`bench masks list`), or `command`, a
function that is a verb of its own (`bench run`). The file's name is the word; files that begin with `_` are no words.
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import sys
from typing import NoReturn

import click
import typer

from bench.errors import BenchError

STOPPED = 130
"""Exit status of a command that Ctrl-C ended."""
SPINS = "30000"
"""Rounds that an idle thread of GNU OpenMP turns before it sleeps: a tenth of its default (perf/waiting.py)."""


def build() -> typer.Typer:
    """Gather the files of this folder into one application."""
    root = typer.Typer(
        name="bench",
        help="Measure image inpainting: any model, frozen masks by ratio, metrics that can be defended.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for entry in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
        if entry.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{entry.name}")
        if hasattr(module, "app"):
            root.add_typer(module.app, name=entry.name, help=module.__doc__, no_args_is_help=True)
        else:
            root.command(name=entry.name)(module.command)
    return root


def main() -> NoReturn:
    """Run the command line; whatever a user can mend ends as one sentence and status 2."""
    if "OMP_WAIT_POLICY" not in os.environ:  # the user's own choice, which a count of rounds would overrule
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read when torch is imported
    try:
        status = build()(standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        status = STOPPED
    except typer.Exit as leave:
        status = leave.exit_code
    except click.ClickException as fault:
        print(f"error: {fault.format_message()} See: bench --help", file=sys.stderr)
        status = 2
    except BenchError as fault:
        print(f"error: {fault}", file=sys.stderr)
        status = 2
    except BrokenPipeError:
        sys.stderr.close()
        status = 0
    except OSError as fault:
        if fault.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        print(
            f"error: cannot write {fault.filename or 'a file'}: {fault.strerror}. What was finished is kept.",
            file=sys.stderr,
        )
        status = 2
    if status == STOPPED:  # typer turns Ctrl-C into this status by itself
        print("Stopped. What was finished is kept; the same command goes on from there.", file=sys.stderr)
    sys.exit(status if isinstance(status, int) else 0)
