"""The endpoints of the inference listener: from an exchange to its answer."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from trimtab import __version__
from trimtab.domain import telemetry
from trimtab.domain.counts import Sample
from trimtab.domain.routing import TOTAL_WEIGHT
from trimtab.gateway import mlflow_shapes
from trimtab.gateway.answers import encode_json, metadata, statistics
from trimtab.gateway.asked import asked
from trimtab.gateway.directory import Directory, answering_plan, explicit_plan
from trimtab.gateway.faults import Fault, internal, not_found, unavailable
from trimtab.gateway.heads import BINARY, JSON, Heading, heading
from trimtab.gateway.http11 import Exchange
from trimtab.gateway.intake import Intake
from trimtab.gateway.labels import parse_feedback
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter
from trimtab.gateway.mlflow_shapes import MlflowCaller
from trimtab.gateway.openapi import description
from trimtab.gateway.peers import Look
from trimtab.gateway.plan import PLATFORM, Plan
from trimtab.gateway.pool import Pools
from trimtab.gateway.record import Recorder
from trimtab.gateway.rest import BinaryCaller, RestCaller
from trimtab.gateway.schemas import rows_of
from trimtab.gateway.table import RouteView, Table
from trimtab.gateway.truths import heard

EXTENSIONS = [
    "binary_tensor_data",
    "model_configuration",
    "parameters",
    "schedule_policy",
    "statistics",
]
MOST_TARGETS = 4096
LONGEST_TARGET = 512
"""Bytes of a path that is remembered; those of deployments are shorter."""
_READS: tuple[bytes, ...] = (b"GET", b"HEAD")
_WRITES: tuple[bytes, ...] = (b"POST",)
_TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
_METRICS_TYPE = b"Content-Type: text/plain; version=1.0.0; charset=utf-8\r\n"

Handler = Callable[[Exchange, RouteView, Plan | None], None]


@dataclass(frozen=True, slots=True)
class Target:
    """What a path means: who answers, to which methods, for which model and version."""

    handler: Handler
    methods: tuple[bytes, ...]
    model: str
    version: str | None


class Front:
    """Routes exchanges. Everything that goes wrong becomes an error answer here.

    `look` makes the counts of `meter` those of all processes."""

    def __init__(
        self,
        directory: Directory,
        intake: Intake,
        recorder: Recorder,
        meter: Meter,
        look: Look,
        log: Log,
    ) -> None:
        self._directory = directory
        self._intake = intake
        self._recorder = recorder
        self._meter = meter
        self._look = look
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._targets: dict[bytes, Target] = {}
        self._fixed: dict[bytes, Callable[[Exchange], None]] = {
            b"/v2": self._server,
            b"/v2/": self._server,
            b"/v2/health/live": self._live,
            b"/v2/health/ready": self._all_ready,
            b"/ping": self._ping,
            b"/health": self._ping,
            b"/version": lambda exchange: exchange.respond(200, __version__.encode(), _TEXT),
            b"/metrics": self._metrics,
            b"/openapi.json": self._description,
            b"/v2/models/stats": self._all_stats,
        }
        self._reading: dict[str, Handler] = {
            "": self._metadata,
            "ready": self._ready,
            "config": self._config,
            "stats": self._stats,
        }
        self._writing: dict[str, Handler] = {
            "infer": self._infer,
            "invocations": self._invoke,
            "feedback": self._feedback,
        }

    def begin(self, exchanges: Sequence[Exchange]) -> None:
        """Answer exchanges, now or later, unless their clients have gone."""
        targets, routes = self._targets, self._directory.routes()
        for exchange in exchanges:
            if exchange.connection.gone:
                continue
            try:
                target = targets.get(exchange.path)
                if target is None:
                    self._first(exchange)
                else:
                    self._go(exchange, target, routes.get(target.model))
            except Fault as fault:
                _refuse(exchange, fault)
            except Exception as error:  # a bug must cost one request, not the connection
                self._failed(exchange, error)

    async def finish(self) -> None:
        """Wait for answers that are being made by tasks."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _first(self, exchange: Exchange) -> None:
        """Answer for a path without a deployment, or for the first time for another."""
        fixed = self._fixed.get(exchange.path)
        if fixed is None:
            self._go(exchange, self._learn(exchange.path))
        elif exchange.method not in _READS:
            raise _not_allowed(_READS)
        else:
            fixed(exchange)

    def _go(self, exchange: Exchange, target: Target, route: RouteView | None = None) -> None:
        if exchange.method not in target.methods:
            raise _not_allowed(target.methods)
        if route is None:
            model, directory = target.model, self._directory
            route = directory.deployment(model) if model else directory.only_deployment()
        plan = None if target.version is None else explicit_plan(route, target.version)
        target.handler(exchange, route, plan)

    def _learn(self, path: bytes) -> Target:
        """What a path means, from now on at once: the paths that clients use are few."""
        model, version, verb = _model_path(path)
        handler, methods = self._reading.get(verb), _READS
        if handler is None:
            handler, methods = self._writing.get(verb), _WRITES
            if handler is None or (verb == "feedback" and version is not None):
                raise not_found("no such path; GET /openapi.json lists them")
        target = Target(handler, methods, model, version)
        if len(path) <= LONGEST_TARGET:
            if len(self._targets) >= MOST_TARGETS:
                self._targets.clear()
            self._targets[path] = target
        return target

    def _infer(self, exchange: Exchange, route: RouteView, explicit: Plan | None) -> None:
        said: Heading = exchange.headers.meaning or heading(exchange.headers)
        caller = RestCaller(exchange) if said.content == JSON else _other_caller(exchange, said)
        call = self._intake.begin(caller, route, explicit, said.trace)
        try:
            body = caller.read()
            wishes = asked(body.parameters, said.asked) if body.parameters else said.asked
            self._intake.submit(call, body.id or said.request_id, wishes)
        except Fault as fault:
            self._intake.refuse(call, fault)

    def _invoke(self, exchange: Exchange, route: RouteView, explicit: Plan | None) -> None:
        said = heading(exchange.headers)
        if said.content == BINARY:
            raise Fault(415, "the body must be application/json or text/csv")
        caller = MlflowCaller(exchange, said.content)
        call = self._intake.begin(caller, route, explicit, said.trace)

        def submit() -> None:
            wishes = asked(caller.read(), said.asked)
            self._intake.submit(call, said.request_id, wishes)

        async def submit_when_prepared() -> None:
            try:
                for _ in caller.prepare():
                    await asyncio.sleep(0)
                submit()
            except Fault as fault:
                self._intake.refuse(call, fault)
            except Exception as error:
                self._log.error("request.failed", request_id=call.request_id, error=repr(error))
                self._intake.refuse(call, internal(call.request_id))

        if caller.large:
            self._start(exchange, submit_when_prepared())
            return
        try:
            submit()
        except Fault as fault:
            self._intake.refuse(call, fault)

    def _feedback(self, exchange: Exchange, route: RouteView, _: Plan | None) -> None:
        if heading(exchange.headers).content != JSON:
            raise Fault(415, "labels come as application/json")
        block = parse_feedback(exchange.body, route.name, time.time())
        block, told = heard(block, route.stable, route.key is not None)
        if not len(block):
            exchange.respond(200, encode_json(told))
            return

        async def accept() -> None:
            try:
                await self._recorder.add_labels(block)
            except OSError as error:
                self._log.error("labels.failed", deployment=route.name, error=str(error))
                exchange.refuse(unavailable("the labels could not be stored; nothing was accepted"))
            else:
                exchange.respond(200, encode_json(told))

        self._start(exchange, accept())

    def _start(self, exchange: Exchange, work: Coroutine[None, None, None]) -> None:
        """Let the work for an answer go on beside the requests."""

        async def answer() -> None:
            try:
                await work
            except Exception as error:  # a bug must not leave a client without an answer
                self._failed(exchange, error)

        task = self._loop.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _failed(self, exchange: Exchange, error: Exception) -> None:
        request_id = self._intake.make_id()
        self._log.error("request.failed", request_id=request_id, error=repr(error))
        exchange.refuse(internal(request_id))

    def _server(self, exchange: Exchange) -> None:
        facts = {"name": "trimtab", "version": __version__, "extensions": EXTENSIONS}
        exchange.respond(200, encode_json(facts))

    def _live(self, exchange: Exchange) -> None:
        exchange.respond(200, b'{"live":true}')

    def _all_ready(self, exchange: Exchange) -> None:
        ready = self._directory.all_ready()
        body = encode_json({"live": True, "ready": ready})
        exchange.respond(200 if ready else 503, body)

    def _ping(self, exchange: Exchange) -> None:
        """Readiness as MLflow's and SageMaker's clients ask for it: only the status counts."""
        exchange.respond(200 if self._directory.all_ready() else 503, b"\n", _TEXT)

    def _ready(self, exchange: Exchange, route: RouteView, explicit: Plan | None) -> None:
        ready = self._directory.ready(route, explicit)
        exchange.respond(200 if ready else 503, encode_json({"name": route.name, "ready": ready}))

    def _metadata(self, exchange: Exchange, route: RouteView, explicit: Plan | None) -> None:
        plan = answering_plan(route, explicit)
        exchange.respond(200, metadata(plan, route.name, tuple(sorted(route.by_number))))

    def _config(self, exchange: Exchange, route: RouteView, explicit: Plan | None) -> None:
        plan = answering_plan(route, explicit)
        canary = route.weight if route.canary is not None else 0
        weights = {"stable": TOTAL_WEIGHT - canary, "canary": canary, "shadow": 0}
        routes = [
            {
                "release": routed.name,
                "mode": route.mode_of(routed),
                "weight_ratio": weights[route.mode_of(routed)] / TOTAL_WEIGHT,
            }
            for routed in route.routed()
        ]
        facts = {
            "name": route.name,
            "platform": PLATFORM,
            "release": plan.name,
            "deadline_seconds": route.deadline,
            "key": route.key,
            "routes": routes,
        }
        exchange.respond(200, encode_json(facts))

    def _stats(self, exchange: Exchange, route: RouteView, explicit: Plan | None) -> None:
        counted = self._directory.counted(route, explicit)
        exchange.respond(200, encode_json({"model_stats": statistics(route.name, counted)}))

    def _all_stats(self, exchange: Exchange) -> None:
        routes = self._directory.deployments()
        namesake = next((route for route in routes if route.name == "stats"), None)
        if namesake is not None:
            self._metadata(exchange, namesake, None)
            return
        stats = [
            each
            for route in routes
            for each in statistics(route.name, self._directory.counted(route, None))
        ]
        exchange.respond(200, encode_json({"model_stats": stats}))

    def _description(self, exchange: Exchange) -> None:
        routes = self._directory.deployments()
        rows = {r.name: rows_of(r.stable, r.key) for r in routes if r.stable is not None}
        exchange.respond(200, encode_json(description(rows)))

    def _metrics(self, exchange: Exchange) -> None:
        async def tell() -> None:
            await self._look()
            text = []
            for piece in self._meter.exposition():
                text.append(piece)
                await asyncio.sleep(0)
            exchange.respond(200, b"".join(text), _METRICS_TYPE)

        self._start(exchange, tell())


