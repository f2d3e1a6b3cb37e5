"""What there is to call: deployments and their releases, by the names that clients use."""

from collections.abc import Mapping

from trimtab.domain import telemetry
from trimtab.domain.plurals import some
from trimtab.gateway.counted import Counted
from trimtab.gateway.faults import not_found, unavailable
from trimtab.gateway.intake import Intake
from trimtab.gateway.metrics import Meter
from trimtab.gateway.plan import Plan
from trimtab.gateway.table import RouteView, Table


class Directory:
    """Looks names up in the routing snapshot that is in use."""

    def __init__(self, table: Table, intake: Intake, meter: Meter) -> None:
        self._table = table
        self._intake = intake
        self._meter = meter
        self._draining = False

    def routes(self) -> Mapping[str, RouteView]:
        """How each deployment is answered at present, by its name."""
        view = self._table.view
        return {} if view is None else view.deployments

    def deployment(self, name: str) -> RouteView:
        """How a deployment is answered; raises a 404 or 503 `Fault`."""
        view = self._table.view
        if view is None:
            raise unavailable("the gateway has no routes yet")
        route = view.deployments.get(name)
        if route is None:
            raise not_found(f"no deployment {name[:64]!r}")
        return route

    def only_deployment(self) -> RouteView:
        """For clients that have no place for a name; raises a 404 `Fault`."""
        routes = self.deployments()
        if len(routes) != 1:
            names = some(sorted(route.name for route in routes)) or "none"
            raise not_found(f"POST /invocations/DEPLOYMENT; the deployments are {names}")
        return routes[0]

    def deployments(self) -> list[RouteView]:
        """Every deployment."""
        return list(self.routes().values())

    def all_ready(self) -> bool:
        """Whether every deployment that has a release can answer.

        One that is new in the configuration must not take the others out of a balancer; where there
        is no other, nothing can answer yet."""
        routes = self.deployments()
        serving = [route for route in routes if route.stable is not None]
        known = self._table.view is not None and bool(serving) == bool(routes)
        return known and not self._draining and all(self.ready(route, None) for route in serving)

    def ready(self, route: RouteView, explicit: Plan | None) -> bool:
        """Whether a worker is connected; a sleeping deployment answers its next request too."""
        plan = explicit or route.stable
        if plan is None or self._draining:
            return False
        return route.asleep or self._intake.can_answer(plan)

    def drain(self) -> None:
        """From now on nothing is ready: this process ends, and a balancer should ask another."""
        self._draining = True

    def counted(self, route: RouteView, explicit: Plan | None) -> dict[str, Counted]:
        """Requests by the release that gave the final answer."""
        counts: dict[str, Counted] = {}
        for labels, count in self._meter.counted(telemetry.REQUESTS).items():
            deployment, release, _, _, code = labels
            if deployment == route.name and (explicit is None or explicit.name == release):
                entry = counts.setdefault(release, Counted())
                if code == "200":
                    entry.success += count
                else:
                    entry.fail += count
        for labels, histogram in self._meter.observed(telemetry.DURATION).items():
            deployment, release, lane, layer = labels
            if deployment == route.name and release in counts and lane != "shadow":
                timed = counts[release].timed
                timed[layer] = timed.get(layer, 0.0) + histogram.buckets[1]
        for labels, histogram in self._meter.observed(telemetry.ROWS).items():
            deployment, release, lane = labels
            if deployment == route.name and release in counts and lane != "shadow":
                counts[release].rows += round(histogram.buckets[1])
        for labels, count in self._meter.counted(telemetry.BATCHES).items():
            release, lane, _ = labels
            if release in counts and lane != "shadow":
                counts[release].batches += count
        return counts


def explicit_plan(route: RouteView, version: str) -> Plan:
    """The release of a number that a client asks for; raises a 404 `Fault`."""
    plan = route.by_number.get(int(version)) if version.isascii() and version.isdigit() else None
    if plan is None:
        raise not_found(f"{route.name} has no resident release {version[:20]!r}")
    return plan


def answering_plan(route: RouteView, explicit: Plan | None) -> Plan:
    """The release that describes a deployment; raises a 503 `Fault`."""
    plan = explicit or route.stable
    if plan is None:
        raise unavailable(f"{route.name} has no release that can answer")
    return plan
