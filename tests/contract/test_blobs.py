"""Every store of blobs keeps these promises."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from trimtab import errors
from trimtab.backends import blobs as store
from trimtab.backends.blobs import ObjectBlobs, digest_of
from trimtab.domain.names import Digest
from trimtab.domain.release import Tree, TreeEntry


@pytest.fixture(params=["memory", "local"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectBlobs:
    if request.param == "memory":
        return ObjectBlobs.in_memory()
    return ObjectBlobs.local(tmp_path / "blobs")


def test_a_blob_is_named_by_the_sha256_of_its_bytes(blobs: ObjectBlobs) -> None:
    assert blobs.put(b"hello") == "sha256:" + hashlib.sha256(b"hello").hexdigest()


def test_what_was_put_is_what_is_got(blobs: ObjectBlobs) -> None:
    assert blobs.get(blobs.put(b"\x00\xff" * 1000)) == b"\x00\xff" * 1000


def test_putting_the_same_bytes_twice_changes_nothing(blobs: ObjectBlobs) -> None:
    assert blobs.put(b"same") == blobs.put(b"same")


def test_a_missing_blob_is_named_and_not_invented(blobs: ObjectBlobs) -> None:
    absent = digest_of(b"never stored")
    assert not blobs.has(absent)
    with pytest.raises(errors.Integrity) as caught:
        blobs.get(absent)
    assert caught.value.code == errors.MISSING_BLOB


def test_a_folder_comes_back_as_it_was(blobs: ObjectBlobs, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"a")
    (source / "deep" / "er" / "b.bin").write_bytes(b"b")
    tree = blobs.put_folder(source)
    blobs.checkout(tree, tmp_path / "out" / "copy")
    copy = tmp_path / "out" / "copy"
    assert (copy / "a.txt").read_bytes() == b"a"
    assert (copy / "deep" / "er" / "b.bin").read_bytes() == b"b"
    assert [entry.path for entry in blobs.tree(tree).entries] == ["a.txt", "deep/er/b.bin"]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is larger than a piece."""
    monkeypatch.setattr(store, "PIECE_BYTES", 4)


@pytest.mark.usefixtures("small_pieces")
def test_a_large_file_comes_back_as_it_was_under_the_same_digest(
    blobs: ObjectBlobs, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 3
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "weights").write_bytes(data)
    tree = blobs.put_folder(tmp_path / "source")
    (entry,) = blobs.tree(tree).entries
    assert (entry.digest, entry.size) == (digest_of(data), len(data))
    blobs.check(entry.digest)
    assert blobs.put_folder(tmp_path / "source") == tree
    blobs.checkout(tree, tmp_path / "copy")
    assert (tmp_path / "copy" / "weights").read_bytes() == data


@pytest.mark.usefixtures("small_pieces")
def test_a_large_file_that_changes_while_it_is_read_is_not_stored(
    blobs: ObjectBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "source" / "weights"
    path.parent.mkdir()
    path.write_bytes(b"before and")
    read = store._read
    monkeypatch.setattr(
        store, "_read", lambda at, seen: [at.write_bytes(b"and after"), read(at, seen)][1]
    )
    with pytest.raises(errors.Usage, match="changed while it was read"):
        blobs.put_folder(path.parent)
    assert not blobs.has(digest_of(b"before and"))


def test_a_missing_blob_of_a_tree_is_checked_and_not_checked_out(
    blobs: ObjectBlobs, tmp_path: Path
) -> None:
    absent = digest_of(b"never stored")
    entries = (TreeEntry("weights", absent, 12),)
    tree = blobs.put(msgspec.json.encode(Tree(entries)))
    for ask in (blobs.check, lambda _: blobs.checkout(tree, tmp_path / "out")):
        with pytest.raises(errors.Integrity) as caught:
            ask(absent)
        assert caught.value.code == errors.MISSING_BLOB
    assert not (tmp_path / "out").exists()


def test_equal_folders_have_equal_digests(blobs: ObjectBlobs, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(b"x")
    assert blobs.put_folder(tmp_path / "one") == blobs.put_folder(tmp_path / "two")


def test_a_link_in_a_folder_is_refused(blobs: ObjectBlobs, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to("/etc/hostname")
    with pytest.raises(errors.Usage):
        blobs.put_folder(tmp_path / "source")


def test_a_tree_that_points_outside_is_not_checked_out(blobs: ObjectBlobs, tmp_path: Path) -> None:
    inner = blobs.put(b"evil")
    tree = blobs.put(
        b'{"entries":[{"path":"../evil","digest":"' + inner.encode() + b'","size":4}]}'
    )
    with pytest.raises(errors.Integrity):
        blobs.checkout(tree, tmp_path / "victim" / "copy")
    assert list((tmp_path / "victim").iterdir()) == []


def test_tampered_bytes_on_disk_are_refused(tmp_path: Path) -> None:
    blobs = ObjectBlobs.local(tmp_path)
    digest: Digest = blobs.put(b"honest")
    text = digest.removeprefix("sha256:")
    (tmp_path / "sha256" / text[:2] / text).write_bytes(b"hacked")
    entries = (TreeEntry("model", digest, 6),)
    tree = blobs.put(msgspec.json.encode(Tree(entries)))
    for ask in (blobs.get, blobs.check, lambda _: blobs.checkout(tree, tmp_path / "out")):
        with pytest.raises(errors.Integrity) as caught:
            ask(digest)
        assert caught.value.code == errors.TAMPERED
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pieces", [4, 100])
@pytest.mark.parametrize("torn", [b"", b"\0" * 11])
def test_a_blob_that_a_power_loss_tore_is_whole_once_it_is_stored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bytes, pieces: int
) -> None:
    monkeypatch.setattr(store, "PIECE_BYTES", pieces)
    blobs = ObjectBlobs.local(tmp_path / "blobs")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model").write_bytes(b"model bytes")
    tree = blobs.put_folder(tmp_path / "source")
    (entry,) = blobs.tree(tree).entries
    text = entry.digest.removeprefix("sha256:")
    (tmp_path / "blobs" / "sha256" / text[:2] / text).write_bytes(torn)
    assert blobs.put_folder(tmp_path / "source") == tree
    assert blobs.get(entry.digest) == b"model bytes"


def test_a_blob_that_a_killed_process_stored_is_flushed_by_who_stores_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = ObjectBlobs.local(tmp_path)
    text = blobs.put(b"model").removeprefix("sha256:")
    flushed: list[Path] = []
    monkeypatch.setattr(store, "sync_file", flushed.append)
    monkeypatch.setattr(store, "sync_folder", flushed.append)
    blobs.put(b"model")
    folder = tmp_path / "sha256" / text[:2]
    assert flushed == [folder / text, folder, tmp_path / "sha256", tmp_path]
