"""The trace of a request, for code of a release that makes spans with OpenTelemetry.

Nothing of OpenTelemetry is loaded here: only where the release's own code has done that does it
find the request's trace as its context, so that what it measures becomes part of that trace.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

_USED = "opentelemetry.context"


@contextlib.contextmanager
def within(traces: Sequence[Any]) -> Iterator[None]:
    """Work on a batch whose traced requests came with these headers (`traceparent`, …).

    The work of a batch is in the trace of its only traced request. Of several none could have it
    alone, and then it is in none.
    """
    if _USED not in sys.modules or len(traces) != 1:
        yield
        return
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    token = context.attach(TraceContextTextMapPropagator().extract(traces[0]))
    try:
        yield
    finally:
        context.detach(token)
