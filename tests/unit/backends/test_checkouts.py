"""Checkouts of releases: whole, verified, and made again when they are not the release's."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from trimtab import errors
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.checkouts import Checkouts, WorkerJson
from trimtab.domain.names import Digest
from trimtab.domain.release import EnvironmentLock, Golden, Manifest
from trimtab.domain.signature import Column, Datatype, Output, Signature


@pytest.fixture
def blobs(tmp_path: Path) -> ObjectBlobs:
    return ObjectBlobs.local(tmp_path / "blobs")


def stored(
    blobs: ObjectBlobs, tmp_path: Path, extra: str = "features.py", golden_rows: int = 1
) -> Digest:
    """The digest of a small release."""
    folder = tmp_path / "source"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "m.skops").write_bytes(b"model")
    (folder / extra).write_bytes(b"def features(frame): return frame\n")
    manifest = Manifest(
        model="m",
        format="skops",
        model_path="model/m.skops",
        features="features:features",
        frame="pandas",
        tree=blobs.put_folder(folder),
        environment=EnvironmentLock("3.11.7", "linux", ()),
        data=None,
        signature=Signature((Column("x", Datatype.FP64),), (Output("score", Datatype.FP64),)),
        execution={},
        profile=None,
        golden=Golden(blobs.put(b"golden"), golden_rows, 1e-9, False),
        config={"allow_nan": "true"},
    )
    return blobs.put(msgspec.json.encode(manifest))


def test_a_checkout_holds_tree_golden_set_and_what_the_worker_is_told(
    blobs: ObjectBlobs, tmp_path: Path
) -> None:
    release = stored(blobs, tmp_path)
    checkout = Checkouts(tmp_path, blobs).prepare(release, "m@1")
    assert checkout.folder == tmp_path / "releases" / release.removeprefix("sha256:")[:12]
    told = msgspec.json.decode(checkout.config.read_bytes(), type=WorkerJson)
    assert (told.release, told.name, told.model_path) == (release, "m@1", "model/m.skops")
    assert told.config == {"allow_nan": "true"}
    assert [entry.path for entry in told.tree] == ["features.py", "model/m.skops"]
    assert told.golden is not None
    assert (checkout.folder / told.golden.path).read_bytes() == b"golden"
    assert (checkout.folder / "model/m.skops").read_bytes() == b"model"


def test_a_release_without_reference_data_has_nothing_to_replay(
    blobs: ObjectBlobs, tmp_path: Path
) -> None:
    """A worker that was told of an empty golden set would ask its model for no rows, and fail."""
    release = stored(blobs, tmp_path, golden_rows=0)
    checkout = Checkouts(tmp_path, blobs).prepare(release, "m@1")
    assert msgspec.json.decode(checkout.config.read_bytes(), type=WorkerJson).golden is None


def test_a_sound_checkout_is_used_again(blobs: ObjectBlobs, tmp_path: Path) -> None:
    checkouts, release = Checkouts(tmp_path, blobs), stored(blobs, tmp_path)
    first = checkouts.prepare(release).config.stat().st_ino
    assert checkouts.prepare(release).config.stat().st_ino == first


def overwrite(folder: Path) -> None:
    (folder / "model/m.skops").write_bytes(b"m0del")


def remove(folder: Path) -> None:
    (folder / "golden.bin").unlink()


def add(folder: Path) -> None:
    (folder / "numpy.py").write_bytes(b"evil = True\n")


def link(folder: Path) -> None:
    (folder / "model/m.skops").rename(folder.parent / "elsewhere")
    (folder / "model/m.skops").symlink_to(folder.parent / "elsewhere")


def tell_otherwise(folder: Path) -> None:
    config = folder / "worker.json"
    config.write_bytes(config.read_bytes().replace(b"1e-9", b"1e+9"))


@pytest.mark.parametrize("harm", [overwrite, remove, add, link, tell_otherwise])
def test_a_checkout_that_was_changed_is_made_again(
    blobs: ObjectBlobs, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    checkouts, release = Checkouts(tmp_path, blobs), stored(blobs, tmp_path)
    folder = checkouts.prepare(release).folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    harm(folder)
    checkouts.prepare(release)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (folder / "model/m.skops").is_symlink()


@pytest.mark.parametrize("content", [b"model", b"golden", None])
def test_a_tampered_blob_is_never_checked_out(
    blobs: ObjectBlobs, tmp_path: Path, content: bytes | None
) -> None:
    release = stored(blobs, tmp_path)
    digest = release if content is None else blobs.put(content)
    text = digest.removeprefix("sha256:")
    (tmp_path / "blobs/sha256" / text[:2] / text).write_bytes(b"tampered")
    with pytest.raises(errors.Integrity) as caught:
        Checkouts(tmp_path, blobs).prepare(release)
    assert caught.value.code == errors.TAMPERED
    assert not [path for path in (tmp_path / "releases").iterdir() if path.is_dir()]


def test_a_release_may_not_bring_its_own_instructions(blobs: ObjectBlobs, tmp_path: Path) -> None:
    release = stored(blobs, tmp_path, extra="worker.json")
    with pytest.raises(errors.Permanent) as caught:
        Checkouts(tmp_path, blobs).prepare(release)
    assert "worker.json" in caught.value.message or caught.value.subject == "worker.json"


def test_a_checkout_can_be_discarded(blobs: ObjectBlobs, tmp_path: Path) -> None:
    checkouts, release = Checkouts(tmp_path, blobs), stored(blobs, tmp_path)
    folder = checkouts.prepare(release).folder
    checkouts.discard(release)
    checkouts.discard(release)
    assert not folder.exists()
