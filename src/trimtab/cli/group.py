"""The group of verbs; a verb's file is imported when it is called, so that help is instant."""

import difflib
import importlib
import io
import sys
from collections.abc import Sequence
from typing import Any

import click

from trimtab.cli.misuse import misuse_told, wants_json

VERBS: dict[str, str] = {
    "init": "Make a small project that runs as it is.",
    "up": "Start the system: gateway, workers, control loop, dashboard.",
    "demo": "The whole story on a year of real flights.",
    "build": "Make a release from a model, or by its pipeline.",
    "releases": "List releases.",
    "show": "Show everything about one release.",
    "deploy": "Begin a rollout and follow it.",
    "status": "What serves, how it is judged, and why not yet.",
    "plan": "What 1, 10 and 100 times today's load would need.",
    "promote": "Take the rollout to its next step now.",
    "pause": "Keep the rollout where it is; the guard stays on.",
    "resume": "Let a paused rollout advance again.",
    "abort": "Give the rollout up; stable keeps serving.",
    "rollback": "Go back to the release before, now.",
    "why": "Explain incidents: cause, what was ruled out, action, undo.",
    "samples": "Requests that show what an incident is about.",
    "monitor": "Judge a deployment's log, or live files against a reference.",
    "history": "The journal: every decision and human action.",
    "audit": "List the predictions whose truth an audit asks for.",
    "label": "Send the truth about past predictions.",
    "parity": "Compare what was served with what training computes.",
    "score": "Score a table through the batch lane.",
    "retrain": "Make the release again on the labels known by now.",
    "runs": "List pipeline runs.",
    "reproduce": "Make a release again in a clean environment and compare.",
    "check": "Check trimtab.toml and the files it names.",
    "completion": "Print the completion script of a shell.",
}


_AS_JSON = "trimtab.json"
"""Where the context holds whether errors are JSON, before a verb has read its own options."""


class Verbs(click.Group):
    """Knows names and one-line helps without importing any verb."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read what stands before the verb."""
        as_json = wants_json(args)
        with misuse_told(as_json):
            ctx = super().make_context(info_name, args, parent, **extra)
        ctx.meta[_AS_JSON] = as_json
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        """Read what stands after it, and do it."""
        with misuse_told(ctx.meta[_AS_JSON]):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of a first day."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb's file."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"trimtab.cli.verbs.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a verb; of a name that is none, say which was meant."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"No such verb '{args[0]}'.{_meant(args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def _meant(name: str) -> str:
    """Verbs that are written alike, otherwise those whose help speaks of it."""
    alike = difflib.get_close_matches(name, VERBS)
    about = [verb for verb, told in VERBS.items() if name.lower() in told.lower()]
    meant = [f"'{verb}'" for verb in alike or about[:3]]
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trimtab", message="trimtab %(version)s")
def trimtab() -> None:
    """Deploy, watch and roll back model releases by judged evidence.

    Every verb takes --json. Exit codes: 0 done or healthy, 1 failed or unhealthy, 2 wrong usage,
    3 the server cannot be started or reached, 4 timed out, 5 rolled back by the guard.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """The `trimtab` command. What a terminal of few letters cannot show is a `?`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    trimtab(args=arguments, prog_name="trimtab")
