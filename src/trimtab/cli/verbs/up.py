"""`trimtab up`."""

import os
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

    def report(event: "AgentEvent") -> None:
        screen.say(f"{event.kind:9} {event.name}: {event.text}")
        if event.kind == "listening":
            facts = agent_facts()
            home = str(project.home)
            where = (facts.inference, facts.admin, facts.pid, home)
            tell(screen, UpView(*where, facts.grpc, facts.limits))

    node.up(project, report)


def tell(screen: Screen, view: UpView) -> None:
    """Where the system listens; in plain lines for a person, as this process stays."""
    if screen.as_json:
        screen.show(view)
    else:
        click.echo(places.told(view))
