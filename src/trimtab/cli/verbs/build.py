"""`trimtab build`."""

import os
from pathlib import Path
from typing import Any

import click

from trimtab import errors
from trimtab.cli.api import connect
from trimtab.cli.misuse import refuse
from trimtab.cli.screen import Screen, verb
from trimtab.domain.names import checked_name
from trimtab.views.shapes import StatusView

FORMATS = ("skops", "onnx", "xgboost", "lightgbm", "python", "joblib", "pickle")
PATIENCE_SECONDS = 2.0
_FILE = click.Path(path_type=Path)


@verb("build")
@click.argument("name")
@click.option("--model", metavar="FILE|module:attr", help="Default: run the model's pipeline.")
@click.option("--format", type=click.Choice(FORMATS), help="Default: by the file's ending.")
@click.option("--features", metavar="module:function", help="Feature code.")
@click.option("--reference", type=_FILE, help="Parquet or CSV that the model was not fitted on.")
@click.option("--target", metavar="COLUMN", help="Column with the label.")
@click.option("--positive", metavar="V", help="The label that counts as positive.")
@click.option("--time", metavar="COLUMN", help="Column with the event time.")
@click.option("--key", metavar="COLUMN", help="Column that labels may be keyed by.")
@click.option("--segments", default="", metavar="a,b", help="Columns to profile by group.")
@click.option("--groups", default="", metavar="a,b", help="Protected columns, to watch for bias.")
@click.option("--loss", metavar="FORMULA", help="A loss of your own, to know it of the reference.")
@click.option(
    "--loss-bound",
    type=click.FloatRange(0.0, min_open=True),
    default=1.0,
    help="The largest loss.",
    show_default=True,
)
@click.option("--requirements", type=_FILE, help="Requirements of the environment.")
@click.option("--trust", type=click.Choice(["code"]), help="Allow formats that run code.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "native"]),
    help="auto: serve a faster engine that is proven equal. Default: auto, or the model's setting.",
)
@click.option("--set", "config", multiple=True, metavar="K=V", help="A setting of the release.")
def command(screen: Screen, name: str, **options: Any) -> None:
    """Make a release from a model, or by its pipeline."""
    from trimtab.app.projects import open_project
    from trimtab.app.releases import build_release
    from trimtab.app.runs import run_pipeline
    from trimtab.building import Asked, request

    if options["model"] is None:
        why = "goes with --model; a pipeline has it from trimtab.toml"
        refuse(why, options.keys() - {"model", "engine"})
    config = dict(_setting(pair) for pair in options.pop("config"))
    asked = Asked(name=checked_name(name, "model"), config=config, **options)
    project = open_project(Path.cwd(), os.environ)
    if asked.model is None:
        view = run_pipeline(project, name, screen.say, asked.engine)
    else:
        view = build_release(project, request(asked, Path.cwd()), screen.say)
    screen.show(view)
    serving = [spec.name for spec in project.config.deployments if spec.model == name]
    screen.say(f"next: {following(view.release, name, serving)}")


def following(release: str, model: str, serving: list[str]) -> str:
    """What lets the release out: a deployment of its model, a running server, a rollout of it."""
    if not serving:
        added = f'add [deployment.{model}] with model = "{model}" to trimtab.toml'
        return f"{added}, and start trimtab up again"
    order = f"trimtab deploy {serving[0]} --release {release}"
    try:
        running = connect(PATIENCE_SECONDS).get(StatusView, "status").deployments
    except errors.TrimtabError:
        return f"trimtab up, and in a second terminal: {order}"
    known = any(view.name == serving[0] for view in running)
    return order if known else f"start trimtab up again, and in a second terminal: {order}"


def _setting(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--set")
    return name, value
