"""Locks that are resolved once and kept, so that the same question has the same answer tomorrow."""

import hashlib
from collections.abc import Sequence

import msgspec
import rfc8785

from trimtab.build.records import keep, kept
from trimtab.build.request import Tools
from trimtab.domain.release import EnvironmentLock


def resolved_once(key: str, lines: Sequence[str], tools: Tools) -> EnvironmentLock:
    """The lock of the requirement lines, kept under `key` for as long as it fits the interpreter.

    Raises `Usage` TT-301."""
    entry = tools.cache / "locks" / f"{key}.json"
    known = kept(entry, EnvironmentLock)
    if known is not None and tools.environments.fits(known):
        return known
    lock = tools.environments.lock(lines)
    keep(entry, lock)
    return lock


def extended(lock: EnvironmentLock, lines: Sequence[str], tools: Tools) -> EnvironmentLock:
    """The lock with the packages of `lines` added and every other one as it was.

    Raises `Usage` TT-301 when they do not go together."""
    known = [f"{package.name}=={package.version}" for package in lock.packages]
    told = rfc8785.dumps({"lock": msgspec.to_builtins(lock), "added": list(lines)})
    return resolved_once(hashlib.sha256(told).hexdigest(), [*known, *lines], tools)
