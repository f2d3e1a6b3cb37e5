"""Environments are what their lock says, or they are not used."""

import fcntl
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import msgspec
import pytest
from tests.support.system import alive, until

from trimtab import errors
from trimtab.backends import environments
from trimtab.backends.environments import UvEnvironments
from trimtab.domain.release import EnvironmentLock, LockedPackage

SIX = LockedPackage("six", "1.17.0", ("a" * 64, "b" * 64))
LOCK = EnvironmentLock("3.11.7", "linux-x86_64", (SIX,))
BUILD = """
import sys
from pathlib import Path

import msgspec
import uv

from trimtab.backends.environments import UvEnvironments
from trimtab.domain.release import EnvironmentLock

uv.find_uv_bin = lambda: sys.argv[1]
lock = msgspec.json.decode(sys.argv[3], type=EnvironmentLock)
UvEnvironments(Path(sys.argv[2])).materialise(lock)
"""


def test_a_lock_has_one_digest_whatever_index_it_came_from() -> None:
    again = msgspec.json.decode(msgspec.json.encode(LOCK), type=EnvironmentLock)
    assert environments.lock_digest(again) == environments.lock_digest(LOCK)
    moved = msgspec.structs.replace(LOCK, platform="linux-aarch64")
    assert environments.lock_digest(moved) != environments.lock_digest(LOCK)


def test_a_lock_is_a_requirements_file_with_every_hash() -> None:
    assert environments.requirements_text(LOCK) == (
        f"six==1.17.0 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\n"
    )


