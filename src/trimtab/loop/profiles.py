"""The reference profiles of releases, as far as they can be read."""

import logging

import msgspec

from trimtab import errors
from trimtab.domain.names import Digest
from trimtab.domain.profile import ReferenceProfile
from trimtab.ports.blobs import Blobs
from trimtab.ports.catalog import Catalog
from trimtab.ports.clock import Clock

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds for which a profile that could not be read is asked for again: files run out."""


class NotYetError(Exception):
    """A profile cannot be read just now."""


class Profiles:
    """Reads profiles; one that is gone or damaged is told once and is none from then on."""

    def __init__(self, catalog: Catalog, blobs: Blobs, clock: Clock) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._clock = clock
        self._unread: set[Digest] = set()
        self._failing: dict[Digest, float] = {}
        self._losses: dict[Digest, tuple[str, ...]] = {}

    def read(self, digest: Digest | None) -> ReferenceProfile | None:
        """None also where it cannot be read: what serves is watched as far as that goes.

        Raises `NotYetError` while it may be readable soon."""
        if digest is None or digest in self._unread:
            return None
        try:
            found = msgspec.json.decode(self._blobs.get(digest), type=ReferenceProfile)
        except Exception as error:  # no fault of it may keep the loop from routing
            if self._may_pass(digest, error):
                raise NotYetError(error) from error
            self._unread.add(digest)
            log.error("a release is watched without its reference profile: %s", error)
            return None
        self._failing.pop(digest, None)
        return found

    def _may_pass(self, digest: Digest, error: Exception) -> bool:
        """Whether a blob that could not be read may be soon: it is neither gone nor damaged."""
        if isinstance(error, errors.NotFound | errors.Integrity | ValueError):
            return False
        now = self._clock.monotonic()
        return now - self._failing.setdefault(digest, now) < PATIENCE

    def loss_columns(self, release: Digest) -> tuple[str, ...]:
        """The inputs from which a release's losses are expected, and by which they are parted.

        Raises `NotYetError` as `read` does."""
        found = self._losses.get(release)
        if found is None:
            profile = self.read(self._catalog.get(release).manifest.profile)
            learned = None if profile is None else profile.estimate
            model = None if learned is None else learned.loss
            parts = None if profile is None else profile.segment_losses
            columns = [*(model.columns if model else ()), *(parts.columns if parts else ())]
            found = tuple(dict.fromkeys(column.name for column in columns if column.name))
            self._losses[release] = found
        return found