def _connected(table: Table, pools: Pools) -> list[Sample]:
    """Workers by release, but of one that sleeps wherever it is routed: nobody misses them."""
    routed: dict[bool, set[str]] = {True: set(), False: set()}
    for route in table.view.deployments.values() if table.view else ():
        routed[route.asleep].update(plan.release for plan in route.routed())
    missed = [pool for pool in pools if pool.plan.release not in routed[True] - routed[False]]
    return [((pool.plan.name,), pool.connected) for pool in missed]


def register_gauges(meter: Meter, table: Table, pools: Pools) -> None:
    """Where the gauges are read when `/metrics` is asked."""
    lanes = ("realtime", "batch", "shadow")
    meter.gauge(
        telemetry.QUEUE_DEPTH,
        lambda: [((p.plan.name, lane), p.depth(lane)) for p in pools for lane in lanes],
    )
    meter.gauge(telemetry.IN_FLIGHT, lambda: [((p.plan.name,), p.in_flight) for p in pools])
    meter.gauge(telemetry.WORKERS, lambda: _connected(table, pools))
    meter.gauge(
        telemetry.BATCH_WORKERS,
        lambda: [((p.plan.name,), n) for p in pools if (n := p.connected_batch) is not None],
    )
    meter.gauge(
        telemetry.ROUTING_VERSION,
        lambda: [((), table.view.snapshot.version)] if table.view else [],
    )
    meter.gauge(
        telemetry.RELEASE_INFO,
        lambda: [
            ((route.name, plan.name, plan.release, route.mode_of(plan)), 1)
            for route in (table.view.deployments.values() if table.view else ())
            for plan in route.routed()
        ],
    )


