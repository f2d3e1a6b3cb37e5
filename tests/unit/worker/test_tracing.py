"""Code of a release that makes spans makes them in the trace of the request."""

import subprocess
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from trimtab.worker.tracing import within

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=1"}


def test_a_span_made_within_has_the_request_as_its_parent() -> None:
    tracer = TracerProvider().get_tracer("features")
    with within([HEADERS]):
        span = tracer.start_span("look up")
    assert f"{span.get_span_context().trace_id:032x}" == TRACE
    assert span.parent is not None  # type: ignore[attr-defined]
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"  # type: ignore[attr-defined]
    assert span.get_span_context().trace_state.to_header() == "a=1"


def test_afterwards_nothing_is_left_of_it() -> None:
    with within([HEADERS]):
        assert trace.get_current_span().get_span_context().is_valid
    assert not trace.get_current_span().get_span_context().is_valid


def test_the_work_for_several_traced_requests_is_in_the_trace_of_none() -> None:
    with within([HEADERS, HEADERS]):
        assert not trace.get_current_span().get_span_context().is_valid


def test_a_release_without_opentelemetry_loads_none_of_it() -> None:
    code = (
        "import sys; from trimtab.worker.tracing import within\n"
        f"with within([{HEADERS}]): pass\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
