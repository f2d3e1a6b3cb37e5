"""The sockets that clients and operators connect to, held by the agent across restarts."""

import errno
import ipaddress
import os
import socket
import time
from dataclasses import dataclass

from trimtab import errors

BACKLOG = 1024
_USUAL_PORTS = {"inference": 8080, "grpc": 8081, "admin": 8090}


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket and the URL under which it is reached."""

    socket: socket.socket
    url: str

    @property
    def target(self) -> str:
        """Host and port, as clients of gRPC name it."""
        return self.url.removeprefix("http://")


def parse_address(text: str, name: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`. Raises `Usage` TT-102."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        raise errors.Usage(
            errors.BAD_VALUE,
            "read address",
            f"{name} = {text!r}",
            "an address is host:port",
            hint=f'set server.{name} = "127.0.0.1:{_USUAL_PORTS[name]}"',
        )
    return host.strip("[]"), int(port)


def open_admin(text: str, wait: float = 0.0) -> Listener:
    """The admin listener. Raises `Refused` TT-110 unless the address is a loopback one."""
    host, _ = parse_address(text, "admin")
    if not is_loopback(host):
        raise errors.Refused(
            errors.UNSAFE_BIND,
            "listen on",
            text,
            "the admin listener has no authentication yet, so only this machine may reach it",
            unchanged="nothing was started",
            hint='set server.admin = "127.0.0.1:8090" and reach it through ssh -L',
        )
    return open_listener(text, "admin", wait)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_listener(text: str, name: str, wait: float = 0.0) -> Listener:
    """A listening socket. Raises `Unavailable` TT-108 when the port stays taken for `wait` s."""
    host, port = parse_address(text, name)
    deadline = time.monotonic() + wait
    while True:
        try:
            return _listening(host, port)
        except OSError as cause:
            if cause.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise _cannot_listen(text, name, cause) from cause


def _listening(host: str, port: int) -> Listener:
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    shown = f"[{host}]" if ":" in host else host
    return Listener(sock, f"http://{shown}:{sock.getsockname()[1]}")


def _cannot_listen(text: str, name: str, cause: OSError) -> errors.Unavailable:
    reason = os.strerror(cause.errno) if cause.errno and cause.errno > 0 else str(cause)
    taken = cause.errno == errno.EADDRINUSE
    return errors.Unavailable(
        errors.PORT_IN_USE,
        "listen on",
        text,
        "another process listens there" if taken else f"the system refuses it: {reason}",
        unchanged="nothing was started",
        hint=f"TRIMTAB_SERVER_{name.upper()}=127.0.0.1:0 trimtab up",
    )