def _model_path(path: bytes) -> tuple[str, str | None, str]:
    """Model, version and verb of a path; raises a 404 `Fault`.

    It is `/v2/models/{model}[/versions/{version}][/verb]` or `/invocations[/{model}]`.
    """
    parts = path.split(b"/")
    if parts[1:2] == [b"invocations"] and len(parts) <= 3:
        return _text(parts[2]) if len(parts) == 3 else "", None, "invocations"
    if parts[:3] != [b"", b"v2", b"models"] or not 4 <= len(parts) <= 7 or not parts[3]:
        raise not_found("no such path; GET /openapi.json lists them")
    model, rest = _text(parts[3]), parts[4:]
    version = None
    if rest[:1] == [b"versions"] and len(rest) >= 2:
        version, rest = _text(rest[1]), rest[2:]
    if len(rest) > 1 or rest == [b""]:
        raise not_found("no such path; GET /openapi.json lists them")
    return model, version, _text(rest[0]) if rest else ""


def _text(part: bytes) -> str:
    text = part.decode("ascii", "replace")
    return unquote(text) if "%" in text else text


def _refuse(exchange: Exchange, fault: Fault) -> None:
    if exchange.path.startswith(b"/invocations"):
        mlflow_shapes.refuse(exchange, fault)
    else:
        exchange.refuse(fault)


def _other_caller(exchange: Exchange, said: Heading) -> RestCaller:
    if said.json_size is None:
        raise Fault(
            415,
            "the body must be application/json, or binary tensors with the header "
            "Inference-Header-Content-Length",
        )
    return BinaryCaller(exchange, said.json_size)


def _not_allowed(methods: tuple[bytes, ...]) -> Fault:
    allowed = b", ".join(methods)
    return Fault(405, f"the path takes {allowed.decode()}", b"Allow: %b\r\n" % allowed)
