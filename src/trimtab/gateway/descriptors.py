"""Files of proto3 as the descriptors that clients ask for.

The subset that the files in `protos` are written in: messages with fields, maps and oneofs, enums,
services. Field numbers of descriptors are those of `google/protobuf/descriptor.proto`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from trimtab.gateway.protobuf import integer, nested, text

_TOKEN = re.compile(r'"[^"]*"|[A-Za-z_][\w.]*|\d+|[{}()<>;=,]')
_SCALARS = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "uint32": 13,
}
_MESSAGE, _ENUM = 11, 14
_OPTIONAL, _REPEATED = 1, 3


@dataclass(frozen=True, slots=True)
class Described:
    """A file: its FileDescriptorProto, its services, and the full names of all that it declares."""

    name: str
    descriptor: bytes
    services: tuple[str, ...]
    symbols: frozenset[str]


@dataclass(slots=True)
class _Message:
    """What a message declares; `parts` are encoded fields of its DescriptorProto."""

    name: str
    full_name: str
    fields: list["_Field"] = field(default_factory=list)
    messages: list["_Message"] = field(default_factory=list)
    enums: list[bytes] = field(default_factory=list)
    oneofs: list[str] = field(default_factory=list)
    is_map: bool = False


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    number: int
    kind: str
    label: int = _OPTIONAL
    oneof: int | None = None


def described(name: str, source: str) -> Described:
    """The descriptor of a file; raises `ValueError` for what is not of the subset."""
    return _Reader(name, source).file()


class _Reader:
    def __init__(self, name: str, source: str) -> None:
        lines = (line.partition("//")[0] for line in source.splitlines())
        self._tokens: Iterator[str] = iter(_TOKEN.findall("\n".join(lines)))
        self._name = name
        self._package = ""
        self._symbols: dict[str, int] = {}
        self._services: dict[str, bytes] = {}

    def file(self) -> Described:
        messages: list[_Message] = []
        enums: list[bytes] = []
        services: list[list[tuple[str, str, str, bool, bool]]] = []
        names: list[str] = []
        for word in self._tokens:
            if word == "syntax":
                self._skip("=", '"proto3"', ";")
            elif word == "package":
                self._package = next(self._tokens)
                self._skip(";")
            elif word == "message":
                messages.append(self._message(self._package))
            elif word == "enum":
                enums.append(self._enum(self._package))
            elif word == "service":
                names.append(next(self._tokens))
                services.append(self._methods())
            else:
                raise ValueError(f"{self._name}: {word!r} is not understood")
        parts = [text(1, self._name), text(2, self._package)]
        parts += [nested(4, self._encoded(message)) for message in messages]
        parts += [nested(5, enum) for enum in enums]
        for service, methods in zip(names, services, strict=True):
            full_name = f"{self._package}.{service}"
            self._symbols[full_name] = 0
            encoded = b"".join(self._method(full_name, *method) for method in methods)
            parts.append(nested(6, text(1, service) + encoded))
        parts.append(text(12, "proto3"))
        services_named = tuple(f"{self._package}.{service}" for service in names)
        return Described(self._name, b"".join(parts), services_named, frozenset(self._symbols))

    def _skip(self, *expected: str) -> None:
        for token in expected:
            if (found := next(self._tokens)) != token:
                raise ValueError(f"{self._name}: {found!r} where {token!r} should be")

    def _message(self, scope: str) -> _Message:
        name = next(self._tokens)
        made = _Message(name, f"{scope}.{name}")
        self._symbols[made.full_name] = _MESSAGE
        self._skip("{")
        while (word := next(self._tokens)) != "}":
            if word == "message":
                made.messages.append(self._message(made.full_name))
            elif word == "enum":
                made.enums.append(self._enum(made.full_name))
            elif word == "oneof":
                made.oneofs.append(next(self._tokens))
                self._skip("{")
                while (kind := next(self._tokens)) != "}":
                    made.fields.append(self._field(kind, oneof=len(made.oneofs) - 1))
            elif word == "map":
                self._map(made)
            elif word == "repeated":
                made.fields.append(self._field(next(self._tokens), _REPEATED))
            else:
                made.fields.append(self._field(word))
        return made

    def _field(self, kind: str, label: int = _OPTIONAL, oneof: int | None = None) -> _Field:
        name = next(self._tokens)
        self._skip("=")
        number = int(next(self._tokens))
        self._skip(";")
        return _Field(name, number, kind, label, oneof)

    def _map(self, owner: _Message) -> None:
        """A map is a repeated message of key and value, which is named after the field."""
        self._skip("<")
        key = next(self._tokens)
        self._skip(",")
        value = next(self._tokens)
        self._skip(">")
        made = self._field("", _REPEATED)
        entry = "".join(part.capitalize() for part in made.name.split("_")) + "Entry"
        fields = [_Field("key", 1, key), _Field("value", 2, value)]
        message = _Message(entry, f"{owner.full_name}.{entry}", fields, is_map=True)
        self._symbols[message.full_name] = _MESSAGE
        owner.messages.append(message)
        owner.fields.append(_Field(made.name, made.number, message.full_name, _REPEATED))

    def _enum(self, scope: str) -> bytes:
        name = next(self._tokens)
        self._symbols[f"{scope}.{name}"] = _ENUM
        self._skip("{")
        values = b""
        while (value := next(self._tokens)) != "}":
            self._skip("=")
            values += nested(2, text(1, value) + integer(2, int(next(self._tokens))))
            self._skip(";")
        return text(1, name) + values

    def _methods(self) -> list[tuple[str, str, str, bool, bool]]:
        """Name, input, output, and which of the two is a stream, of each method."""
        found = []
        self._skip("{")
        while (word := next(self._tokens)) != "}":
            if word != "rpc":
                raise ValueError(f"{self._name}: {word!r} where a method should be")
            name = next(self._tokens)
            taken, taken_stream = self._kind()
            self._skip("returns")
            given, given_stream = self._kind()
            self._skip("{", "}")
            found.append((name, taken, given, taken_stream, given_stream))
        return found

    def _kind(self) -> tuple[str, bool]:
        self._skip("(")
        kind = next(self._tokens)
        stream = kind == "stream"
        if stream:
            kind = next(self._tokens)
        self._skip(")")
        return kind, stream

    def _method(self, service: str, name: str, taken: str, given: str, *streams: bool) -> bytes:
        self._symbols[f"{service}.{name}"] = 0
        kinds = text(2, self._resolved(taken, "")) + text(3, self._resolved(given, ""))
        return nested(2, text(1, name) + kinds + integer(5, streams[0]) + integer(6, streams[1]))

    def _encoded(self, message: _Message) -> bytes:
        parts = [text(1, message.name)]
        parts += [nested(2, self._encoded_field(each, message)) for each in message.fields]
        parts += [nested(3, self._encoded(each)) for each in message.messages]
        parts += [nested(4, enum) for enum in message.enums]
        parts += [nested(8, text(1, oneof)) for oneof in message.oneofs]
        if message.is_map:
            parts.append(nested(7, integer(7, 1)))
        return b"".join(parts)

    def _encoded_field(self, each: _Field, message: _Message) -> bytes:
        head = text(1, each.name) + integer(3, each.number) + integer(4, each.label)
        if each.kind in _SCALARS:
            kind = integer(5, _SCALARS[each.kind])
        else:
            name = self._resolved(each.kind, message.full_name)
            kind = integer(5, self._symbols[name[1:]]) + text(6, name)
        # The first oneof has the number 0, which must be said nevertheless.
        oneof = b"" if each.oneof is None else b"\x48" + bytes((each.oneof,))
        return head + kind + oneof

    def _resolved(self, kind: str, scope: str) -> str:
        """The full name, with its leading dot, of a type as it is known in a scope."""
        if kind in self._symbols:
            return f".{kind}"
        while scope:
            if f"{scope}.{kind}" in self._symbols:
                return f".{scope}.{kind}"
            scope = scope.rpartition(".")[0]
        if f"{self._package}.{kind}" in self._symbols:
            return f".{self._package}.{kind}"
        raise ValueError(f"{self._name}: there is no {kind}")
