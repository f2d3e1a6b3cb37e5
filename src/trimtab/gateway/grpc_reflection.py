"""`grpc.reflection.v1`: what services, methods and messages there are, for tools without our files.

Source: the gRPC document "GRPC Server Reflection Protocol".
"""

from functools import lru_cache
from importlib import resources

from trimtab.gateway import protobuf
from trimtab.gateway.descriptors import Described, described
from trimtab.gateway.faults import bad
from trimtab.gateway.grpc_exchange import Exchange
from trimtab.gateway.grpc_status import Status
from trimtab.gateway.protobuf import BYTES, ProtobufError, integer, nested, tag, text

FILES = ("inference.proto", "health.proto", "reflection.proto")
_BY_NAME, _BY_SYMBOL, _LIST = tag(3, BYTES), tag(4, BYTES), tag(7, BYTES)
_HOST = tag(1, BYTES)


@lru_cache(maxsize=1)
def files() -> tuple[Described, ...]:
    """The descriptors of everything that the listener answers."""
    folder = resources.files("trimtab.gateway") / "protos"
    return tuple(described(name, (folder / name).read_text("utf-8")) for name in FILES)


def reflect(exchange: Exchange, message: bytes) -> None:
    """Answer one ServerReflectionRequest; raises a 400 `Fault`."""
    host, asked, name = "", 0, ""
    try:
        for mark, value in protobuf.fields(message):
            if mark == _HOST:
                host = protobuf.text_of(value)
            elif mark & 7 == BYTES:
                asked, name = mark, "" if mark == tag(5, BYTES) else protobuf.text_of(value)
    except ProtobufError as error:
        raise bad(f"the request cannot be read: {error}") from None
    exchange.respond(text(1, host) + nested(2, message) + _found(asked, name))


def _found(asked: int, name: str) -> bytes:
    if asked == _LIST:
        services = (service for file in files() for service in file.services)
        return nested(6, b"".join(nested(1, text(1, service)) for service in services))
    for file in files():
        if (asked == _BY_NAME and file.name == name) or (
            asked == _BY_SYMBOL and name in file.symbols
        ):
            return nested(4, nested(1, file.descriptor))
    if asked in (_BY_NAME, _BY_SYMBOL):
        return _error(Status.NOT_FOUND, f"there is no {name[:100]!r}")
    return _error(Status.UNIMPLEMENTED, "there are no extensions of messages")


def _error(status: Status, why: str) -> bytes:
    return nested(7, integer(1, status) + text(2, why))
