"""Whether a worker is ready: its socket accepts and the worker names the right release."""

import asyncio
import contextlib
import struct
from pathlib import Path

import msgspec

from trimtab import errors
from trimtab.domain.processes import WorkerSlot

PROTOCOL = 1
HELLO = 1
LONGEST = 1_000_000
ANSWER_SECONDS = 5.0
"""A worker greets between two requests: one that works for longer is asked another time."""


class Hello(msgspec.Struct, frozen=True):
    """The header of a worker's first frame (docs/wire.md).

    `golden_failure` says why its golden set is no longer reproduced; "" while it is."""

    protocol: int
    release: str
    name: str
    worker: str
    pid: int
    golden_difference: float | None = None
    golden_failure: str = ""


async def greeted(path: Path, slot: WorkerSlot, pid: int, before: int | None = None) -> Hello:
    """Wait until the worker `pid` listens at `path`, where `before` may still do; its greeting.

    A socket that appears is a worker that has verified its release. Raises `Permanent` TT-401
    when it is another release's or another process's."""
    pause = 0.005
    while True:
        if path.exists():
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                hello = await _read_hello(path)
                if before is None or hello.pid != before:
                    return _checked(hello, slot, pid)
        await asyncio.sleep(pause)
        pause = min(0.05, pause * 1.2)


async def asked_again(path: Path, slot: WorkerSlot, pid: int) -> Hello | None:
    """What the worker says of itself by now; None where it does not answer in time."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return _checked(await _read_hello(path), slot, pid)
    except (OSError, asyncio.IncompleteReadError, errors.TrimtabError):
        return None


async def _read_hello(path: Path) -> Hello:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        size, kind, header = struct.unpack("<IBI", await reader.readexactly(9))
        if kind != HELLO or header > LONGEST or size < header + 5:
            raise _stranger("it does not greet as a worker does")
        return msgspec.json.decode(await reader.readexactly(header), type=Hello)
    except msgspec.DecodeError as cause:
        raise _stranger(str(cause)) from cause
    finally:
        writer.close()


def _checked(hello: Hello, slot: WorkerSlot, pid: int) -> Hello:
    wanted = (PROTOCOL, slot.release, slot.id, pid)
    found = (hello.protocol, hello.release, hello.worker, hello.pid)
    if found != wanted:
        raise _stranger(f"protocol, release, worker and pid are {found}, expected {wanted}")
    return hello


def _stranger(message: str) -> errors.Permanent:
    return errors.Permanent(errors.WORKER_FAILED, "greet", "the worker", message)
