"""`trimtab rollback`."""

import click

from trimtab.cli.api import Api, connect
from trimtab.cli.names import deployments, releases
from trimtab.cli.screen import Screen, verb, yes_option
from trimtab.views.shapes import DeployView, StatusView


@verb("rollback")
@click.argument("deployment", shell_complete=deployments)
@click.option("--to", shell_complete=releases, help="A proven release; default: the one before.")
@click.option("--reason", default="", help="Why, for the journal.")
@yes_option
def command(screen: Screen, deployment: str, to: str | None, reason: str, yes: bool) -> None:
    """Go back to the release before, now."""
    api = connect()
    if screen.asks(yes):
        # Who is asked means the release that the question names, whatever serves meanwhile: the
        # second of two people on call would go back to what the first one left.
        now, to = _meant(api, deployment, to)
        screen.confirm(
            f"roll {deployment} back{f' from {now}' if now else ''}{f' to {to}' if to else ''}?",
            yes,
        )
    screen.show(api.post(DeployView, "deployments", deployment, "rollback", to=to, reason=reason))


def _meant(api: Api, deployment: str, to: str | None) -> tuple[str | None, str | None]:
    """What would be left, and what would serve; None of what there is not."""
    view = api.get(StatusView, "status", deployment).deployments[0]
    stable = view.stable.release if view.stable else None
    if view.rollout is not None and view.rollout.state != "bake" and to in (None, stable):
        return view.rollout.release, stable
    return stable, to or view.rollback.target
