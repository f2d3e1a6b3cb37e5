"""The socket of a worker: one thread, many connections, one request at a time.

Requests of all connections are answered in the order in which they were read. Nothing waits for
a slow reader: what it does not take is kept for it, and it is read no further until it does.
"""

import contextlib
import os
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from .failures import StageFailure
from .frames import (
    PROTOCOL,
    Bytes,
    Decoder,
    Frame,
    FrameError,
    Kind,
    encode,
    encode_tensors,
    tensors_of,
)
from .model import Model
from .replay import Replay
from .tracing import within
from .watchdog import patience, prepare

_RESULT = b'{"id":%d,"rows":%d,"features_seconds":%a,"model_seconds":%a,"ended_at":%a}'
_WANTED: Mapping[Kind, tuple[str, ...]] = {Kind.PREDICT: ("id", "rows"), Kind.PING: ("id",)}
_PIECE = 256 * 1024
_MOST_BUFFERS = 64
_MOST_WAITING = 256
_MOST_UNSENT = 64 * 1024 * 1024
_QUIET_SECONDS = 0.5
"""After BYE, how long nothing may arrive before requests on their way are taken to be none."""
_CUT_OFF_SECONDS = 5.0
"""After BYE, how long a frame that began may take to arrive whole."""


@dataclass(eq=False)
class Connection:
    """One gateway. `waiting` counts its requests that are read and not answered."""

    sock: socket.socket
    decoder: Decoder = field(default_factory=Decoder)
    unsent: deque[Bytes] = field(default_factory=deque)
    unsent_bytes: int = 0
    waiting: int = 0
    watched: int = 0
    gone: bool = False

    def send(self, buffers: list[Bytes]) -> None:
        """Write as much of the buffers as the kernel takes now, and keep the rest."""
        kept = [each for each in buffers if len(each)]
        self.unsent.extend(kept)
        self.unsent_bytes += sum(map(len, kept))
        self.flush()

    def flush(self) -> None:
        """Write what is unsent; a peer that is gone makes the connection `gone`."""
        try:
            while self.unsent:
                self._sent(self.sock.sendmsg(islice(self.unsent, _MOST_BUFFERS)))
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True

    def _sent(self, size: int) -> None:
        self.unsent_bytes -= size
        if not self.unsent_bytes:
            self.unsent.clear()
            return
        while size:
            head = self.unsent.popleft()
            if size < len(head):
                self.unsent.appendleft(memoryview(head)[size:])
                return
            size -= len(head)


