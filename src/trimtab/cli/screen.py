"""What a verb speaks through: data on stdout, narration on stderr, errors in four parts."""

import contextlib
import errno
import functools
import os
import shlex
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from trimtab import errors
from trimtab.cli.steering import unsteered

if TYPE_CHECKING:
    from rich.console import Console

DONE, FAILED, WRONG, UNREACHABLE, LATE, ROLLED_BACK = range(6)
PIPE_WIDTH = 160
_FULL = (errno.ENOSPC, errno.EDQUOT)
_EXITS: tuple[tuple[type[errors.TrimtabError], int], ...] = (
    (errors.Usage, WRONG),
    (errors.Unavailable, UNREACHABLE),
    (errors.TimedOut, LATE),
)


@dataclass(frozen=True, slots=True)
class Screen:
    """The way out of a verb. `as_json` prints views as JSON, `verbose` adds tracebacks."""

    as_json: bool = False
    verbose: bool = False

    def show(self, view: msgspec.Struct) -> None:
        """The verb's result, on stdout."""
        if self.as_json:
            from trimtab.views.encode import to_json

            click.echo(to_json(view).decode())
            return
        from trimtab.views.text import render

        console().print(render(view))

    def say(self, line: str) -> None:
        """Narration, on stderr."""
        click.echo(unsteered(line), err=True)

    def asks(self, yes: bool) -> bool:
        """Whether `confirm` asks: without a terminal or with `--yes` there is nobody to ask."""
        return not (yes or self.as_json or not at_terminal())

    def confirm(self, question: str, yes: bool) -> None:
        """Ask a person, if anybody is to be asked."""
        if not self.asks(yes):
            return
        if not click.confirm(question, default=True, err=True):
            raise errors.Refused(
                errors.NEEDS_CONFIRMATION,
                "confirm",
                question,
                "not confirmed",
                unchanged="nothing was changed",
                hint="answer y, or give --yes",
            )

    def fail(self, error: errors.TrimtabError) -> NoReturn:
        """Say what failed and end with the code of its family."""
        if self.as_json:
            from trimtab.views.encode import error_view, to_json

            # What cannot be written there may be what is told.
            with contextlib.suppress(OSError):
                click.echo(to_json(error_view(error)).decode())
        self.say(told(error))
        if self.verbose:
            self.say("".join(traceback.format_exception(error)).rstrip("\n"))
        raise SystemExit(exit_code(error))


def at_terminal() -> bool:
    """Whether a person can be asked and can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
"""Of each verb that changes who answers requests. On a terminal it asks; in a pipe, with `--json`
or with this it does not."""


def console(stderr: bool = False) -> "Console":
    """A console that is plain where there is no terminal or NO_COLOR is set."""
    from trimtab.cli.terminal import Terminal

    stream = sys.stderr if stderr else sys.stdout
    tty = stream.isatty()
    return Terminal(
        file=stream,
        width=None if tty else PIPE_WIDTH,
        no_color=bool(os.environ.get("NO_COLOR")) or not tty,
        highlight=False,
        soft_wrap=not tty,
    )


def told(error: errors.TrimtabError) -> str:
    """An error in four parts: what failed, why, what stayed unchanged, what to do."""
    report = error.report()
    lines = [f"error: {report.operation} {report.subject}: {report.message} ({report.code})"]
    lines += [f"  because: {cause}" for cause in report.causes if cause not in report.message]
    if report.unchanged:
        lines.append(f"  unchanged: {report.unchanged}")
    if report.hint:
        lines.append(f"hint: {report.hint}")
    return "\n".join(lines)


def exit_code(error: errors.TrimtabError) -> int:
    """The exit code of an error."""
    if error.code == errors.ROLLED_BACK:
        return ROLLED_BACK
    return next((code for family, code in _EXITS if isinstance(error, family)), FAILED)


def _of_file(name: str, cause: OSError) -> errors.Permanent:
    """A file or folder, of the caller's own choice, that the system will not give."""
    path = Path(os.fsdecode(cause.filename)) if isinstance(cause.filename, str | bytes) else None
    folder = shlex.quote(str(path.parent if path is not None else Path()))
    full = cause.errno in _FULL
    error = errors.Permanent(
        errors.FILE_FAILED,
        name,
        str(path) if path is not None else "a file",
        (cause.strerror or str(cause)).lower(),
        unchanged="what was finished before stays",
        hint=f"df -h {folder}" if full else f"ls -ld {folder}",
    )
    error.__cause__ = cause
    return error


def verb(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command with the options that every verb has; its function gets a `Screen` first."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(*, as_json: bool, verbose: bool, no_color: bool, **values: Any) -> None:
            if no_color:
                os.environ["NO_COLOR"] = "1"
            screen = Screen(as_json, verbose)
            try:
                function(screen, **values)
            except errors.TrimtabError as error:
                screen.fail(error)
            except OSError as cause:
                # Others, as of a connection, say nothing of a file.
                if cause.filename is None and cause.errno not in _FULL:
                    raise
                screen.fail(_of_file(name, cause))

        for option in (
            click.option("--no-color", is_flag=True, help="Plain text, as with NO_COLOR."),
            click.option("-v", "--verbose", is_flag=True, help="Show tracebacks of errors."),
            click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        ):
            run = option(run)
        return click.command(name)(run)

    return decorate
