"""`trimtab completion`."""

import click
from click.shell_completion import get_completion_class

from trimtab.cli.screen import Screen, verb


@verb("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, screen: Screen, shell: str) -> None:
    """Print the completion script of a shell.

    For bash: eval "$(trimtab completion bash)" in ~/.bashrc.
    """
    made = get_completion_class(shell)
    assert made is not None
    root = ctx.find_root().command
    click.echo(made(root, {}, "trimtab", "_TRIMTAB_COMPLETE").source())
