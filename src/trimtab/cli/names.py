"""Names that a shell completes, live from the running server; nothing when none runs."""

import click

from trimtab import errors
from trimtab.cli.api import connect
from trimtab.views.shapes import ReleasesView, StatusView

PATIENCE_SECONDS = 0.3


def deployments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Deployments whose name begins so."""
    try:
        status = connect(PATIENCE_SECONDS).get(StatusView, "status")
    except errors.TrimtabError:
        return []
    return [view.name for view in status.deployments if view.name.startswith(incomplete)]


def releases(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Releases whose name begins so."""
    try:
        known = connect(PATIENCE_SECONDS).get(ReleasesView, "releases")
    except errors.TrimtabError:
        return []
    return [view.release for view in known.releases if view.release.startswith(incomplete)]
