"""Releases as folders that a worker can be started in: `releases/<digest, 12>/` (docs/wire.md)."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from trimtab import errors
from trimtab.domain import layout
from trimtab.domain.names import Digest, short
from trimtab.domain.release import Manifest, TreeEntry
from trimtab.domain.signature import Signature
from trimtab.ports.blobs import Blobs

CONFIG = "worker.json"
GOLDEN = "golden.bin"


class WorkerGolden(msgspec.Struct, frozen=True):
    """Where the golden set is, relative to the checkout, and its tolerance."""

    path: str
    tolerance: float


class WorkerJson(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told (docs/wire.md). `golden` is None for a release that was built without
    reference data, of which no answers are stored."""

    release: Digest
    name: str
    format: str
    model_path: str
    features: str | None
    frame: str
    signature: Signature
    config: dict[str, str]
    engine: str | None
    golden: WorkerGolden | None
    tree: tuple[TreeEntry, ...]


@dataclass(frozen=True, slots=True)
class Checkout:
    """A verified release on disk. `config` is its `worker.json`."""

    manifest: Manifest
    folder: Path

    @property
    def config(self) -> Path:
        """The file a worker is started with."""
        return self.folder / CONFIG


@dataclass(frozen=True, slots=True)
class Checkouts:
    """Makes checkouts below `home` from blobs. The digest of a release is that of the blob that
    holds its manifest, so everything else follows from it."""

    home: Path
    blobs: Blobs

    def prepare(self, release: Digest, name: str | None = None) -> Checkout:
        """A checkout whose every byte is the release's, made again if it is not.

        `name` is what the worker calls itself (default: model and digest, as the number of a
        release is not part of it). Safe to call from several processes. Raises `Integrity` TT-208
        (a blob was changed) or TT-209 (missing); nothing that could be served is then left.
        """
        folder = self.home / layout.checkout(release)
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _turn(folder.with_name(f".{folder.name}.lock")):
            manifest = msgspec.json.decode(self.blobs.get(release), type=Manifest)
            tree = self.blobs.tree(manifest.tree).entries
            label = name or f"{manifest.model}:{short(release)}"
            told = _told(release, label, manifest, tree)
            if _differs(folder, told, manifest.golden.blob):
                self._replace(folder, told, manifest)
        return Checkout(manifest, folder)

    def _replace(self, folder: Path, told: bytes, manifest: Manifest) -> None:
        _discard(folder)
        unfinished = folder.with_name(f".{folder.name}.new")
        _discard(unfinished)
        try:
            self.blobs.checkout(manifest.tree, unfinished)
            for name, data in ((GOLDEN, self.blobs.get(manifest.golden.blob)), (CONFIG, told)):
                _write_new(unfinished / name, data)
            _sync(unfinished)
            unfinished.rename(folder)
        finally:
            _discard(unfinished)

    def discard(self, release: Digest) -> None:
        """Delete a checkout; its blobs stay."""
        _discard(self.home / layout.checkout(release))


def _told(release: Digest, name: str, manifest: Manifest, tree: tuple[TreeEntry, ...]) -> bytes:
    compiled = manifest.compiled
    tolerance = manifest.golden.tolerance if compiled is None else compiled.tolerance
    return msgspec.json.encode(
        WorkerJson(
            release=release,
            name=name,
            format=manifest.format,
            model_path=manifest.model_path,
            features=manifest.features,
            frame=manifest.frame,
            signature=manifest.signature,
            config=manifest.config,
            engine=None if compiled is None else compiled.path,
            golden=WorkerGolden(GOLDEN, tolerance) if manifest.golden.rows else None,
            tree=tree,
        ),
        order="deterministic",
    )


def _differs(folder: Path, told: bytes, golden: Digest) -> bool:
    """Whether a checkout is missing, lacks a file, has one too many, or one with other bytes."""
    tree: dict[str, Any] = {
        entry.path: entry.digest for entry in msgspec.json.decode(told, type=WorkerJson).tree
    }
    expected = {**tree, GOLDEN: golden, CONFIG: f"sha256:{hashlib.sha256(told).hexdigest()}"}
    found = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    if found.keys() != expected.keys():
        return True
    return any(path.is_symlink() or _digest(path) != expected[n] for n, path in found.items())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that the tree must not have."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError as cause:
        raise errors.Permanent(
            errors.WORKER_FAILED,
            "check out",
            path.name,
            "the release has a file of a name that the checkout needs for itself",
            hint=f"rename {path.name} in the release and build it again",
        ) from cause


def _discard(folder: Path) -> None:
    """Take a folder out of its place at once, then delete it."""
    gone = folder.with_name(f".{folder.name.lstrip('.')}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone)


def _sync(folder: Path) -> None:
    """Bring all files to the disk before they get their name."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One process at a time for a release."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
