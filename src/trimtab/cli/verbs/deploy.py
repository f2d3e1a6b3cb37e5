"""`trimtab deploy`."""

import sys
import time
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from trimtab import errors
from trimtab.cli.api import Api, connect
from trimtab.cli.follow import Follower
from trimtab.cli.names import deployments, releases
from trimtab.cli.screen import DONE, FAILED, ROLLED_BACK, Screen, verb, yes_option
from trimtab.views.shapes import (
    DeployView,
    HistoryView,
    ReleasesView,
    RolloutView,
    StatusView,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was typed. `wait` None means on a terminal only."""

    release: str | None
    strategy: str | None
    wait: bool | None
    timeout: float | None
    reason: str


@verb("deploy")
@click.argument("deployment", shell_complete=deployments)
@click.option("--release", shell_complete=releases, help="MODEL@N or a digest; default: newest.")
@click.option(
    "--strategy", type=click.Choice(["canary", "steps", "shadow", "now"]), help="How it goes out."
)
@click.option("--wait/--no-wait", default=None, help="Follow the rollout; default on a terminal.")
@click.option("--timeout", type=float, help="Seconds to follow.")
@click.option("--reason", default="", help="Why, for the journal.")
@yes_option
def command(screen: Screen, deployment: str, yes: bool, **options: Any) -> None:
    """Begin a rollout and follow it, or follow the one of the same release that is in progress.

    Exit code 5 means that the guard rolled the release back.
    """
    asked = Asked(**options)
    api, started = connect(), time.monotonic()
    chosen = asked.release or _newest(api, deployment)
    screen.confirm(f"deploy {chosen} to {deployment}?", yes)
    view = api.post(
        DeployView,
        *("deployments", deployment, "deploy"),
        release=chosen,
        strategy=asked.strategy,
        reason=asked.reason,
    )
    follow = sys.stderr.isatty() if asked.wait is None else asked.wait
    if not (follow and view.rollout):
        screen.show(view)
        return
    screen.say(f"deploy {chosen} to {deployment} (undo: {view.undo})")
    ended = Follower(api, screen, deployment, view.rollout.id).wait(asked.timeout)
    seconds = time.monotonic() - started
    screen.show(msgspec.structs.replace(view, rollout=ended, undo="", seconds=seconds))
    if ended.outcome == "promoted":
        raise SystemExit(DONE)
    screen.say(_told(ended, _reason(api, deployment, ended.release), deployment))
    raise SystemExit(ROLLED_BACK if ended.outcome == "rolled_back" else FAILED)


def _told(ended: RolloutView, reason: str, deployment: str) -> str:
    """How a rollout ended that did not end well."""
    outcome = (ended.outcome or "ended").replace("_", " ")
    because = f": {reason}" if reason else ""
    return f"{ended.release} was {outcome}{because}\nhint: trimtab why {deployment}"


def _reason(api: Api, deployment: str, release: str) -> str:
    """What the journal says of the newest end of a rollout of `release`."""
    known = api.get(HistoryView, "history", deployment=deployment, limit=50).events
    ends = [event for event in known if (event.kind, event.release) == ("rollout_ended", release)]
    return max(ends, key=lambda event: event.seq).reason if ends else ""


def _newest(api: Api, deployment: str) -> str:
    model = api.get(StatusView, "status", deployment).deployments[0].model
    known = api.get(ReleasesView, "releases", model=model).releases
    if known:
        return max(known, key=lambda view: view.number).release
    raise errors.NotFound(
        errors.NO_SUCH_RELEASE,
        "deploy",
        deployment,
        f"model {model} has no release yet",
        unchanged="what serves is as it was",
        hint=f"trimtab build {model}",
    )