def test_a_lock_fits_the_python_and_platform_that_it_was_made_on(tmp_path: Path) -> None:
    here = platform.python_version(), sysconfig.get_platform()
    backend = UvEnvironments(tmp_path)
    assert backend.fits(EnvironmentLock(*here, ()))
    assert not backend.fits(EnvironmentLock("3.1.4", here[1], ()))
    assert not backend.fits(EnvironmentLock(here[0], "plan9", ()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[UvEnvironments, EnvironmentLock]:
    made = UvEnvironments(tmp_path_factory.mktemp("home"))
    return made, made.lock(["six==1.17.0"])


RECORD = "lib/python3.11/site-packages/six-1.17.0.dist-info/RECORD"


@pytest.mark.parametrize("name", [environments.FINGERPRINT, "pyvenv.cfg", RECORD])
@pytest.mark.parametrize("damage", [b"", b"{", b'"\xff"', b"\xff\xfe\x00"])
def test_an_environment_that_does_not_tell_what_is_in_it_is_not_used(
    tmp_path: Path, name: str, damage: bytes
) -> None:
    (tmp_path / RECORD).parent.mkdir(parents=True)
    (tmp_path / RECORD).write_text("six.py,sha256=47DE,1\n")
    (tmp_path / "pyvenv.cfg").write_text("version_info = 3.11.7\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    told = msgspec.json.encode(environments.fingerprint(tmp_path))
    (tmp_path / environments.FINGERPRINT).write_bytes(told)
    environments.verify(LOCK, tmp_path)
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(errors.Integrity) as caught:
        environments.verify(LOCK, tmp_path)
    assert caught.value.hint == f"rm -r {tmp_path}"


def installed(site: Path) -> None:
    """A distribution whose RECORD is as an installer writes it."""
    info = site / "six-1.17.0.dist-info"
    info.mkdir(parents=True)
    (site / "six.py").write_bytes(b"")
    (site / "one, two.py").write_bytes(b"")
    nothing = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    (info / "RECORD").write_text(
        f'six.py,{nothing},0\n"one, two.py",{nothing},0\n__pycache__/six.pyc,,\n'
        f"../../../bin/six,sha256=it-names-a-python,9\nsix-1.17.0.dist-info/RECORD,,\n"
    )


@pytest.mark.parametrize("name", ["six.py", "one, two.py"])
def test_a_file_that_is_not_as_it_was_installed_is_named(tmp_path: Path, name: str) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    installed(site)
    assert environments.damaged(tmp_path) == []
    (site / name).write_bytes(b"x")
    told = [f"six 1.17.0 is damaged: 1 file, such as {name}"]
    assert environments.damaged(tmp_path) == told
    (site / name).unlink()
    assert environments.damaged(tmp_path) == told


@pytest.mark.parametrize("damage", [b"", b"six.py,", b"\xff", None])
def test_a_record_that_is_cut_off_is_damage_too(tmp_path: Path, damage: bytes | None) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    installed(site)
    record = site / "six-1.17.0.dist-info" / "RECORD"
    record.unlink() if damage is None else record.write_bytes(damage)
    told = ["six 1.17.0 is damaged: 1 file, such as six-1.17.0.dist-info/RECORD"]
    assert environments.damaged(tmp_path) == told


@pytest.mark.e2e
def test_a_damage_that_the_cache_shares_is_not_installed_again(
    made: tuple[UvEnvironments, EnvironmentLock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of the cache are linked into environments: a fault of the disk meets both."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    _, lock = made
    backend = UvEnvironments(tmp_path)
    folder = backend.materialise(lock).parents[1]
    backend.examine(lock)
    (module,) = folder.glob("lib/python*/site-packages/six.py")
    whole = module.read_bytes()
    assert module.stat().st_nlink > 1
    os.truncate(module, 100)
    with pytest.raises(errors.Integrity, match=r"six 1\.17\.0 is damaged: 1 file") as caught:
        backend.examine(lock)
    assert caught.value.hint == f"rm -r {folder}"
    shutil.rmtree(folder)
    backend.materialise(lock)
    assert module.read_bytes() == whole
    backend.examine(lock)


@pytest.mark.e2e
def test_an_environment_is_made_once_by_many_and_runs(
    made: tuple[UvEnvironments, EnvironmentLock],
) -> None:
    backend, lock = made
    assert [(each.name, each.version) for each in lock.packages] == [("six", "1.17.0")]
    pythons: list[Path] = []
    threads = [
        threading.Thread(target=lambda: pythons.append(backend.materialise(lock))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pythons)) == 1
    command = [str(pythons[0]), "-c", "import six, sys; print(six.__version__, sys.prefix)"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert printed == ["1.17.0", str(pythons[0].parents[1])]


@pytest.mark.e2e
def test_a_rebuilt_environment_has_the_same_fingerprint(
    made: tuple[UvEnvironments, EnvironmentLock], tmp_path: Path
) -> None:
    backend, lock = made
    first = backend.materialise(lock).parents[1]
    second = backend.rebuild(lock, tmp_path / "again").parents[1]
    assert environments.fingerprint(first) == environments.fingerprint(second)


@pytest.mark.e2e
def test_an_environment_that_was_changed_is_not_used(
    made: tuple[UvEnvironments, EnvironmentLock], tmp_path: Path
) -> None:
    _, lock = made
    backend = UvEnvironments(tmp_path)
    folder = backend.materialise(lock).parents[1]
    (installed,) = folder.glob("lib/python*/site-packages/six-1.17.0.dist-info")
    record = installed / "RECORD"
    content = record.read_text()
    record.unlink()
    record.write_text(content + "six_more.py,,\n")
    with pytest.raises(errors.Integrity, match=r"six 1\.17\.0 was changed"):
        backend.materialise(lock)
    shutil.copytree(installed, installed.with_name("other-2.0.dist-info"))
    installed.rename(installed.with_name("six-1.16.0.dist-info"))
    with pytest.raises(
        errors.Integrity, match=r"other 2\.0 is not in the lock; six 1\.16\.0, locked"
    ):
        backend.materialise(lock)
    (folder / environments.FINGERPRINT).unlink()
    with pytest.raises(errors.Integrity) as caught:
        backend.materialise(lock)
    assert caught.value.code == errors.LOCK_MISMATCH


@pytest.mark.parametrize(
    "setting", [("UV_OFFLINE", "1"), ("UV_DEFAULT_INDEX", "http://127.0.0.1:9/")]
)
def test_an_index_that_is_not_reached_is_no_matter_of_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: tuple[str, str]
) -> None:
    monkeypatch.setenv(*setting)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    backend = UvEnvironments(tmp_path / "home")
    with pytest.raises(errors.Usage) as unlocked:
        backend.lock(["six==1.17.0"])
    assert unlocked.value.hint.startswith("the package index was not reached")
    here = EnvironmentLock(platform.python_version(), sysconfig.get_platform(), (SIX,))
    with pytest.raises(errors.Permanent) as unmade:
        backend.materialise(here)
    assert unmade.value.hint == unlocked.value.hint
    assert "the lock is for Python" not in unmade.value.message


@pytest.mark.e2e
def test_an_environment_whose_python_is_gone_is_not_used(
    made: tuple[UvEnvironments, EnvironmentLock], tmp_path: Path
) -> None:
    """As when that of the machine was replaced by another version."""
    _, lock = made
    backend = UvEnvironments(tmp_path)
    python = backend.materialise(lock)
    python.unlink()
    python.symlink_to(tmp_path / "python-of-before")
    with pytest.raises(errors.Integrity, match="its Python is not there any more") as caught:
        backend.materialise(lock)
    assert caught.value.hint == f"rm -r {python.parents[1]}"
    shutil.rmtree(python.parents[1])
    assert backend.materialise(lock).exists()


def test_nobody_makes_an_environment_while_what_a_killed_build_started_writes_into_it(
    tmp_path: Path,
) -> None:
    told, home = tmp_path / "pid", tmp_path / "home"
    installer = tmp_path / "uv"
    installer.write_text(f"#!/bin/sh\necho $$ > {told}.new; mv {told}.new {told}; exec sleep 60\n")
    installer.chmod(0o755)
    arguments = [str(installer), str(home), msgspec.json.encode(LOCK).decode()]
    build = subprocess.Popen([sys.executable, "-c", BUILD, *arguments])
    until(told.exists)
    pid = int(told.read_text())
    build.kill()
    build.wait()
    (path,) = (home / "envs").glob(".*.lock")
    with path.open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.e2e
def test_wheels_that_do_not_match_the_lock_make_no_environment(tmp_path: Path) -> None:
    backend = UvEnvironments(tmp_path)
    lock = msgspec.structs.replace(backend.lock(["six"]), packages=(SIX,))
    with pytest.raises(errors.Permanent, match="Hash mismatch") as caught:
        backend.materialise(lock)
    assert caught.value.code == errors.ENVIRONMENT_FAILED
    assert [path for path in (tmp_path / "envs").iterdir() if path.is_dir()] == []


@pytest.mark.e2e
@pytest.mark.parametrize("line", ["six==99", "six @ file:///nowhere/six.whl", ">>"])
def test_requirements_that_cannot_be_locked_are_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Usage) as caught:
        UvEnvironments(tmp_path).lock([line])
    assert caught.value.code == errors.LOCK_FAILED
    assert caught.value.message
