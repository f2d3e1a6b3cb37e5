"""Routes with their access policy. One without a policy cannot be written, nor served."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

Endpoint = Callable[[Request], Awaitable[Response]]


class Policy(StrEnum):
    """Who may call a route: whoever reaches the listener may `read`; `act` needs proof of intent.

    Proof is what no foreign web page can send: see `guard.check_intent`. `ask` is for a POST that
    changes nothing, because a protocol asks that way; it needs no proof.
    """

    READ = "read"
    ASK = "ask"
    ACT = "act"


class DeclaredRoute(Route):
    """A route of one method that says which policy guards it."""

    def __init__(self, path: str, endpoint: Endpoint, *, policy: Policy, method: str) -> None:
        if (policy is Policy.READ) != (method == "GET"):
            raise TypeError(f"{method} {path} cannot have the policy {policy!r}")
        super().__init__(path, endpoint, methods=[method])
        self.policy = policy


class Routes:
    """Collects routes while a module is imported; `policy` has no default on purpose."""

    def __init__(self) -> None:
        self._routes: list[DeclaredRoute] = []

    def __iter__(self) -> Iterator[DeclaredRoute]:
        return iter(self._routes)

    def get(self, path: str, *, policy: Policy) -> Callable[[Endpoint], Endpoint]:
        """Declare a page or a resource."""
        return self._declare("GET", path, policy)

    def post(self, path: str, *, policy: Policy) -> Callable[[Endpoint], Endpoint]:
        """Declare an order, or a question that is a POST."""
        return self._declare("POST", path, policy)

    def _declare(self, method: str, path: str, policy: Policy) -> Callable[[Endpoint], Endpoint]:
        def register(endpoint: Endpoint) -> Endpoint:
            route = DeclaredRoute(path, endpoint, policy=Policy(policy), method=method)
            self._routes.append(route)
            return endpoint

        return register


def only_declared(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """The routes, all of them declared. Raises `TypeError` for any other."""
    checked = list(routes)
    for route in checked:
        if not isinstance(route, DeclaredRoute):
            raise TypeError(f"{route!r} declares no policy")
    return checked
