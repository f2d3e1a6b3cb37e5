"""Content-addressed bytes in an object store (obstore): a local folder, memory, or a bucket.

A blob lives at `sha256/ab/<hex>` and is created once; reads verify. What is not what its name says,
as after a power loss before it was flushed, is replaced when the blob is stored again. A stored
folder is a tree object: canonical JSON of its entries, itself a blob.
"""

import hashlib
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, MemoryStore, ObjectStore

from trimtab import errors
from trimtab.backends.durable import sync_file, sync_folder
from trimtab.domain.names import Digest, short
from trimtab.domain.release import Tree, TreeEntry

PIECE_BYTES = 4 * 1024 * 1024
"""What of a file is in memory at a time; smaller ones are handled whole."""


class ObjectBlobs:
    """The `Blobs` port over any obstore store.

    `folder` is the root of a local store: its writes are flushed to disk before `put` returns,
    which a remote store does by itself.
    """

    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    @classmethod
    def local(cls, folder: Path) -> "ObjectBlobs":
        """Blobs below `folder`, which is made when absent."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(LocalStore(folder), folder)

    @classmethod
    def in_memory(cls) -> "ObjectBlobs":
        """The twin for tests."""
        return cls(MemoryStore())

    def put(self, data: bytes) -> Digest:
        digest = digest_of(data)
        key = _key(digest)
        try:
            obstore.put(self._store, key, data, mode="create")
        except AlreadyExistsError:
            if not self._whole(digest):
                obstore.put(self._store, key, data)
        self._flush(key)
        return digest

    def _whole(self, digest: Digest) -> bool:
        """Whether the blob is there with the bytes that it is named by."""
        try:
            self.check(digest)
        except errors.Integrity:
            return False
        return True

    def _flush(self, key: str) -> None:
        """Bring a blob and the folders that it is found by to the disk, whoever wrote it."""
        if self._folder is None:
            return
        path = self._folder / key
        sync_file(path)
        for folder in path.parents:
            sync_folder(folder)
            if folder == self._folder:
                break

    def get(self, digest: Digest) -> bytes:
        try:
            data = bytes(obstore.get(self._store, _key(digest)).bytes())
        except FileNotFoundError as cause:
            raise _missing(digest) from cause
        if digest_of(data) != digest:
            raise _tampered(digest)
        return data

    def check(self, digest: Digest) -> None:
        for _ in self._pieces(digest):
            pass

    def _pieces(self, digest: Digest) -> Iterator[bytes]:
        """The bytes of a blob by pieces. They are verified by whoever takes the last one."""
        seen = hashlib.sha256()
        try:
            reader = obstore.open_reader(self._store, _key(digest), buffer_size=PIECE_BYTES)
        except FileNotFoundError as cause:
            raise _missing(digest) from cause
        while piece := bytes(reader.read(PIECE_BYTES)):
            seen.update(piece)
            yield piece
        if _named(seen) != digest:
            raise _tampered(digest)

    def has(self, digest: Digest) -> bool:
        try:
            obstore.head(self._store, _key(digest))
        except FileNotFoundError:
            return False
        return True

    def put_folder(self, folder: Path) -> Digest:
        entries = []
        for path in sorted(folder.rglob("*")):
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                raise errors.Usage(
                    errors.BAD_VALUE,
                    "store folder",
                    str(path.relative_to(folder)),
                    "only plain files can be part of a release, not links or special files",
                    hint="replace the link by the file it points to",
                )
            name, size = path.relative_to(folder).as_posix(), path.stat().st_size
            small = size <= PIECE_BYTES
            digest = self.put(path.read_bytes()) if small else self._put_large(path)
            entries.append(TreeEntry(name, digest, size))
        return self.put(msgspec.json.encode(Tree(tuple(sorted(entries))), order="deterministic"))

    def _put_large(self, path: Path) -> Digest:
        """Store a file without holding its bytes: it is read for its name, and then to be kept."""
        with path.open("rb") as file:
            digest = _named(hashlib.file_digest(file, "sha256"))
        key, seen = _key(digest), hashlib.sha256()
        if self._whole(digest):
            self._flush(key)
            return digest
        obstore.put(
            self._store, key, _read(path, seen), use_multipart=True, chunk_size=2 * PIECE_BYTES
        )
        if _named(seen) != digest:
            obstore.delete(self._store, key)
            raise errors.Usage(
                errors.BAD_VALUE,
                "store",
                path.name,
                "the file changed while it was read",
                unchanged="nothing of it was stored",
                hint="build again once nobody writes it",
            )
        self._flush(key)
        return digest

    def tree(self, digest: Digest) -> Tree:
        return msgspec.json.decode(self.get(digest), type=Tree)

    def checkout(self, digest: Digest, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".checkout-") as scratch:
            whole = Path(scratch) / "tree"
            whole.mkdir(mode=0o700)
            for entry in self.tree(digest).entries:
                self._write(entry, whole)
            whole.rename(folder)

    def _write(self, entry: TreeEntry, root: Path) -> None:
        target = root / entry.path
        if entry.path.startswith("/") or ".." in Path(entry.path).parts:
            raise errors.Integrity(
                errors.TAMPERED,
                "check out",
                repr(entry.path),
                "a tree may not name files outside of itself",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.writelines(self._pieces(entry.digest))


def digest_of(data: bytes) -> Digest:
    """`sha256:<hex>` of `data`."""
    return _named(hashlib.sha256(data))


def _named(seen: "hashlib._Hash") -> Digest:
    return Digest(f"sha256:{seen.hexdigest()}")


def _read(path: Path, seen: "hashlib._Hash") -> Iterator[bytes]:
    """A file by pieces, each told to a hash."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            seen.update(piece)
            yield piece


def _missing(digest: Digest) -> errors.Integrity:
    return errors.Integrity(
        errors.MISSING_BLOB,
        "read blob",
        short(digest),
        "the store does not hold it",
        hint="restore the blobs folder from a backup, or build the release again",
    )


def _tampered(digest: Digest) -> errors.Integrity:
    return errors.Integrity(
        errors.TAMPERED,
        "read blob",
        short(digest),
        "its bytes do not match its digest",
        unchanged="nothing was loaded from it",
        hint="restore the blob from a backup, or build the release again",
    )


def _key(digest: Digest) -> str:
    text = digest.removeprefix("sha256:")
    return f"sha256/{text[:2]}/{text}"
