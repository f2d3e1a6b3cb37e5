"""The state in memory and the journal it comes from: what is recorded first is what is true."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from trimtab import errors
from trimtab.domain.events import Effect, Entry, NewEntry, ReleaseRegistered
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.release import Manifest, Release
from trimtab.domain.rollout import Standing
from trimtab.domain.state import DeploymentState, SystemState, evolve
from trimtab.judge.draft import Author
from trimtab.ports.blobs import Blobs
from trimtab.ports.catalog import Catalog
from trimtab.ports.clock import Clock
from trimtab.ports.journal import Journal

BATCH = 1000


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
        self._recorded: set[Digest] = set()

    @property
    def deployments(self) -> dict[str, DeploymentState]:
        """All deployments by name."""
        return self.state.deployments

    def lead(self, holder: str) -> None:
        """Take over: a new epoch, the state replayed, the catalog's releases all in the journal.

        Raises `Integrity` TT-501 when the journal is not what was recorded."""
        self.journal.verify()
        self.epoch = self.journal.lead(holder, self._clock.now())
        self._fold(recorded(self.journal, self.state.seq))
        for release in self.catalog.releases():
            self._record_release(release, Author())

    def commit(self, entries: Sequence[NewEntry], effects: Sequence[Effect] = ()) -> None:
        """Record, then fold. Raises `Conflict` TT-502 or `Permanent` TT-503, and then nothing
        has changed."""
        self._fold(self.journal.commit(self.epoch, entries, effects))

    def _fold(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.state = evolve(self.state, entry)
            if isinstance(entry.event, ReleaseRegistered):
                self._recorded.add(entry.event.release.digest)

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
        except msgspec.DecodeError as error:
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
