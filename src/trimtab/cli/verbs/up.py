"""`trimtab up`."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli.project import agent_facts
from trimtab.cli.screen import Screen, verb
from trimtab.views import places
from trimtab.views.shapes import UpView

if TYPE_CHECKING:
    from trimtab.agent.options import AgentEvent


@verb("up")
def command(screen: Screen) -> None:
    """Start the system: gateway, workers, control loop, dashboard. Ctrl-C ends it."""
    from trimtab.app import node
    from trimtab.app.projects import open_project

    project = open_project(Path.cwd(), os.environ)
    node.up(project, partial(report, screen, str(project.home)))


def report(screen: Screen, home: str, event: "AgentEvent") -> None:
    """Tell an event, as long as somebody listens: a terminal that was closed ends the system in
    order, and not by what cannot be told to it."""
    try:
        narrate(screen, home, event)
    except OSError:
        _fall_silent()


def narrate(screen: Screen, home: str, event: "AgentEvent") -> None:
    """Tell an event, and where the system listens once it does."""
    screen.say(f"{event.kind:9} {event.name}: {event.text}")
    if event.kind == "listening":
        facts = agent_facts(Path(home))
        where = (facts.inference, facts.admin, facts.pid, home)
        tell(screen, UpView(*where, facts.grpc, facts.limits))


def _fall_silent() -> None:
    nobody = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nobody, stream)
    os.close(nobody)


def tell(screen: Screen, view: UpView) -> None:
    """Where the system listens; in plain lines for a person, as this process stays."""
    if screen.as_json:
        screen.show(view)
    else:
        click.echo(places.told(view))
