"""The reading half of the JSON API."""

from starlette.requests import Request
from starlette.responses import Response

from trimtab import errors
from trimtab.domain.names import ReleaseRef
from trimtab.views.journal import build_history, build_runs, build_traffic, build_why
from trimtab.views.plan import build_plan
from trimtab.views.releases import build_releases, build_show
from trimtab.views.status import build_status, no_such_deployment
from trimtab.web.answers import json
from trimtab.web.live import Live
from trimtab.web.policy import Policy, Routes

routes = Routes()
MOST_EVENTS = 10_000


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
    """The journal, of `?deployment=` when given, the newest `?limit=` entries."""
    deployment = _known_deployment(request)
    return json(build_history(live_of(request).entries(), deployment, _limit(request)))


@routes.get("/api/why", policy=Policy.READ)
async def why(request: Request) -> Response:
    """Incidents, of `?deployment=` when given."""
    return json(build_why(live_of(request).entries(), _known_deployment(request)))


@routes.get("/api/why/{incident}", policy=Policy.READ)
async def why_one(request: Request) -> Response:
    """One incident."""
    return json(build_why(live_of(request).entries(), only=request.path_params["incident"]))


@routes.get("/api/runs", policy=Policy.READ)
async def runs(request: Request) -> Response:
    """Pipeline runs, of `?deployment=` when given."""
    return json(build_runs(live_of(request).entries(), _known_deployment(request)))


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
    return json(build_traffic(live.entries(), name, seen.clocks.get(name)))


def _known_deployment(request: Request) -> str | None:
    name = request.query_params.get("deployment")
    if name is not None and name not in live_of(request).source.seen().state.deployments:
        raise no_such_deployment(name)
    return name


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(MOST_EVENTS))
    if text.isascii() and text.isdigit() and 0 < int(text) <= MOST_EVENTS:
        return int(text)
    raise errors.Usage(
        errors.BAD_REQUEST,
        "read",
        "limit",
        f"{text!r} is not a whole number from 1 to {MOST_EVENTS}",
        hint="leave it out for the newest entries",
    )
