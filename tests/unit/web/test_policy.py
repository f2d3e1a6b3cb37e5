"""No route is served that does not say who may call it."""

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.support.scenes import serving

from trimtab.web.policy import DeclaredRoute, Policy, Routes, only_declared
from trimtab.web.server import create_app


async def endpoint(request: Request) -> Response:
    return Response()


def test_a_route_without_a_policy_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match="policy"):
        Routes().get("/x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="policy"):
        DeclaredRoute("/x", endpoint, method="GET")  # type: ignore[call-arg]


def test_a_policy_that_does_not_fit_the_method_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot have"):
        Routes().post("/x", policy=Policy.READ)(endpoint)
    with pytest.raises(TypeError, match="cannot have"):
        Routes().get("/x", policy=Policy.ACT)(endpoint)
    with pytest.raises(TypeError, match="cannot have"):
        Routes().get("/x", policy=Policy.ASK)(endpoint)
    with pytest.raises(ValueError, match="nobody"):
        Routes().get("/x", policy="nobody")(endpoint)  # type: ignore[arg-type]


def test_a_plain_route_is_not_served() -> None:
    with pytest.raises(TypeError, match="declares no policy"):
        only_declared([Route("/x", endpoint)])


def test_every_route_of_the_app_is_declared_and_only_orders_act() -> None:
    system = serving()
    routes = only_declared(create_app(system, system).routes)
    declared = [route for route in routes if isinstance(route, DeclaredRoute)]
    assert len(declared) > 20
    for route in declared:
        assert (route.policy is Policy.READ) == ("GET" in (route.methods or ()))
    asking = {route.path for route in declared if route.policy is Policy.ASK}
    assert asking == {
        "/v2/repository/index",
        "/v2/repository/models/{name}/load",
        "/v2/repository/models/{name}/unload",
    }
