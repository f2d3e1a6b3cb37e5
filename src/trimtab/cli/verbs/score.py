"""`trimtab score`."""

import os
import time
from pathlib import Path
from typing import NoReturn

import click

from trimtab.cli.names import deployments
from trimtab.cli.project import agent_facts
from trimtab.cli.screen import FAILED, Screen, verb
from trimtab.views.sent_shapes import ScoreView

SAY_SECONDS = 2.0


@verb("score")
@click.argument("deployment", shell_complete=deployments)
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--prefix", default="", help="Put before the names of the new columns.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Most requests at once; fewer while the server has no room.",
)
def command(
    screen: Screen, deployment: str, source: Path, output: Path, prefix: str, concurrency: int
) -> None:
    """Score a table through the batch lane.

    Parquet or CSV, in and out. The result has the columns of the table, the outputs of the model,
    and per row the release that answered, the request's id and the row in it. After a crash, run
    the same command again: finished rows are kept in OUTPUT.scoring until the result is whole.
    """
    from trimtab.scoring.run import Order, Progress, score

    begun = last = time.monotonic()

    def told(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SAY_SECONDS:
            last = now
            rate = (progress.rows - progress.resumed) / (now - begun)
            late = f"; answers that came too late: {progress.late:,}" if progress.late else ""
            screen.say(f"{progress.rows:,} rows scored, {rate:,.0f} a second{late}")

    order = Order(agent_facts().inference, deployment, source, output, prefix, concurrency)
    try:
        done = score(order, told)
    except KeyboardInterrupt:
        _leave(screen, output)
    seconds = time.monotonic() - begun
    screen.show(
        ScoreView(
            deployment,
            str(output),
            done.rows,
            done.resumed,
            (done.rows - done.resumed) / seconds,
            done.refusals,
            dict(done.releases),
            seconds,
        )
    )


def _leave(screen: Screen, output: Path) -> NoReturn:
    """End at once: a server that hangs or is away would be waited for by threads that ask it."""
    from trimtab.scoring.work import folder_of

    folder = folder_of(output)
    kept = f"finished rows stay in {folder}, and the same command goes on from there"
    screen.say(f"interrupted: {kept if folder.exists() else 'no row was sent'}")
    os._exit(FAILED)
