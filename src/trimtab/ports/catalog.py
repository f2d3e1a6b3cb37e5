"""Registered releases."""

from typing import Protocol

from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.release import Manifest, Release


class Catalog(Protocol):
    """Which releases exist and what number each has. Registration is idempotent by digest."""

    def register(self, digest: Digest, manifest: Manifest, now: float) -> Release:
        """Give the manifest the model's next number; the same digest keeps its number."""
        ...

    def find(self, ref: ReleaseRef) -> Release:
        """The release meant by `ref`. Raises `NotFound` TT-201 or `Usage` TT-202."""
        ...

    def get(self, digest: Digest) -> Release:
        """The release with this digest. Raises `NotFound` TT-201."""
        ...

    def releases(self, model: str | None = None) -> tuple[Release, ...]:
        """All releases (of one model), oldest first."""
        ...
