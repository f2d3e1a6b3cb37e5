"""`trimtab label`."""

import time
import warnings
from itertools import islice
from typing import TextIO

import click

from trimtab.cli.labels import read_labels
from trimtab.cli.names import deployments
from trimtab.cli.project import agent_facts
from trimtab.cli.screen import Screen, verb
from trimtab.client import Client, LabelWarning
from trimtab.views.sent_shapes import LabelView

BATCH = 1000


@verb("label")
@click.argument("deployment", shell_complete=deployments)
@click.argument("file", type=click.File(encoding="utf-8-sig"))
@click.option("--source", help="Who sends these labels: one that errs is told from the others.")
def command(screen: Screen, deployment: str, file: TextIO, source: str | None) -> None:
    """Send the truth about past predictions: CSV or JSON lines, `-` for standard input.

    Columns: label, and either id (of the request) with row, or key; optionally at (RFC 3339).
    """
    started, accepted = time.monotonic(), 0
    labels = read_labels(file, getattr(file, "name", "-"))
    with Client(agent_facts().inference) as client, warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always", LabelWarning)
        while batch := list(islice(labels, BATCH)):
            accepted += client.label(deployment, batch, source=source)
    for doubt in dict.fromkeys(str(doubt.message) for doubt in doubts):
        screen.say(f"warning: {doubt}")
    seconds = time.monotonic() - started
    screen.show(LabelView(deployment, accepted, seconds, client.unusable))
