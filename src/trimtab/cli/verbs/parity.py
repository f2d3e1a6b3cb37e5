"""`trimtab parity`."""

from pathlib import Path

import click

from trimtab import errors
from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.project import agent_facts
from trimtab.cli.screen import DONE, FAILED, Screen, verb
from trimtab.domain.settings import DURATION

PATIENCE_SECONDS = 300.0


@verb("parity")
@click.argument("deployment", shell_complete=deployments)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--time", "moment", help="Column of the time that the values stand for; else `at`.")
@click.option(
    "--within",
    default="1h",
    show_default=True,
    help="How far from its answer that time may be: a duration.",
)
def command(screen: Screen, deployment: str, file: Path, moment: str | None, within: str) -> None:
    """Compare what was served with what training computes for the same answers.

    FILE is Parquet or CSV: inputs of the model under their names, as the training pipeline makes
    them, and what names the answer, either id (of the request) with row, or the column of
    monitor.key. Other columns are ignored. Ends with 1 when no row could be compared.
    """
    from trimtab.cli.parity import compared, named, opened
    from trimtab.client import Client
    from trimtab.scoring.fit import Deployment

    api, seconds = connect(PATIENCE_SECONDS), _seconds(within)
    with Client(agent_facts().inference) as client:
        asked = Deployment.ask(client, deployment)
    source = opened(file, asked)
    names = source.schema.names
    columns = named(names, asked, moment)
    if ignored := columns.ignored(names):
        screen.say(f"ignored, for they are no inputs of {deployment}: {', '.join(ignored)}")
    view = compared(api, deployment, source, columns, seconds)
    screen.show(view)
    raise SystemExit(DONE if view.compared or view.repeated else FAILED)


def _seconds(within: str) -> float:
    try:
        return float(DURATION.parse(within))
    except ValueError:
        raise errors.Usage(
            errors.BAD_VALUE,
            "compare",
            "--within",
            f"{within!r} is not a duration",
            unchanged="nothing was compared",
            hint="for example --within 10m",
        ) from None
