"""Python environments made from locks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from trimtab.domain.release import EnvironmentLock


class Environments(Protocol):
    """Locks requirements and turns locks into environments, shared by the lock's digest."""

    def lock(self, requirements: Sequence[str]) -> EnvironmentLock:
        """Resolve requirement lines to exact versions with hashes. Raises `Usage` TT-301."""
        ...

    def fits(self, lock: EnvironmentLock) -> bool:
        """Whether `lock` would be for the same interpreter and platform now."""
        ...

    def materialise(self, lock: EnvironmentLock) -> Path:
        """The interpreter of the environment, building it once per machine.

        Safe to call from several processes at once; an unfinished environment is never visible.
        Raises `Permanent` TT-303, or `Integrity` TT-302 when an existing one was changed."""
        ...

    def examine(self, lock: EnvironmentLock) -> None:
        """Compare every file of an environment with its wheel's record, which takes seconds: for
        when something failed in it. Raises `Integrity` TT-302."""
        ...

    def rebuild(self, lock: EnvironmentLock, folder: Path) -> Path:
        """A private, uncached environment in `folder`, for `reproduce`; returns its interpreter."""
        ...
