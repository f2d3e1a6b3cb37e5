"""Immutable bytes by their sha256."""

from pathlib import Path
from typing import Protocol

from trimtab.domain.names import Digest
from trimtab.domain.release import Tree


class Blobs(Protocol):
    """A write-once store. Every read verifies the digest and raises `Integrity` (TT-208)."""

    def put(self, data: bytes) -> Digest:
        """Store `data`; storing the same bytes again changes nothing. Returns their digest."""
        ...

    def get(self, digest: Digest) -> bytes:
        """The verified bytes. Raises `Integrity` TT-208 (tampered) or TT-209 (missing)."""
        ...

    def check(self, digest: Digest) -> None:
        """Read a blob without holding it. Raises as `get` does."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether the blob is present (its bytes are not checked)."""
        ...

    def put_folder(self, folder: Path) -> Digest:
        """Store every file below `folder` and the tree object; returns the tree's digest.

        Symbolic links and special files are refused (`Usage`)."""
        ...

    def tree(self, digest: Digest) -> Tree:
        """The tree object of a stored folder."""
        ...

    def checkout(self, digest: Digest, folder: Path) -> None:
        """Write a stored folder to `folder` (which must not exist), atomically by rename."""
        ...
