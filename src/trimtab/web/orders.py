"""The acting half of the JSON API: each order is recorded by the control loop, none kept here."""

import re
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trimtab import errors
from trimtab.domain.names import checked_digest
from trimtab.domain.telling import Telling
from trimtab.judge.draft import Author
from trimtab.views.orders import build_order
from trimtab.views.releases import build_release
from trimtab.views.sent_shapes import ParityView
from trimtab.web.answers import json
from trimtab.web.policy import Policy, Routes
from trimtab.web.reads import live_of

routes = Routes()
MOST_BYTES = 65_536
MOST_TOLD_BYTES = 32 * 1024 * 1024
MOST_TOLD = 10_000
"""Rows that one request may tell."""
ACTOR = re.compile(r"[\w.@-]{1,64}")
"""Names that an order may be given under; any other is that of the dashboard."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every order may say."""

    reason: str = ""


class Register(Order, frozen=True, kw_only=True):
    """Which built release gets its number."""

    digest: str


class Deploy(Order, frozen=True, kw_only=True):
    """Which release goes out, and how."""

    release: str
    strategy: Literal["canary", "steps", "shadow", "now"] | None = None


class Promote(Order, frozen=True, kw_only=True):
    """How far, and whether without evidence."""

    full: bool = False
    override: bool = False


class Rollback(Order, frozen=True, kw_only=True):
    """Where to; None means the release before."""

    to: str | None = None


AnOrder = TypeVar("AnOrder", bound=Order)
AShape = TypeVar("AShape", bound=msgspec.Struct)


@routes.post("/api/releases", policy=Policy.ACT)
async def register(request: Request) -> Response:
    """Register a built release by its digest."""
    live, order = live_of(request), await _order(request, Register)
    release = await live.control.register(checked_digest(order.digest), _author(request, order))
    return json(build_release(release, live.look()))


@routes.post("/api/deployments/{name}/deploy", policy=Policy.ACT)
async def deploy(request: Request) -> Response:
    """Begin a rollout."""
    live, order = live_of(request), await _order(request, Deploy)
    name, author = request.path_params["name"], _author(request, order)
    return await _ordered(
        request,
        "deploy",
        lambda: live.control.deploy(name, order.release, author, order.strategy),
    )


@routes.post("/api/deployments/{name}/promote", policy=Policy.ACT)
async def promote(request: Request) -> Response:
    """Go to the next step, or to bake."""
    live, order = live_of(request), await _order(request, Promote)
    name, author = request.path_params["name"], _author(request, order)
    return await _ordered(
        request,
        "promote",
        lambda: live.control.promote(name, author, full=order.full, override=order.override),
    )


@routes.post("/api/deployments/{name}/rollback", policy=Policy.ACT)
async def rollback(request: Request) -> Response:
    """Go back."""
    live, order = live_of(request), await _order(request, Rollback)
    name, author = request.path_params["name"], _author(request, order)
    return await _ordered(
        request, "rollback", lambda: live.control.rollback(name, author, order.to)
    )


@routes.post("/api/deployments/{name}/pause", policy=Policy.ACT)
async def pause(request: Request) -> Response:
    """Stop advancing."""
    return await _plain(request, "pause", live_of(request).control.pause)


@routes.post("/api/deployments/{name}/resume", policy=Policy.ACT)
async def resume(request: Request) -> Response:
    """Allow advancing again."""
    return await _plain(request, "resume", live_of(request).control.resume)


@routes.post("/api/deployments/{name}/abort", policy=Policy.ACT)
async def abort(request: Request) -> Response:
    """Give the rollout up."""
    return await _plain(request, "abort", live_of(request).control.abort)


@routes.post("/api/models/{name}/retrain", policy=Policy.ACT)
async def retrain(request: Request) -> Response:
    """Make the release of a deployment again; `name` is the deployment or its model."""
    live = live_of(request)
    name = request.path_params["name"]
    deployments = live.source.seen().state.deployments
    serving = [key for key, state in deployments.items() if state.spec.model == name]
    if name not in deployments and serving:
        request.path_params["name"] = serving[0]
    return await _plain(request, "retrain", live.control.retrain)


@routes.post("/api/deployments/{name}/parity", policy=Policy.ACT)
async def parity(request: Request) -> Response:
    """Compare values that training would have used with those that were served."""
    started = time.monotonic()
    telling = await _body(request, Telling, MOST_TOLD_BYTES)
    if len(telling) > MOST_TOLD:
        raise _malformed(request, f"{len(telling)} rows; at most {MOST_TOLD} fit into one request")
    name = request.path_params["name"]
    made = await live_of(request).control.compare(name, telling)
    seconds = time.monotonic() - started
    return json(ParityView(name, made.compared, made.repeated, made.unmatched, seconds))


async def _plain(
    request: Request, action: str, act: Callable[[str, Author], Awaitable[object]]
) -> Response:
    order = await _order(request, Order)
    author = _author(request, order)
    return await _ordered(request, action, lambda: act(request.path_params["name"], author))


async def _ordered(request: Request, action: str, act: Callable[[], Awaitable[object]]) -> Response:
    """Do it, and say what it changed."""
    live = live_of(request)
    before = live.source.seen()
    started = time.monotonic()
    await act()
    seconds = time.monotonic() - started
    name = request.path_params["name"]
    return json(build_order(action, name, before, live.look(), seconds))


async def _order(request: Request, shape: type[AnOrder]) -> AnOrder:
    return await _body(request, shape, MOST_BYTES)


async def _body(request: Request, shape: type[AShape], most: int) -> AShape:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _malformed(request, f"the body is larger than {most} bytes")
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise _malformed(request, str(problem)) from problem


def _malformed(request: Request, problem: str) -> errors.Usage:
    return errors.Usage(
        errors.BAD_REQUEST,
        request.method,
        request.url.path,
        problem,
        unchanged="nothing was changed",
        hint="read docs/cli-json.md of trimtab for the orders that there are",
    )


def _author(request: Request, order: Order) -> Author:
    """Who says it. The name is a claim: loopback is where trust ends for now."""
    said = request.headers.get("x-trimtab-actor", "")
    return Author(said if ACTOR.fullmatch(said) else "dashboard", order.reason)
