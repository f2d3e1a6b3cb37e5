"""The reading half of the JSON API."""

from starlette.requests import Request
from starlette.responses import Response

from trimtab import errors
from trimtab.domain.names import ReleaseRef
from trimtab.views.journal import build_history, build_one, build_runs, build_traffic, build_why
from trimtab.views.plan import build_plan
from trimtab.views.releases import build_releases, build_show
from trimtab.views.seen import Seen
from trimtab.views.shapes import TrafficView
from trimtab.views.status import build_status, no_such_deployment
from trimtab.web.answers import json
from trimtab.web.live import Live
from trimtab.web.policy import Policy, Routes

routes = Routes()
MOST_EVENTS = 10_000
MOST_TOLD = 1000
"""Incidents or runs in one answer."""
TOLD = 100
"""Incidents or runs in one answer to who does not say how many."""
SCALINGS = 5
"""How many changes of worker counts `why` tells."""
SHARES = 100
"""How many of the newest entries about shares of the traffic are drawn."""


def live_of(request: Request) -> Live:
    """What the pages of this listener share."""
    live: Live = request.app.state.live
    return live


@routes.get("/api/status", policy=Policy.READ)
async def status(request: Request) -> Response:
    """All deployments."""
    return json(build_status(live_of(request).look()))


@routes.get("/api/status/{deployment}", policy=Policy.READ)
async def status_of(request: Request) -> Response:
    """One deployment."""
    return json(build_status(live_of(request).look(), request.path_params["deployment"]))


@routes.get("/api/releases", policy=Policy.READ)
async def releases(request: Request) -> Response:
    """Releases, of `?model=` when given."""
    return json(build_releases(live_of(request).look(), request.query_params.get("model")))


@routes.get("/api/releases/{ref}", policy=Policy.READ)
async def show(request: Request) -> Response:
    """One release, by `model@number` or digest prefix."""
    live = live_of(request)
    release = live.source.find(ReleaseRef.parse(request.path_params["ref"]))
    return json(build_show(release, live.look(), live.source.profile(release)))


@routes.get("/api/history", policy=Policy.READ)
async def history(request: Request) -> Response:
    """The journal, of `?deployment=` when given, the newest `?limit=` entries `?before=` one."""
    live, deployment = live_of(request), _known_deployment(request)
    limit = _number(request, "limit", MOST_EVENTS) or MOST_EVENTS
    page = live.history.events(limit, deployment, _number(request, "before"))
    return json(build_history(page.entries, live.look().names(), page.earlier))


@routes.get("/api/why", policy=Policy.READ)
async def why(request: Request) -> Response:
    """The open and the newest `?limit=` incidents, of `?deployment=` when given; with `?before=`
    the newest that were opened before that entry."""
    live, deployment = live_of(request), _known_deployment(request)
    limit, before = _number(request, "limit", MOST_TOLD) or TOLD, _number(request, "before")
    seen = live.look()
    beside = open_incidents(seen, deployment) if before is None else ()
    page = live.history.incidents(limit, deployment, before, beside)
    scalings = live.history.scalings(SCALINGS, deployment)
    return json(build_why(page.entries, seen.names(), scalings, page.earlier))


@routes.get("/api/why/{incident}", policy=Policy.READ)
async def why_one(request: Request) -> Response:
    """One incident."""
    live, name = live_of(request), request.path_params["incident"]
    return json(build_one(live.history.told([name]), live.look().names(), name))


@routes.get("/api/runs", policy=Policy.READ)
async def runs(request: Request) -> Response:
    """The newest `?limit=` pipeline runs, of `?deployment=` when given, requested `?before=` an
    entry."""
    deployment, before = _known_deployment(request), _number(request, "before")
    limit = _number(request, "limit", MOST_TOLD) or TOLD
    page = live_of(request).history.runs(limit, deployment, before)
    return json(build_runs(page.entries, page.earlier))


@routes.get("/api/evidence/{deployment}", policy=Policy.READ)
async def evidence(request: Request) -> Response:
    """Recent evidence of every signal against its threshold."""
    live, name = live_of(request), request.path_params["deployment"]
    build_status(live.look(), name)
    return json(live.trace.view(name))


@routes.get("/api/plan/{deployment}", policy=Policy.READ)
async def plan(request: Request) -> Response:
    """What the measured costs say about other loads."""
    return json(build_plan(request.path_params["deployment"], live_of(request).look()))


@routes.get("/api/traffic/{deployment}", policy=Policy.READ)
async def traffic(request: Request) -> Response:
    """Which release got which share of the traffic, and when."""
    live, name = live_of(request), request.path_params["deployment"]
    seen = live.look()
    build_status(seen, name)
    return json(traffic_of(live, seen, name))


def _known_deployment(request: Request) -> str | None:
    name = request.query_params.get("deployment")
    known = live_of(request).source.seen().state.deployments
    if name is not None and name not in known:
        raise no_such_deployment(name, known)
    return name


def open_incidents(seen: Seen, deployment: str | None = None) -> list[str]:
    """The ids of the incidents that are open, of a deployment if one is named."""
    states = seen.state.deployments
    names = states if deployment is None else [deployment]
    return [incident.id for name in names for incident in states[name].incidents]


def traffic_of(live: Live, seen: Seen, name: str) -> TrafficView:
    """How a deployment's traffic was shared out lately."""
    page, state = live.history.shares(SHARES, name), seen.state.deployments[name]
    whole = page.earlier is None
    return build_traffic(page.entries, state, seen.clocks.get(name), whole=whole)


def _number(request: Request, name: str, most: int = 2**53) -> int | None:
    """A number of the query, from 1 on; None where it is not given."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 17 and 0 < int(text) <= most:
        return int(text)
    raise errors.Usage(
        errors.BAD_REQUEST,
        "read",
        name,
        f"{text!r} is not a whole number from 1 to {most}",
        hint="leave it out for the newest entries",
    )
