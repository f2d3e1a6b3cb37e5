"""Requests for the workers of sleeping deployments, left by gateways as files."""

import contextlib
from pathlib import Path

from trimtab.domain import layout


class Wakes:
    """The files below `run/wake`. One stays until its deployment is awake, whoever dies."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def asked(self, deployment: str) -> bool:
        """Whether a request waits for the deployment's workers."""
        return (self._home / layout.wake(deployment)).exists()

    def answered(self, deployment: str) -> None:
        """The deployment is awake."""
        with contextlib.suppress(OSError):
            (self._home / layout.wake(deployment)).unlink()
