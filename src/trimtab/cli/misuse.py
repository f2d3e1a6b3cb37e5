"""A command line that no verb takes, told where JSON was asked for as every other error is."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click
from click.core import ParameterSource

from trimtab import errors

FLAG = "--json"


def wants_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, however wrong the rest of it is."""
    options = words[: words.index("--")] if "--" in words else words
    return FLAG in options


def refuse(why: str, names: Collection[str]) -> None:
    """Raises `click.UsageError` for an option of these that was typed, and would change nothing."""
    ctx = click.get_current_context()
    for option in ctx.command.params:
        typed = ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if option.name in names and typed:
            raise click.UsageError(f"{option.opts[0]} {why}", ctx)


@contextmanager
def misuse_told(as_json: bool) -> Iterator[None]:
    """Within it, usage errors end as ever, but print the `error` shape first if `as_json`."""
    try:
        yield
    except click.UsageError as error:
        if not as_json:
            raise
        raise _Told(error) from error


class _Told(click.ClickException):
    """A usage error that shows itself on both streams."""

    exit_code = click.UsageError.exit_code

    def __init__(self, error: click.UsageError) -> None:
        super().__init__(error.message)
        self._error = error

    def show(self, file: IO[Any] | None = None) -> None:
        """JSON on stdout, and what a person reads on stderr."""
        from trimtab.views.encode import error_view, to_json

        click.echo(to_json(error_view(_as_error(self._error))).decode())
        self._error.show(file)


def _as_error(error: click.UsageError) -> errors.Usage:
    path = error.ctx.command_path if error.ctx is not None else "trimtab"
    return errors.Usage(
        errors.WRONG_USAGE,
        "read command line",
        path,
        error.format_message().rstrip("."),
        unchanged="nothing was done",
        hint=f"{path} --help",
    )
