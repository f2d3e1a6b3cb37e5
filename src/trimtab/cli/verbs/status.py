"""`trimtab status`."""

import sys
import time

import click
import msgspec

from trimtab.cli.api import Api, connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import DONE, FAILED, Screen, console, verb
from trimtab.views.shapes import StatusView
from trimtab.views.text import render

REPAINT_SECONDS = 0.5


@verb("status")
@click.argument("deployment", required=False, shell_complete=deployments)
@click.option("-w", "--watch", is_flag=True, help="Keep showing it until Ctrl-C.")
@click.option("--timeout", type=float, help="Seconds to watch.")
def command(screen: Screen, deployment: str | None, watch: bool, timeout: float | None) -> None:
    """What serves, how it is judged, and why not yet."""
    api = connect()
    status = _read(api, deployment)
    if watch:
        status = _watch(screen, api, deployment, timeout)
    else:
        screen.show(status)
    unhealthy = any(view.state in ("degraded", "down") for view in status.deployments)
    raise SystemExit(FAILED if unhealthy else DONE)


def _read(api: Api, deployment: str | None) -> StatusView:
    return api.get(StatusView, "status", *([] if deployment is None else [deployment]))


def _watch(screen: Screen, api: Api, deployment: str | None, timeout: float | None) -> StatusView:
    """Repaint on a terminal; elsewhere show it again whenever it changed."""
    end = None if timeout is None else time.monotonic() + timeout
    status = _read(api, deployment)
    paint = _painter(screen, status)
    try:
        while end is None or time.monotonic() < end:
            time.sleep(REPAINT_SECONDS)
            status = _read(api, deployment)
            paint(status)
    except KeyboardInterrupt:
        pass
    finally:
        paint.close()
    return status


class Lines:
    """Shows a status that differs from the last one, times of looking aside."""

    def __init__(self, screen: Screen, status: StatusView) -> None:
        self._screen = screen
        self._last = self._essence(status)
        screen.show(status)

    def __call__(self, status: StatusView) -> None:
        if self._essence(status) != self._last:
            self._last = self._essence(status)
            self._screen.show(status)

    def close(self) -> None:
        """Nothing is open."""

    @staticmethod
    def _essence(status: StatusView) -> StatusView:
        views = (msgspec.structs.replace(view, at=None, blocks=None) for view in status.deployments)
        asides = {"at": None, "observed_at": None, "routed": True}
        return msgspec.structs.replace(status, **asides, deployments=tuple(views))


class Paint:
    """Repaints in place."""

    def __init__(self, status: StatusView) -> None:
        from rich.live import Live

        self._live = Live(render(status), console=console(), auto_refresh=False)
        self._live.start(refresh=True)

    def __call__(self, status: StatusView) -> None:
        self._live.update(render(status), refresh=True)

    def close(self) -> None:
        """Leave the last picture standing."""
        self._live.stop()


def _painter(screen: Screen, status: StatusView) -> "Paint | Lines":
    plain = screen.as_json or not sys.stdout.isatty()
    return Lines(screen, status) if plain else Paint(status)
