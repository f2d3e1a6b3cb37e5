"""`trimtab monitor`."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from trimtab import errors
from trimtab.cli.misuse import refuse
from trimtab.cli.names import deployments
from trimtab.cli.screen import DONE, FAILED, Screen, verb

SAID = ("target", "score", "prediction", "time", "positive", "false_alarms", "block")
LOSS = ("loss", "loss_bound")
OF_LOG = {"since", "block"}
LISTS = ("segments", "groups", "ignore", "quality")


@verb("monitor")
@click.argument("deployment", required=False, shell_complete=deployments)
@click.option("--since", help="Only answers from then on: RFC 3339, or the last of the log: 7d.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report as one HTML file.",
)
@click.option("--reference", help="Instead of a deployment: a Parquet, Arrow or CSV file.")
@click.option("--live", multiple=True, help="The files to judge against it; patterns too.")
@click.option("--target", help="Column of the truth, missing where not known yet.")
@click.option("--score", help="Column of the probability of the positive class.")
@click.option("--prediction", help="Column of the predicted class or number.")
@click.option("--time", help="Column of the event time.")
@click.option("--positive", help="The label that a score is of.")
@click.option("--segments", default="", help="Text columns to look into, by comma.")
@click.option("--groups", default="", help="Protected columns, compared for bias, by comma.")
@click.option("--ignore", default="", help="Columns that mean nothing, by comma.")
@click.option("--false-alarms", help='False pages that are tolerated, such as "1 per month".')
@click.option("--block", help="Length of a block: a duration, or rows where there is no time.")
@click.option("--quality", default="", help="Metrics to judge, by comma: roc_auc, recall, …; none.")
@click.option("--loss", metavar="FORMULA", help="A loss of your own, for the metric loss.")
@click.option("--loss-bound", type=float, help="The largest loss; 1 if nothing is said.")
def command(screen: Screen, deployment: str | None, html: Path | None, **given: Any) -> None:
    """Judge a deployment's log, or live files against a reference.

    The same judgement as that of the running system, which need not run. Ends with 1 when
    something is bad.
    """
    from trimtab.monitoring.report import Report

    report: Report
    if (deployment is None) == (given["reference"] is None):
        raise _wrong("give either a deployment or --reference with --live")
    if deployment is None:
        refuse("goes with a deployment, whose log it cuts", {"since"})
    else:
        refuse("goes with --reference; a deployment has it already", given.keys() - OF_LOG)
    report = _of_files(screen, given) if deployment is None else _of_log(deployment, given)
    if html is not None:
        report.html(html)
        screen.say(f"wrote {html}")
    import trimtab.views.report_text  # noqa: F401, so that the screen knows the view

    screen.show(report.view)
    raise SystemExit(FAILED if report.verdict == "bad" else DONE)


def _of_log(deployment: str, given: dict[str, Any]) -> Any:
    from trimtab.app.monitoring import logged
    from trimtab.app.projects import open_project
    from trimtab.monitoring.served import monitor_deployment

    since, last = _since(given["since"])
    project = open_project(Path.cwd(), os.environ)
    return monitor_deployment(logged(project, deployment, since, last), given["block"])


def _of_files(screen: Screen, given: dict[str, Any]) -> Any:
    from trimtab.monitoring.run import monitor

    if not given["live"]:
        raise _wrong("--reference needs --live")
    options = {name: given[name] for name in (*SAID, *LOSS) if given[name] is not None}
    options |= {name: _listed(given[name]) for name in LISTS if given[name]}
    if str(options.get("block", "")).isdecimal():
        options["block"] = int(options["block"])
    return monitor(given["reference"], list(given["live"]), narrate=screen.say, **options)


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _since(text: str | None) -> tuple[float | None, float | None]:
    """An event time, or seconds back from the end of the log."""
    from trimtab.domain.settings import DURATION

    if text is None:
        return None, None
    try:
        return None, float(DURATION.parse(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(f"--since {text} is neither a time nor a duration") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), None


def _wrong(problem: str) -> errors.Usage:
    return errors.Usage(
        errors.BAD_VALUE, "monitor", "options", problem, "nothing was judged", "trimtab monitor -h"
    )
