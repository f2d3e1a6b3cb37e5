"""`grpc.health.v1`: whether this process, or one deployment, can answer."""

from trimtab.gateway.directory import Directory
from trimtab.gateway.faults import Fault
from trimtab.gateway.grpc_exchange import Exchange, Unary, framed
from trimtab.gateway.grpc_messages import named_version
from trimtab.gateway.grpc_status import ANSWER_HEAD, OK
from trimtab.gateway.http2 import Stream
from trimtab.gateway.protobuf import integer

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
WHOLE = ("", "inference.GRPCInferenceService")
"""Services that stand for the process; any other name is a deployment's."""


class Health:
    """Answers Check, and tells watchers of changes when `tick` is called."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._watchers: dict[Watcher, int] = {}

    def check(self, exchange: Exchange, message: bytes) -> None:
        """Answer a HealthCheckRequest; raises a `Fault` (400, 404)."""
        service, _ = named_version(message)
        status = self.status(service)
        if status == SERVICE_UNKNOWN:
            raise Fault(404, f"no service or deployment {service[:64]!r}")
        exchange.respond(integer(1, status))

    def status(self, service: str) -> int:
        """What a service's status is."""
        if service in WHOLE:
            return _serving(self._directory.all_ready())
        try:
            route = self._directory.deployment(service)
        except Fault:
            return SERVICE_UNKNOWN
        return _serving(self._directory.ready(route, None))

    def watch(self, watcher: "Watcher") -> None:
        """Tell a watcher, now and whenever its service changes."""
        self._watchers[watcher] = self.status(watcher.service)
        watcher.tell(self._watchers[watcher])

    def forget(self, watcher: "Watcher") -> None:
        """The watcher has gone."""
        self._watchers.pop(watcher, None)

    def tick(self) -> None:
        """Tell watchers what has changed."""
        for watcher, told in list(self._watchers.items()):
            status = self.status(watcher.service)
            if status != told:
                self._watchers[watcher] = status
                watcher.tell(status)

    def drain(self) -> None:
        """Nothing is served any more: say so, and end what watchers wait for."""
        self._directory.drain()
        self.tick()
        while self._watchers:
            self._watchers.popitem()[0].finish()


class Watcher(Unary):
    """A Watch, which is answered again and again."""

    __slots__ = ("_health", "service")

    def __init__(self, stream: Stream, health: Health) -> None:
        super().__init__(stream, self._begin, None)
        self._health = health
        self.service = ""

    def _begin(self, _: Exchange, message: bytes) -> None:
        try:
            self.service = named_version(message)[0]
        except Fault as fault:
            self.refuse(fault)
            return
        self._stream.begin(ANSWER_HEAD)
        self._health.watch(self)

    def tell(self, status: int) -> None:
        """One answer."""
        self._stream.send(framed(integer(1, status)))

    def finish(self) -> None:
        """The last answer was given."""
        self._stream.finish(OK)

    def lost(self) -> None:
        """The client gave up."""
        super().lost()
        self._health.forget(self)


def _serving(ready: bool) -> int:
    return SERVING if ready else NOT_SERVING
