"""`trimtab init`."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from trimtab import errors
from trimtab.cli.screen import Screen, verb
from trimtab.domain.names import checked_name
from trimtab.views.shapes import InitView

TEMPLATE_NAME = "my-model"


@verb("init")
@click.argument("name")
def command(screen: Screen, name: str) -> None:
    """Make a small project that runs as it is, in a new folder NAME."""
    checked_name(name, "model")
    folder = Path(name)
    template = [item for item in _template().iterdir() if item.is_file()]
    made = {_target(item): item for item in template}
    _refuse_to_overwrite(folder, made)
    folder.mkdir(exist_ok=True)
    for target, item in sorted(made.items()):
        text = item.read_text(encoding="utf-8").replace(TEMPLATE_NAME, name)
        (folder / target).write_text(text, encoding="utf-8")
    steps = (f"cd {name}", f"trimtab build {name}", "trimtab up")
    screen.show(InitView(str(folder), tuple(sorted(made)), steps))


def _template() -> Traversable:
    return resources.files("trimtab.project_template").joinpath("files")


def _target(item: Traversable) -> str:
    """A packaged `gitignore` must not act on the package itself."""
    return ".gitignore" if item.name == "gitignore" else item.name


def _refuse_to_overwrite(folder: Path, made: dict[str, Traversable]) -> None:
    present = sorted(target for target in made if (folder / target).exists())
    if present:
        raise errors.Refused(
            errors.PROJECT_EXISTS,
            "init",
            folder.name,
            f"{present[0]} is there already",
            unchanged="no file was written",
            hint="choose another name",
        )
    if folder.exists() and not folder.is_dir():
        raise errors.Refused(
            errors.PROJECT_EXISTS,
            "init",
            folder.name,
            "it is a file",
            "no file was written",
            "choose another name",
        )
