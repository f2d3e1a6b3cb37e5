"""Environments by uv: locks of exact versions and hashes, and virtual environments made from them.

An environment is built once per machine and lock, in a folder beside its place, and renamed into
it when it is whole. Its fingerprint file is written last and read before every use.
"""

import base64
import csv
import errno
import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import rfc8785
import uv

from trimtab import errors
from trimtab.backends.durable import sync_files
from trimtab.domain import layout
from trimtab.domain.names import Digest, short
from trimtab.domain.plurals import many
from trimtab.domain.release import EnvironmentLock, LockedPackage

FINGERPRINT = "trimtab-fingerprint.json"

_BINARY_ONLY = ("--only-binary", ":all:")
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>\S+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_MADE_BY_INSTALLER = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
_INSTALLED = "lib/python*/site-packages/*.dist-info"
_RECORDED = 3
"""Fields of a line of a RECORD: path, digest, size."""
_LONGEST_MESSAGE = 3000
_UNREACHED = ("Failed to fetch", "network was disabled")
"""What uv says where it could not ask the package index."""
_REACH = "the package index was not reached: see network, proxy, UV_OFFLINE and UV_DEFAULT_INDEX"


class Distribution(msgspec.Struct, frozen=True, order=True):
    """An installed distribution; `record` is the sha256 of what its RECORD says was installed,
    without scripts and installer files, so that it is the same wherever the environment lies."""

    name: str
    version: str
    record: str


class Fingerprint(msgspec.Struct, frozen=True):
    """What is installed in an environment, sorted by name, and for which interpreter."""

    python: str
    platform: str
    distributions: tuple[Distribution, ...]


