"""The command line: one file a noun or verb. What a command needs is imported inside it, so that help answers at once.

A file holds either `app`, a `typer.Typer` whose commands are the verbs of a noun (`bench masks list`), or `command`, a
function that is a verb of its own (`bench run`). The file's name is the word; `_options.py` holds what they share.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import importlib
import io
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO, cast

import click
import typer
from click.core import ParameterSource
from typer.core import TyperGroup

from bench import __version__, locks
from bench.errors import BadInput, BenchError, inert, printable

STOPPED = 130
"""Exit status of a command that Ctrl-C ended."""
SPINS = "30000"
"""Rounds that an idle thread of GNU OpenMP turns before it sleeps: a tenth of its default (perf/waiting.py)."""
FULL = {errno.ENOSPC, errno.EDQUOT}
NO_FOLDER = {
    errno.EEXIST: "a file, or a link that leads nowhere, stands where a folder must be",
    errno.ENOTDIR: "a file stands where a folder must be",
}
"""What the system means by its words, where a folder was asked for."""


class UserPath(click.Path):
    """A path in which `~` is the home folder: a shell does not write it out behind an equals sign.

    An empty one would be the current folder, which whoever typed `--out $UNSET` did not mean.
    """

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """The path as text, `~` written out; `~nobody` stays as it is."""
        if not str(value).strip():
            self.fail("it is empty: leave it out, or name a path; the current folder is `.`.", parameter, context)
        return super().convert(os.path.expanduser(value), parameter, context)  # noqa: PTH111


class UserText(click.types.StringParamType):
    """A text that says something: what was typed and is empty is refused, where leaving it out has a meaning."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """The text as it is; a blank one only where it is the default."""
        source = context.get_parameter_source(parameter.name or "") if parameter and context else None
        if source == ParameterSource.COMMANDLINE and not str(value).strip():
            self.fail("it is empty: leave it out, or name something.", parameter, context)
        return super().convert(value, parameter, context)


class Bench(TyperGroup):
    """The root of all commands; whatever option or argument is a path takes `~`, and no text may be empty."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for parameter in _parameters(self):
            if isinstance(parameter.type, click.Path):
                parameter.type = UserPath()
            elif type(parameter.type) is click.types.StringParamType and "empty:" not in _meaning(parameter):
                parameter.type = UserText()


def _meaning(parameter: click.Parameter) -> str:
    """What help says of an option."""
    return getattr(parameter, "help", None) or ""


def _parameters(command: click.Command) -> Iterator[click.Parameter]:
    yield from command.params
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _parameters(below)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"bench {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


def build() -> typer.Typer:
    """Gather the files of this folder into one application."""
    root = typer.Typer(
        name="bench",
        cls=Bench,
        help="Measure image inpainting: any model, frozen masks by ratio, metrics that can be defended.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root.callback()(_root)
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
    sys.stdout = sys.stdout or _nowhere()  # where the caller has closed them
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that lacks a sign shows `?` for it
    if "OMP_WAIT_POLICY" not in os.environ:  # the user's own choice, which a count of rounds would overrule
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read when torch is imported
    try:
        with contextlib.redirect_stdout(cast(TextIO, SafeOutput(sys.stdout))):
            status = _answered()
    except (click.Abort, KeyboardInterrupt):
        status = STOPPED
    except typer.Exit as leave:
        status = leave.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        status = 0
    except (click.ClickException, BenchError, OSError) as fault:
        status = _refused(fault)
    if status == STOPPED:  # typer turns Ctrl-C into this status by itself
        kept = " What was finished is kept; the same command goes on from there."
        print(f"Stopped.{kept * locks.began}", file=sys.stderr)
    sys.exit(status if isinstance(status, int) else 0)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - as long as the process


def _answered() -> Any:
    """What the command gives back: a status, or nothing."""
    try:
        Path.cwd()
    except FileNotFoundError as fault:
        raise BadInput("The folder in which this command was started is gone: change into one that exists.") from fault
    try:
        return build()(standalone_mode=False, prog_name="bench")
    except SystemExit as leave:  # click's own word on a closed pipe
        return 0 if type(sys.stdout).__name__.endswith("PacifyFlushWrapper") else leave.code


class SafeOutput:
    """A stream that no text from elsewhere can steer: see `inert`. A terminal keeps the house's colours."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write it; the count is that of the text as it was given."""
        pieces = re.split("(\x1b\\[[0-9;]*m)", text) if self.stream.isatty() else [text]
        self.stream.write("".join(piece if place % 2 else inert(piece) for place, piece in enumerate(pieces)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def script() -> NoReturn:
    """`main` as a program, whose process ends as soon as all that was registered for its end is done.

    Taking the interpreter apart costs a second where torch was loaded, and threads of Arrow that are still at work then
    abort the process.
    """
    status = [1]
    atexit.register(_end, status)  # the first that is registered is the last that is done
    try:
        main()
    except SystemExit as leave:
        status[0] = leave.code if isinstance(leave.code, int) else 0
        raise


def _end(status: list[int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a closed pipe is nobody's fault
            stream.flush()
    os._exit(status[0])


def _refused(fault: Exception) -> int:
    """Say in one sentence what a user can mend; the exit status."""
    if isinstance(fault, click.exceptions.NoArgsIsHelpError):
        print(fault.format_message())
        return 0
    sentence = _wrong_option(fault) if isinstance(fault, click.ClickException) else str(fault)
    sentence = _wrong_file(fault) if isinstance(fault, OSError) else sentence
    print("error:", printable(sentence), file=sys.stderr)
    return 2


def _wrong_option(fault: click.ClickException) -> str:
    context = getattr(fault, "ctx", None)
    sentence = re.sub(r"( Did you mean [^?]*\?)\1", r"\1", fault.format_message())  # click's and typer's own
    return f"{sentence} See: {context.command_path if context else 'bench'} --help"


def _wrong_file(fault: OSError) -> str:
    """What the system refused, and of which file; libraries that raise without a number say it in their own words."""
    kept = " What was finished is kept." * locks.began
    if fault.errno is None:
        return f"{str(fault).rstrip('.')}.{kept}"
    verb = "cannot write" if fault.errno in FULL else "cannot use"
    return f"{verb} {fault.filename or 'a file'}: {NO_FOLDER.get(fault.errno, fault.strerror)}.{kept}"
