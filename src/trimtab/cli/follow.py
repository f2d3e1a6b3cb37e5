"""Following a rollout to its end."""

import time
from dataclasses import dataclass

from trimtab import errors
from trimtab.cli.api import Api
from trimtab.cli.screen import Screen
from trimtab.views import words
from trimtab.views.shapes import DeploymentView, RolloutView, StatusView

POLL_SECONDS = 0.3
ROUTED_SECONDS = 5.0
"""For how long a rollout that ended is waited for to be what every gateway routes by."""
PATIENCE_SECONDS = 30.0
"""For how long a server that is away is waited for where no longer time was asked for."""


@dataclass(slots=True)
class Follower:
    """Narrates one rollout; a server that is away for a short while is waited for."""

    api: Api
    screen: Screen
    deployment: str
    rollout: str
    _said: str = ""
    _heard: float = 0.0
    _over: float | None = None

    def wait(self, timeout: float | None) -> RolloutView:
        """The rollout once it ended and gateways answer accordingly.

        Raises `TimedOut` TT-602, and the rollout goes on then; `Unavailable` TT-109 where the
        server has long been away when the time is over."""
        end = None if timeout is None else time.monotonic() + timeout
        self._heard = time.monotonic()
        while True:
            status = self._look(end)
            ended = status and self._ended(status.deployments[0])
            late = end is not None and time.monotonic() >= end
            if status and ended and (late or self._settled(status)):
                return ended
            if late:
                raise self._late(timeout or 0.0)
            time.sleep(POLL_SECONDS)

    def _settled(self, status: StatusView) -> bool:
        """Whether the next request is answered by how the rollout ended."""
        now = time.monotonic()
        if self._over is None:
            self._over = now
        return status.routed or now - self._over >= ROUTED_SECONDS

    def _look(self, end: float | None) -> StatusView | None:
        try:
            status = self.api.get(StatusView, "status", self.deployment)
        except errors.Unavailable:
            now = time.monotonic()
            if now - self._heard > PATIENCE_SECONDS and (end is None or now >= end):
                raise
            return None
        self._heard = time.monotonic()
        return status

    def _ended(self, view: DeploymentView) -> RolloutView | None:
        if view.rollout is not None and view.rollout.id == self.rollout:
            self._narrate(view.rollout)
            return None
        if view.last_rollout is not None and view.last_rollout.id == self.rollout:
            return view.last_rollout
        return RolloutView(
            id=self.rollout, release="", strategy="", state="ended", step=0, outcome="superseded"
        )

    def _narrate(self, rollout: RolloutView) -> None:
        share = f" at {words.percent(rollout.weight_ratio)}" if rollout.state == "canary" else ""
        paused = "paused in " if rollout.paused else ""
        wait = f": {rollout.waiting_for}" if rollout.waiting_for else ""
        line = f"{rollout.release} {paused}{rollout.state}{share}"
        if line != self._said:
            self._said = line
            self.screen.say(f"  {line}{wait}")

    def _late(self, seconds: float) -> errors.TimedOut:
        return errors.TimedOut(
            errors.ROLLOUT_IN_PROGRESS,
            "wait for",
            self.rollout,
            f"it has not ended after {words.span(seconds)}",
            unchanged="the rollout goes on, and so does the guard",
            hint=f"trimtab status {self.deployment}",
        )
