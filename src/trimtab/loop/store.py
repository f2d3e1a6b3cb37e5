"""The state in memory and the journal it comes from: what is recorded first is what is true.

The state is kept now and then with the number and the hash of the entry that it was folded up to.
A start goes on from there, however much is recorded before. What is kept is a copy: one that is
missing, damaged, of another journal or of another `FOLD` is not believed, and all is replayed.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec

from trimtab import errors
from trimtab.domain.events import Effect, Entry, NewEntry, ReleaseRegistered, kind_of
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.release import Manifest, Release
from trimtab.domain.rollout import Standing
from trimtab.domain.state import FOLD, DeploymentState, SystemState, evolve
from trimtab.judge.draft import Author
from trimtab.ports.blobs import Blobs
from trimtab.ports.catalog import Catalog
from trimtab.ports.clock import Clock
from trimtab.ports.journal import Journal

log = logging.getLogger(__name__)

BATCH = 1000
KEPT = "state"
"""Key of the kept state among the journal's snapshots."""
KEEP_EVERY = 1000
"""Entries after which it is kept again: replaying so many takes some hundredths of a second."""


class Kept(msgspec.Struct, frozen=True):
    """The state after entry `state.seq`, whose hash says which journal it is of."""

    fold: str
    hash: str
    state: SystemState


@cache
def fold() -> str:
    """How entries are folded, and the shape of what they fold to."""
    shape = msgspec.json.encode(_undescribed(msgspec.json.schema(SystemState)), order="sorted")
    return f"{FOLD}:{sha256(shape).hexdigest()}"


def _undescribed(schema: Any) -> Any:
    """A JSON schema without what it says to people."""
    if isinstance(schema, list):
        return [_undescribed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _undescribed(each) for name, each in schema.items() if name != "description"}


def recorded(journal: Journal, after: int = 0) -> Iterator[Entry]:
    """Entries with `seq` > `after`, in order, with no more than a batch in memory."""
    while entries := journal.entries(after, BATCH):
        yield from entries
        after = entries[-1].seq


def standing(release: Release) -> Standing:
    """The release as a deployment refers to it."""
    return Standing(release.digest, release.name, release.number)


class Store:
    """Journal, catalog and the state they fold to. Only entries that were committed change it."""

    def __init__(self, journal: Journal, catalog: Catalog, blobs: Blobs, clock: Clock) -> None:
        self.journal = journal
        self.catalog = catalog
        self._blobs = blobs
        self._clock = clock
        self.state = SystemState()
        self.epoch = 0
        self.releases: dict[Digest, Release] = {}
        self.replayed_from = 0
        """The entry whose kept state this process began with: up to there nothing was verified."""
        self._kept_at = 0
        self._hash = ""
        self._recorded: set[Digest] = set()

    @property
    def deployments(self) -> dict[str, DeploymentState]:
        """All deployments by name."""
        return self.state.deployments

    def lead(self, holder: str) -> None:
        """Take over: a new epoch, the state replayed, the catalog's releases all in the journal.

        Raises `Integrity` TT-501 when what is replayed is not what was recorded."""
        self._recall()
        self.journal.verify(max(self.replayed_from - 1, 0))
        self.epoch = self.journal.lead(holder, self._clock.now())
        self._fold(recorded(self.journal, self.state.seq))
        self._recorded = self._registered()
        for release in self.catalog.releases():
            self._record_release(release, Author())
        self._keep()

    def read(self) -> SystemState:
        """The recorded state, by who does not lead."""
        self._recall()
        self._fold(recorded(self.journal, self.state.seq))
        return self.state

    def commit(self, entries: Sequence[NewEntry], effects: Sequence[Effect] = ()) -> None:
        """Record, then fold. Raises `Conflict` TT-502 or `Permanent` TT-503, and then nothing
        has changed."""
        self._fold(self.journal.commit(self.epoch, entries, effects))
        self._keep()

    def _fold(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.state, self._hash = evolve(self.state, entry), entry.hash

    def _registered(self) -> set[Digest]:
        known = self.journal.newest(None, kinds=[kind_of(ReleaseRegistered)])
        events = (entry.event for entry in known)
        return {event.release.digest for event in events if isinstance(event, ReleaseRegistered)}

    def _recall(self) -> None:
        """Begin with the kept state, if the journal has the entry that it was kept at."""
        with contextlib.suppress(ValueError, errors.Integrity):
            kept = msgspec.json.decode(self.journal.load(KEPT) or b"", type=Kept)
            found = self.journal.entries(kept.state.seq - 1, 1)
            if kept.fold == fold() and [entry.hash for entry in found] == [kept.hash]:
                self.state, self._hash = kept.state, kept.hash
                self.replayed_from = self._kept_at = kept.state.seq

    def _keep(self) -> None:
        """Keep the state, now and then. What cannot be kept is kept later."""
        if self.state.seq - self._kept_at < KEEP_EVERY:
            return
        try:
            kept = Kept(fold(), self._hash, self.state)
            self.journal.save(self.epoch, KEPT, msgspec.json.encode(kept))
            self._kept_at = self.state.seq
        except errors.TrimtabError as error:
            log.warning("the state is not kept, a start would take longer: %s", error)

    def register(self, digest: Digest, author: Author) -> Release:
        """Register the release whose manifest is the blob `digest`; again changes nothing.

        Raises `Integrity` TT-208 or TT-209 when the bytes are not what the digest says, and
        `NotFound` TT-201 when they are no manifest."""
        known = self.releases.get(digest)
        if known is not None:
            return known
        release = self.catalog.register(digest, self._manifest(digest), self._clock.now())
        self._record_release(release, author)
        return release

    def _manifest(self, digest: Digest) -> Manifest:
        try:
            return msgspec.json.decode(self._blobs.get(digest), type=Manifest)
        except ValueError as error:
            raise errors.NotFound(
                errors.NO_SUCH_RELEASE,
                "register",
                digest,
                f"the blob is no release manifest: {error}",
                unchanged="nothing was registered",
                hint="trimtab build",
            ) from error

    def _record_release(self, release: Release, author: Author) -> None:
        """Also closes the gap of a crash between the catalog's commit and the journal's."""
        if release.digest not in self._recorded:
            entry = NewEntry(
                at=self._clock.now(),
                actor=author.actor,
                event=ReleaseRegistered(standing(release)),
                release=release.name,
                reason=author.reason,
            )
            self.commit([entry])
            self._recorded.add(release.digest)
        self.releases[release.digest] = release

    def profile(self, release: Release) -> ReferenceProfile | None:
        """The reference profile of a release. Raises `TrimtabError` when its blob is gone."""
        digest = release.manifest.profile
        if digest is None:
            return None
        return msgspec.json.decode(self._blobs.get(digest), type=ReferenceProfile)

    def find(self, ref: ReleaseRef) -> Release:
        """The release meant. Raises `NotFound` TT-201 or `Usage` TT-202."""
        return self.catalog.find(ref)