class Server:
    """Answers frames for a verified model until it is told to stop."""

    def __init__(self, model: Model, path: Path, replay: Replay) -> None:
        config = model.config
        self._model = model
        self._replay = replay
        self._hello = {
            "protocol": PROTOCOL,
            "release": config.release,
            "name": config.name,
            "worker": path.stem,
            "pid": os.getpid(),
        }
        self._path = path.absolute()
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._connections: set[Connection] = set()
        self._queue: deque[tuple[Connection, Frame, float]] = deque()
        self._stopping = False
        self._said_bye = False
        self._last_read = 0.0
        self._listener = listen(self._path)
        self._inode = self._path.stat().st_ino
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def stop(self) -> None:
        """Begin to drain. Safe from a signal handler and from another thread."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._wake.send(b".")

    def run(self) -> None:
        """Serve until `stop`, then say BYE, answer what was asked, and return.

        Call it in the main thread: it takes over SIGALRM.
        """
        prepare()
        while not self._drained():
            for key, events in self._selector.select(self._patience()):
                self._ready(key, events)
            if self._stopping and not self._said_bye:
                self._say_bye()
            if self._queue:
                self._answer(*self._queue.popleft())
            elif not self._stopping:
                self._replay.step()
        for connection in list(self._connections):
            self._drop(connection)
        self._selector.close()

    def _patience(self) -> float | None:
        if self._queue:
            return 0.0
        return _QUIET_SECONDS / 5 if self._stopping else self._replay.wait()

    def _drained(self) -> bool:
        if not self._said_bye or self._queue:
            return False
        quiet = time.monotonic() - self._last_read
        if any(each.decoder.waiting or each.unsent for each in self._connections):
            return quiet > _CUT_OFF_SECONDS
        return not self._connections or quiet > _QUIET_SECONDS

    def _ready(self, key: selectors.SelectorKey, events: int) -> None:
        if key.fileobj is self._listener:
            self._accept()
        elif key.fileobj is self._woken:
            self._woken.recv(64)
        elif not key.data.gone:
            if events & selectors.EVENT_WRITE:
                key.data.flush()
            if events & selectors.EVENT_READ:
                self._read(key.data)
            self._watch(key.data)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        connection = Connection(sock)
        self._connections.add(connection)
        golden = {
            "golden_difference": self._replay.difference,
            "golden_failure": self._replay.failure,
        }
        connection.send(encode(Kind.HELLO, {**self._hello, **golden}))
        self._watch(connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._last_read = now = time.monotonic()
        if not data:
            connection.gone = True
            return
        try:
            for frame in connection.decoder.feed(data):
                _check_request(frame)
                self._queue.append((connection, frame, now))
                connection.waiting += 1
        except FrameError as error:
            _log(f"a connection is closed: {error}")
            connection.gone = True

    def _watch(self, connection: Connection) -> None:
        """Ask the kernel for what this connection can do next, or drop it."""
        if connection.gone:
            self._drop(connection)
            return
        full = connection.waiting >= _MOST_WAITING or connection.unsent_bytes >= _MOST_UNSENT
        events = (0 if full else selectors.EVENT_READ) | (
            selectors.EVENT_WRITE if connection.unsent else 0
        )
        if events == connection.watched:
            return
        if connection.watched == 0:
            self._selector.register(connection.sock, events, connection)
        elif events == 0:
            self._selector.unregister(connection.sock)
        else:
            self._selector.modify(connection.sock, events, connection)
        connection.watched = events

    def _drop(self, connection: Connection) -> None:
        connection.gone = True
        if connection.watched:
            self._selector.unregister(connection.sock)
            connection.watched = 0
        connection.sock.close()
        self._connections.discard(connection)

    def _answer(self, connection: Connection, frame: Frame, received: float) -> None:
        """Answer one request; those of a peer that is gone are not worth the work."""
        connection.waiting -= 1
        if connection.gone:
            return
        with patience(frame.header.get("patience")):
            connection.send(self._answered(frame, received))
        self._watch(connection)

    def _answered(self, frame: Frame, received: float) -> list[Bytes]:
        header = frame.header
        if frame.kind is Kind.PING:
            return encode(Kind.PONG, {"id": header["id"]})
        try:
            _check_deadline(header, received)
            traces = header.get("traces")
            if not traces:
                return self._predicted(frame)
            with within(traces):
                return self._predicted(frame)
        except StageFailure as failure:
            fields = {"id": header["id"], "stage": failure.stage, "message": str(failure)}
            return encode(Kind.FAILURE, fields)

    def _predicted(self, frame: Frame) -> list[Bytes]:
        rows = frame.header["rows"]
        try:
            (inputs,) = tensors_of(frame, "inputs")
        except FrameError as error:
            raise StageFailure("input", str(error)) from error
        answer = self._model.predict(inputs, rows)
        spent = answer.features_seconds, answer.model_seconds
        header = _RESULT % (frame.header["id"], rows, *spent, time.monotonic())
        try:
            return encode_tensors(Kind.RESULT, header, {"outputs": answer.outputs})
        except FrameError as error:
            raise StageFailure("output", str(error)) from error

    def _say_bye(self) -> None:
        """No new connection, no new request; the path is left alone if a successor has it."""
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        self._selector.unregister(self._listener)
        self._listener.close()
        for connection in list(self._connections):
            connection.send(encode(Kind.BYE, {}))
            self._watch(connection)
        self._last_read = time.monotonic()
        self._said_bye = True


def listen(path: Path) -> socket.socket:
    """A listening socket that appears at `path` only once it accepts, replacing a stale one.

    The kernel allows about 100 bytes for the name, so it is bound from within its folder.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    unfinished = f".{os.getpid()}"
    with contextlib.chdir(path.parent):
        with contextlib.suppress(FileNotFoundError):
            Path(unfinished).unlink()
        listener.bind(unfinished)
        listener.listen(128)
        Path(unfinished).replace(path.name)
    return listener


def _check_request(frame: Frame) -> None:
    """A frame that breaks the protocol ends its connection, for no answer could be matched."""
    wanted = _WANTED.get(frame.kind)
    if wanted is None:
        raise FrameError(f"a worker is not sent {frame.kind.name}")
    for name in wanted:
        if not isinstance(frame.header.get(name), int):
            raise FrameError(f"a {frame.kind.name} needs {' and '.join(wanted)}")


def _check_deadline(header: Mapping[str, Any], received: float) -> None:
    """A request whose caller has given up is answered without the work."""
    seconds = header.get("seconds_left")
    if isinstance(seconds, int | float) and time.monotonic() - received > seconds:
        raise StageFailure("model", "the deadline passed while the request waited in the worker")


def _log(message: str) -> None:
    sys.stderr.write(f"trimtab worker {os.getpid()}: {message}\n")
