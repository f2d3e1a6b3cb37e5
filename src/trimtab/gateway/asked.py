"""What the parameters of a request say, whatever protocol they came by."""

import difflib
import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from trimtab.domain.plurals import some
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.plan import Plan

MAX_ID = 256
"""Characters of a request id."""

_LARGEST = 2**53
"""What no lane or deadline differs from anything larger by."""

Parameter = str | bool | int | float


class Asked:
    """What the parameters of a request say; None where they say nothing. `timeout` in seconds."""

    __slots__ = ("event_time", "lane", "timeout", "unit")

    def __init__(self) -> None:
        self.event_time: float | None = None
        self.unit: str | None = None
        self.lane = "realtime"
        self.timeout: float | None = None


_NOTHING = Asked()


def asked(parameters: Mapping[str, Parameter] | None, headers: Asked = _NOTHING) -> Asked:
    """What parameters ask beside headers; raises a 400 `Fault`. Unknown ones are ignored.

    The shorter timeout counts, and a request is batch work as soon as either says so.
    """
    if not parameters:
        return headers
    found = Asked()
    found.lane, found.timeout = headers.lane, headers.timeout
    if (event_time := parameters.get("event_time")) is not None:
        found.event_time = epoch_seconds(event_time, "parameters.event_time")
    if (unit := parameters.get("unit")) is not None:
        if not isinstance(unit, str | bool | int | float):
            raise bad("parameters.unit is neither a text nor a number")
        found.unit = unit if isinstance(unit, str) else plain(unit)
    if _whole("priority", parameters.get("priority", 0)) > 1:
        found.lane = "batch"
    if timeout := _whole("timeout", parameters.get("timeout", 0)):
        found.timeout = min(timeout / 1e6, found.timeout or math.inf)
    return found


def checked_id(request_id: str) -> str:
    """The id a client chose; raises a 400 `Fault` when it is too long."""
    if len(request_id) > MAX_ID:
        raise bad(f"the id is longer than {MAX_ID} characters")
    return request_id


def epoch_seconds(value: Parameter, what: str) -> float:
    """An RFC 3339 time as epoch seconds; raises a 400 `Fault` that names `what`."""
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (TypeError, ValueError, OverflowError):
        pass
    raise bad(f"{what} is {value!r}, not an RFC 3339 time such as 2013-04-01T12:00:00Z")


def plain(value: Parameter) -> str:
    """A value as the text that a label or a key would have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _whole(name: str, value: Parameter) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has numbers only, and some clients write 2.0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise bad(f"parameters.{name} is {repr(value)[:60]}, not a whole number from 0")
    return min(value, _LARGEST)


def wanted_outputs(names: Iterable[str], plan: Plan) -> tuple[int, ...] | None:
    """Positions of the outputs that a request lists, None for all; raises a 400 `Fault`."""
    positions: list[int] = []
    for name in names:
        position = plan.output_index.get(name)
        if position is None:
            raise unknown("output", name, plan.output_index)
        if position in positions:
            raise bad(f"output {name!r} is asked for twice")
        positions.append(position)
    return tuple(positions) or None


def unknown(what: str, name: str, known: Iterable[str]) -> Fault:
    """The refusal of a name that the release does not have, with what may have been meant."""
    close = difflib.get_close_matches(name[:100], known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; it has {some(known)}"
    return bad(f"unknown {what} {name[:100]!r}{hint}")
