"""The model-repository extension of the Open Inference Protocol, for clients that speak it.

It lists; it loads and unloads nothing. What a release serves follows from a rollout that is judged,
and a client that could load at will would go round it. Errors are `{"error": text}` here, as that
protocol's clients expect.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trimtab.views.repository import build_repository
from trimtab.web.policy import Policy, Routes
from trimtab.web.reads import live_of

routes = Routes()
MOST_BYTES = 65_536


class IndexQuery(msgspec.Struct, frozen=True):
    """What the index may be asked for."""

    ready: bool = False


@routes.post("/v2/repository/index", policy=Policy.ASK)
async def index(request: Request) -> Response:
    """Every release by deployment, with its state."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return _refused(413, f"the body is larger than {MOST_BYTES} bytes")
    try:
        query = msgspec.json.decode(body or b"{}", type=IndexQuery)
    except (ValueError, RecursionError) as problem:
        return _refused(400, f"not a query of the index: {problem}")
    return _json(200, build_repository(live_of(request).look(), ready=query.ready))


@routes.post("/v2/repository/models/{name}/load", policy=Policy.ASK)
async def load(request: Request) -> Response:
    """Refused, with the verb that does it."""
    return _not_here(request, "load", "deploy {name} --release MODEL@NUMBER")


@routes.post("/v2/repository/models/{name}/unload", policy=Policy.ASK)
async def unload(request: Request) -> Response:
    """Refused, with the verb that comes nearest."""
    return _not_here(request, "unload", "rollback {name}")


def _not_here(request: Request, action: str, verb: str) -> Response:
    name = request.path_params["name"]
    if name not in live_of(request).look().state.deployments:
        return _refused(404, f"no deployment {name[:64]!r}; nothing was changed")
    return _refused(
        400,
        f"{action} is not done over this protocol: what a deployment serves changes by a rollout "
        f"that is judged; nothing was changed; hint: trimtab {verb.format(name=name)}",
    )


def _refused(status: int, text: str) -> Response:
    return _json(status, {"error": text})


def _json(status: int, content: object) -> Response:
    return Response(
        msgspec.json.encode(content),
        status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