class UvEnvironments:
    """The port `Environments`, with its environments below `home` (the state folder)."""

    def __init__(self, home: Path) -> None:
        self._folder = home / layout.ENVIRONMENTS

    def lock(self, requirements: Sequence[str]) -> EnvironmentLock:
        """Resolve for the running interpreter and platform; wheels only. Raises `Usage` TT-301."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "requirements.in"
            source.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
            asked = ("pip", "compile", str(source), "--generate-hashes", "--no-emit-index-url")
            plain = ("--no-header", "--no-annotate", "--python")
            done = _uv(Path(folder), *asked, *_BINARY_ONLY, *plain, sys.executable)
        if done.returncode != 0:
            raise _not_locked(requirements, _message(done))
        return EnvironmentLock(
            python=platform.python_version(),
            platform=sysconfig.get_platform(),
            packages=_packages(done.stdout, requirements),
        )

    def fits(self, lock: EnvironmentLock) -> bool:
        """See `ports.Environments`."""
        here = platform.python_version(), sysconfig.get_platform()
        return (lock.python, lock.platform) == here

    def materialise(self, lock: EnvironmentLock) -> Path:
        """The interpreter of the lock's environment; see `ports.Environments`."""
        digest = lock_digest(lock)
        place = self._folder / short(digest)
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder / f".{place.name}.lock") as held:
            if not place.exists():
                unfinished = place.with_name(f".{place.name}.unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                try:
                    _build(lock, unfinished, held)
                    sync_files(unfinished)
                    unfinished.rename(place)
                finally:
                    shutil.rmtree(unfinished, ignore_errors=True)
        verify(lock, place)
        return interpreter(place)

    def rebuild(self, lock: EnvironmentLock, folder: Path) -> Path:
        """Build in `folder` from freshly fetched wheels; see `ports.Environments`."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        _install(lock, folder, "--no-cache")
        _sign(folder)
        verify(lock, folder)
        return interpreter(folder)

    def examine(self, lock: EnvironmentLock) -> None:
        """See `ports.Environments`."""
        place = self._folder / short(lock_digest(lock))
        verify(lock, place)
        if wrong := damaged(place):
            raise _changed(place, wrong)


def lock_digest(lock: EnvironmentLock) -> Digest:
    """The sha256 of the lock's canonical JSON (RFC 8785)."""
    canonical = rfc8785.dumps(msgspec.to_builtins(lock))
    return Digest(f"sha256:{hashlib.sha256(canonical).hexdigest()}")


def requirements_text(lock: EnvironmentLock) -> str:
    """The lock as a requirements file that every installer reads."""
    return "".join(
        f"{package.name}=={package.version}"
        + "".join(f" \\\n    --hash=sha256:{digest}" for digest in package.sha256)
        + "\n"
        for package in lock.packages
    )


def interpreter(environment: Path) -> Path:
    """The Python executable of an environment."""
    return environment / "bin" / "python"


def fingerprint(environment: Path) -> Fingerprint:
    """What is installed in `environment` now, read from the RECORD of each distribution."""
    settings = dict(
        line.partition(" = ")[::2]
        for line in (environment / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    )
    found = environment.glob(_INSTALLED)
    return Fingerprint(
        python=settings["version_info"],
        platform=sysconfig.get_platform(),
        distributions=tuple(sorted(_distribution(folder) for folder in found)),
    )


def verify(lock: EnvironmentLock, environment: Path) -> None:
    """Compare what is installed with the lock and with the fingerprint taken at the build.

    Raises `Integrity` TT-302 that lists what differs."""
    try:
        stored = msgspec.json.decode((environment / FINGERPRINT).read_bytes(), type=Fingerprint)
        found = fingerprint(environment)
    except (OSError, ValueError, KeyError) as error:
        raise _changed(environment, [f"its fingerprint cannot be read ({error})"]) from error
    differences = _differences(lock, stored, found)
    if not interpreter(environment).exists():
        differences.append("its Python is not there any more, as after an upgrade of the machine's")
    if differences:
        raise _changed(environment, differences)


def _differences(lock: EnvironmentLock, stored: Fingerprint, found: Fingerprint) -> list[str]:
    locked = {package.name: package.version for package in lock.packages}
    installed = {each.name: each for each in found.distributions}
    recorded = {each.name: each.record for each in stored.distributions}
    lines = []
    if found.python != lock.python:
        lines.append(f"python {found.python}, locked {lock.python}")
    for name in sorted(locked.keys() | installed.keys()):
        there = installed.get(name)
        if there is None:
            lines.append(f"{name} is not installed")
        elif name not in locked:
            lines.append(f"{name} {there.version} is not in the lock")
        elif _plain_version(there.version) != _plain_version(locked[name]):
            lines.append(f"{name} {there.version}, locked {locked[name]}")
        elif there.record != recorded.get(name):
            lines.append(f"{name} {there.version} was changed since it was installed")
    return lines


def _distribution(folder: Path) -> Distribution:
    name, _, version = folder.name.removesuffix(".dist-info").partition("-")
    record = (folder / "RECORD").read_text(encoding="utf-8")
    kept = sorted(line for line in record.splitlines() if _is_content(line))
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()
    return Distribution(_normalised(name), version, digest)


def _is_content(line: str) -> bool:
    path = line.partition(",")[0]
    name = path.rpartition("/")[2]
    installer = ".dist-info/" in path and name in _MADE_BY_INSTALLER
    return not (installer or path.startswith("../") or name.endswith(".pyc"))


def damaged(environment: Path) -> list[str]:
    """What of the installed files is not as their wheels recorded it, a line per distribution."""
    lines = []
    for folder in sorted(environment.glob(_INSTALLED)):
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        if wrong := _wrong_files(folder):
            count = many(len(wrong), "file")
            lines.append(f"{name} {version} is damaged: {count}, such as {wrong[0]}")
    return lines


def _wrong_files(folder: Path) -> list[str]:
    """Files of a distribution that its RECORD, which names itself too, does not describe."""
    own = f"{folder.name}/RECORD"
    try:
        with (folder / "RECORD").open(encoding="utf-8", newline="") as file:
            digests = {row[0]: row[1] for row in csv.reader(file) if len(row) == _RECORDED}
    except (OSError, UnicodeDecodeError, csv.Error):
        return [own]
    told = {path: digest for path, digest in digests.items() if digest and _is_content(path)}
    wrong = [path for path, digest in told.items() if _digest(folder.parent / path) != digest]
    return wrong if own in digests else [own, *wrong]


def _digest(path: Path) -> str:
    """The digest of a file as a RECORD has it; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return ""
    return f"sha256={base64.urlsafe_b64encode(found).rstrip(b'=').decode()}"


def _build(lock: EnvironmentLock, folder: Path, held: int) -> None:
    """Make the environment in `folder`, with its fingerprint.

    Files are shared with uv's cache, and so is what becomes of them: where one is not as its wheel
    had it, wheels are fetched anew."""
    _install(lock, folder, held=(held,))
    if wrong := damaged(folder):
        shutil.rmtree(folder)
        try:
            _install(lock, folder, "--no-cache", held=(held,))
        except errors.Permanent as problem:
            told = f"in the cache of uv {'; '.join(wrong)}; instead of that: {problem.message}"
            raise _unmade(lock, told, problem.hint) from problem
    _sign(folder)


def _sign(folder: Path) -> None:
    (folder / FINGERPRINT).write_bytes(msgspec.json.encode(fingerprint(folder)))


def _install(lock: EnvironmentLock, folder: Path, *options: str, held: Sequence[int] = ()) -> None:
    """Install what is locked in `folder`, compiled.

    Compiling takes seconds once and saves them at every start of a worker, which may not write
    here. uv keeps `held` open: what a killed build started writes on, alone, until it is done."""
    python = sys.executable if lock.python == platform.python_version() else lock.python
    wanted = ("--relocatable", "--no-project", "--python", python, folder.name)
    _must(lock, _uv(folder.parent, "venv", *wanted, held=held))
    requirements = folder / "requirements.txt"
    requirements.write_text(requirements_text(lock), encoding="utf-8")
    strict = ("--require-hashes", *_BINARY_ONLY, "--compile-bytecode", "--allow-empty-requirements")
    target = ("--python", str(interpreter(folder.absolute())))
    asked = ("pip", "sync", str(requirements.absolute()))
    _must(lock, _uv(folder.parent, *asked, *strict, *target, *options, held=held))


def _must(lock: EnvironmentLock, done: "subprocess.CompletedProcess[str]") -> None:
    if done.returncode != 0:
        told = _message(done)
        full, unreached = os.strerror(errno.ENOSPC) in told, _unreached(told)
        made_for = (
            f"the lock is for Python {lock.python} on {lock.platform}; this is Python "
            f"{platform.python_version()} on {sysconfig.get_platform()}"
        )
        hint = "df -h ." if full else _REACH if unreached else "python -m platform"
        raise _unmade(lock, told if full or unreached else f"{told} ({made_for})", hint)


def _unmade(lock: EnvironmentLock, problem: str, hint: str) -> errors.Permanent:
    return errors.Permanent(
        errors.ENVIRONMENT_FAILED,
        "build the environment of",
        short(lock_digest(lock)),
        problem,
        unchanged="no environment was made",
        hint=hint,
    )


def _uv(
    folder: Path, *arguments: str, held: Sequence[int] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run uv in `folder`, away from a project's settings; the user's own settings apply.

    uv is the user's tool, not a release's code, so it sees proxies and index credentials."""
    dropped = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH", "PYTHONHOME"}
    known = {name: value for name, value in os.environ.items() if name not in dropped}
    return subprocess.run(
        [uv.find_uv_bin(), *arguments, "--quiet", "--no-progress", "--color", "never"],
        cwd=folder,
        env={**known, "UV_PYTHON_DOWNLOADS": "never"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=held,
    )


def _message(done: "subprocess.CompletedProcess[str]") -> str:
    text = done.stderr.strip() or f"uv ended with exit code {done.returncode}"
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " …"


def _packages(text: str, requirements: Sequence[str]) -> tuple[LockedPackage, ...]:
    packages = []
    for entry in re.split(r"\n(?=\S)", text.strip()):
        if not entry:
            continue
        pin, hashes = _REQUIREMENT.match(entry), _HASH.findall(entry)
        if pin is None or not hashes:
            line = entry.splitlines()[0].rstrip(" \\")
            raise _not_locked(requirements, f"{line!r} is not a package of an index with hashes")
        name, version = _normalised(pin["name"]), pin["version"]
        packages.append(LockedPackage(name, version, tuple(sorted(set(hashes)))))
    return tuple(sorted(packages))


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _plain_version(version: str) -> str:
    """A version without the leading zeros and separators that a wheel's name may still have."""
    return re.sub(r"(^|\.)0+(?=\d)", r"\1", re.sub(r"[-_]", ".", version.lower()))


def _not_locked(requirements: Sequence[str], message: str) -> errors.Usage:
    return errors.Usage(
        errors.LOCK_FAILED,
        "lock",
        ", ".join(requirements)[:200] or "no requirements",
        message,
        unchanged="no environment was made and no release was changed",
        hint=_REACH
        if _unreached(message)
        else "only wheels for this Python and platform are used; loosen the version in the "
        "requirements that uv names",
    )


def _unreached(told: str) -> bool:
    return any(each in told for each in _UNREACHED)


def _changed(environment: Path, differences: Sequence[str]) -> errors.Integrity:
    return errors.Integrity(
        errors.LOCK_MISMATCH,
        "use the environment",
        environment.name,
        "; ".join(differences) + "; once its folder is deleted, it is made again",
        unchanged="nothing was started in it",
        hint=f"rm -r {shlex.quote(str(environment))}",
    )


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold an exclusive lock on `path`; it ends with the last process that has the file open."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
