"""`trimtab score`."""

import time
from pathlib import Path

import click

from trimtab.cli.names import deployments
from trimtab.cli.project import agent_facts
from trimtab.cli.screen import Screen, verb
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
    done = score(order, told)
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
