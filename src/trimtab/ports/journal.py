"""The append-only history, the state it folds to, and what must be done because of it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from trimtab.domain.events import Effect, Entry, NewEntry


class Past(Protocol):
    """Entries from the newest back. What a question costs follows from what it is answered with,
    not from how many entries there are. Raises `Integrity` TT-501 for what is no entry any more."""

    def newest(
        self,
        limit: int | None,
        deployment: str | None = None,
        kinds: Sequence[str] = (),
        before: int | None = None,
    ) -> tuple[Entry, ...]:
        """The newest `limit` entries (all of them for None) with `seq` < `before`, in order: of a
        deployment if one is named, and of some kinds of events if any are."""
        ...

    def about(self, subjects: Collection[str]) -> tuple[Entry, ...]:
        """The newest entry of each kind about each of these incidents or runs, in order."""
        ...


class Journal(Past, Protocol):
    """Hash-chained entries with an outbox, fenced by the leader's epoch."""

    def lead(self, holder: str, now: float) -> int:
        """Become the leader; returns the new epoch. Writes of older epochs are refused."""
        ...

    def commit(
        self, epoch: int, entries: Sequence[NewEntry], effects: Sequence[Effect]
    ) -> tuple[Entry, ...]:
        """Append entries and queue effects in one transaction.

        An effect whose id was queued before is ignored. Raises `Conflict` TT-502 when `epoch` is
        not the newest, `Permanent` TT-503 when the database fails (nothing is then written)."""
        ...

    def entries(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """Entries with `seq` > `after`, in order. Raises as `Past`."""
        ...

    def pending(self) -> tuple[Effect, ...]:
        """Effects that are queued and not yet done."""
        ...

    def done(self, epoch: int, effect_id: str) -> None:
        """Mark an effect as carried out; idempotent."""
        ...

    def verify(self, after: int = 0, limit: int | None = None) -> int:
        """Check the hash chain of `limit` entries with `seq` > `after`, taking the hash of `after`
        as it is; returns the last `seq` that is sound. Raises `Integrity` TT-501."""
        ...

    def save(self, epoch: int, key: str, value: bytes) -> None:
        """Keep a derived snapshot (monitor state, cursors) under `key`, replacing the old one."""
        ...

    def load(self, key: str) -> bytes | None:
        """The snapshot kept under `key`."""
        ...
