"""The services of the gRPC listener: from a stream to its answer."""

import time
from collections.abc import Callable, Sequence

from trimtab.gateway.asked import asked
from trimtab.gateway.backlog import Backlog
from trimtab.gateway.directory import Directory, answering_plan, explicit_plan
from trimtab.gateway.faults import Fault, internal
from trimtab.gateway.grpc_call import GrpcCaller
from trimtab.gateway.grpc_exchange import (
    Dialogue,
    Exchange,
    InferTurn,
    Turn,
    Unary,
    timeout_seconds,
)
from trimtab.gateway.grpc_facts import config, metadata, ready, server, statistics
from trimtab.gateway.grpc_health import Health, Watcher
from trimtab.gateway.grpc_messages import named_version, parse_infer
from trimtab.gateway.grpc_reflection import reflect
from trimtab.gateway.grpc_status import ANSWER_HEAD, WRONG_CONTENT, fault_trailers
from trimtab.gateway.http2 import Receiver, Stream
from trimtab.gateway.intake import Intake
from trimtab.gateway.logs import Log
from trimtab.gateway.plan import Plan
from trimtab.gateway.table import RouteView

_SERVICE = b"/inference.GRPCInferenceService/"
_HEALTH = b"/grpc.health.v1.Health/"
_REFLECTION = tuple(
    b"/grpc.reflection.%b.ServerReflection/ServerReflectionInfo" % version
    for version in (b"v1", b"v1alpha")
)
"""The same messages under two names: tools ask for the older one when there is no newer."""

_REPOSITORY = tuple(
    _SERVICE + name
    for name in (b"RepositoryIndex", b"RepositoryModelLoad", b"RepositoryModelUnload")
)

Answer = Callable[[Exchange, bytes], None]
Open = Callable[[Stream, float | None], Receiver]


class GrpcFront:
    """Routes streams. Everything that goes wrong becomes a status here."""

    def __init__(self, directory: Directory, intake: Intake, backlog: Backlog, log: Log) -> None:
        self._directory = directory
        self._backlog = backlog
        self._intake = intake
        self._log = log
        self.health = Health(directory)
        inference: dict[bytes, Answer] = {
            b"ServerLive": self._live,
            b"ServerReady": self._all_ready,
            b"ModelReady": self._ready,
            b"ServerMetadata": self._server,
            b"ModelMetadata": self._metadata,
            b"ModelConfig": self._config,
            b"ModelStatistics": self._statistics,
            b"ModelInfer": self._infer,
        }
        self._methods: dict[bytes, Open] = {
            _SERVICE + name: self._unary(answer) for name, answer in inference.items()
        }
        self._methods[_SERVICE + b"ModelStreamInfer"] = self._dialogue(self._infer, InferTurn)
        for path in _REFLECTION:
            self._methods[path] = self._dialogue(reflect, Turn)
        self._methods[_HEALTH + b"Check"] = self._unary(self.health.check)
        self._methods[_HEALTH + b"Watch"] = lambda stream, _: Watcher(stream, self.health)

    def begin(self, stream: Stream) -> Receiver:
        """Who takes the body of a request."""
        fields = stream.head.fields
        if not fields.get(b"content-type", b"").startswith(b"application/grpc"):
            stream.refuse(WRONG_CONTENT)
            return _NOBODY
        try:
            opened = self._methods.get(stream.head.path)
            if opened is None or fields[b":method"] != b"POST":
                raise _unknown(stream.head.path)
            limit = fields.get(b"grpc-timeout")
            due = time.monotonic() + timeout_seconds(limit) if limit else None
            return opened(stream, due)
        except Fault as fault:
            stream.refuse(ANSWER_HEAD + fault_trailers(fault))
            return _NOBODY

    def _unary(self, answer: Answer) -> Open:
        handler = self._guarded(answer)
        return lambda stream, due: Unary(stream, handler, due)

    def _dialogue(self, answer: Answer, turn: type[Turn]) -> Open:
        handler = self._guarded(answer)
        return lambda stream, due: Dialogue(stream, handler, due, turn)

    def _guarded(self, answer: Answer) -> Answer:
        def begin(came: Sequence[tuple[Exchange, bytes]]) -> None:
            for exchange, message in came:
                if exchange.gone:
                    continue
                try:
                    answer(exchange, message)
                except Fault as fault:
                    exchange.refuse(fault)
                except Exception as error:  # a bug must cost one request, not the connection
                    request_id = self._intake.make_id()
                    self._log.error("request.failed", request_id=request_id, error=repr(error))
                    exchange.refuse(internal(request_id))

        def take(exchange: Exchange, message: bytes) -> None:
            self._backlog.give(begin, (exchange, message), len(message))

        return take

    def _infer(self, exchange: Exchange, message: bytes) -> None:
        request = parse_infer(message)
        route, explicit = self._named(request.model, request.version)
        caller = GrpcCaller(exchange, request)
        call = self._intake.begin(caller, route, explicit, exchange.trace)
        if exchange.due is not None:
            call.deadline = min(call.deadline, exchange.due)
        try:
            self._intake.submit(call, request.id, asked(request.parameters))
        except Fault as fault:
            self._intake.refuse(call, fault)

    def _named(self, model: str, version: str) -> tuple[RouteView, Plan | None]:
        """A deployment, and the release if one is asked for; raises a 404 or 503 `Fault`."""
        route = self._directory.deployment(model)
        return route, explicit_plan(route, version) if version else None

    def _live(self, exchange: Exchange, _: bytes) -> None:
        exchange.respond(ready(True))

    def _all_ready(self, exchange: Exchange, _: bytes) -> None:
        exchange.respond(ready(self._directory.all_ready()))

    def _ready(self, exchange: Exchange, message: bytes) -> None:
        try:
            named = self._named(*named_version(message))
        except Fault as fault:
            if fault.status != 404:
                raise
            exchange.respond(ready(False))
            return
        exchange.respond(ready(self._directory.ready(*named)))

    def _server(self, exchange: Exchange, _: bytes) -> None:
        exchange.respond(server())

    def _metadata(self, exchange: Exchange, message: bytes) -> None:
        route, explicit = self._named(*named_version(message))
        versions = tuple(sorted(route.by_number))
        exchange.respond(metadata(answering_plan(route, explicit), route.name, versions))

    def _config(self, exchange: Exchange, message: bytes) -> None:
        route, explicit = self._named(*named_version(message))
        exchange.respond(config(answering_plan(route, explicit), route.name))

    def _statistics(self, exchange: Exchange, message: bytes) -> None:
        model, version = named_version(message)
        if model:
            routes = [self._named(model, version)]
        else:
            routes = [(route, None) for route in self._directory.deployments()]
        counted = {route.name: self._directory.counted(route, plan) for route, plan in routes}
        exchange.respond(statistics(counted))


class _Nobody:
    """`Receiver` of what was refused by its headers."""

    def data(self, data: bytes) -> None:
        """Not wanted."""

    def end(self) -> None:
        """Answered already."""

    def late(self) -> None:
        """Answered already."""

    def lost(self) -> None:
        """Nothing to stop."""


_NOBODY = _Nobody()


def _unknown(path: bytes) -> Fault:
    if path in _REPOSITORY:
        return Fault(501, "releases are loaded and unloaded through the admin API")
    return Fault(501, f"there is no method {path[:100].decode('latin-1')}")
