"""Requests to trimtab that say more than the rows: their deadline and lane."""

import msgspec

from harness.dialects import http, v2_body
from harness.load import Load
from harness.models import Trained
from harness.servers import Running, load

BATCH_LANE = 2
REQUESTS = 16
MICROSECONDS = 1_000_000


def lane_load(
    running: Running,
    model: Trained,
    rows: int,
    *,
    timeout: float | None = None,
    priority: int = 0,
    **more: object,
) -> Load:
    """A load whose requests carry `timeout` (seconds) and `priority`; the client keeps to the same
    deadline in an open loop. `more` are further fields of `Load`."""
    plain = load(running, model, "json", rows, deadline=timeout, **more)
    parameters: dict[str, object] = {"priority": priority} if priority else {}
    if timeout is not None:
        parameters["timeout"] = round(timeout * MICROSECONDS)
    if not parameters or plain.dialect != "v2":
        return plain
    path = running.endpoints["json"].path
    made, expected = [], []
    for number in range(REQUESTS):
        at = number * rows % (len(model.rows) - rows + 1)
        made.append(http(path, v2_body(model.rows[at : at + rows], parameters)))
        expected.append(model.expected[at : at + rows].tolist())
    return msgspec.structs.replace(plain, requests=made, expected=expected)
