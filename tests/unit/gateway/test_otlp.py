"""What is sent is read by OpenTelemetry's own messages as it was meant."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from tests.support.collector import attributes

from trimtab.domain import telemetry
from trimtab.domain.counts import Labels
from trimtab.gateway.metrics import Histogram, Totals
from trimtab.gateway.otlp import (
    encoded_spans,
    metrics_request,
    refused,
    resource_of,
    span_request,
)
from trimtab.gateway.protobuf import ProtobufError
from trimtab.gateway.tracing import Span, Spans

VALUES = st.one_of(
    st.text(max_size=300),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
)
TIMES = st.floats(0, 1e6)
IDS = st.binary(min_size=8, max_size=8)
SPANS = st.builds(
    Span,
    id=IDS,
    parent=IDS | st.just(b""),
    name=st.text(max_size=300),
    kind=st.integers(1, 3),
    start=TIMES,
    end=TIMES,
    attributes=st.dictionaries(st.text(min_size=1, max_size=20), VALUES, max_size=4),
    error=st.none() | st.text(max_size=300),
)


@given(
    st.lists(SPANS, max_size=4), st.binary(min_size=16, max_size=16), st.sampled_from(["", "a=1"])
)
def test_spans_are_read_as_they_were_made(spans: list[Span], trace: bytes, state: str) -> None:
    encoded = encoded_spans(Spans(trace, state, 1.7e9, spans))
    sent = ExportTraceServiceRequest.FromString(span_request(resource_of({"a": "b"}), [encoded]))
    (resource,) = sent.resource_spans
    assert attributes(resource.resource)["a"] == "b"
    assert attributes(resource.resource)["telemetry.sdk.name"] == "trimtab"
    (scope,) = resource.scope_spans
    assert scope.scope.name == "trimtab.gateway"
    for made, read in zip(spans, scope.spans, strict=True):
        assert (read.trace_id, read.trace_state, read.span_id) == (trace, state, made.id)
        assert (read.parent_span_id, read.name, read.kind) == (made.parent, made.name, made.kind)
        assert read.start_time_unix_nano == int((1.7e9 + made.start) * 1e9)
        assert read.end_time_unix_nano == int((1.7e9 + made.end) * 1e9)
        assert attributes(read) == made.attributes
        assert (read.status.code == 2) == (made.error is not None)
        assert read.status.message == (made.error or "")[:256]
        assert read.flags & 0xFF == 1


def exported(totals: Totals) -> dict[str, Any]:
    """Metrics by their names."""
    sent = ExportMetricsServiceRequest.FromString(metrics_request(b"", totals, 1001.5))
    (scope,) = sent.resource_metrics[0].scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def test_a_counter_is_a_cumulative_monotonic_sum() -> None:
    values: dict[Labels, float] = {("d", "realtime", "full"): 3.0, ("d", "batch", "full"): 1.5}
    metric = exported(Totals(1000.0, {telemetry.SHED: values}, {}))["trimtab_shed_total"]
    assert metric.description == telemetry.SHED.help
    assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, 2)
    first, second = metric.sum.data_points
    assert attributes(first) == {"deployment": "d", "lane": "realtime", "reason": "full"}
    assert (first.as_double, second.as_double) == (3.0, 1.5)
    assert first.start_time_unix_nano == 1_000_000_000_000
    assert first.time_unix_nano == 1_001_500_000_000


def test_a_gauge_is_the_value_of_now() -> None:
    values: dict[Labels, float] = {("m@1", "w-0"): 5e9}
    (metric,) = exported(Totals(0.0, {telemetry.WORKER_RESIDENT: values}, {})).values()
    assert metric.unit == "By"
    (point,) = metric.gauge.data_points
    assert point.as_double == 5e9


@given(st.lists(st.floats(0, 100), max_size=20))
def test_a_histogram_has_the_buckets_that_prometheus_is_shown(values: list[float]) -> None:
    histogram = Histogram(telemetry.DURATION.buckets)
    for value in values:
        histogram.observe(value)
    labels = ("d", "m@1", "realtime", "total")
    totals = Totals(0.0, {}, {telemetry.DURATION: {labels: histogram}})
    (metric,) = exported(totals).values()
    assert metric.unit == "s"
    assert metric.histogram.aggregation_temporality == 2
    (point,) = metric.histogram.data_points
    assert point.count == len(values) == sum(point.bucket_counts)
    assert tuple(point.explicit_bounds) == telemetry.DURATION.buckets
    assert list(point.bucket_counts) == histogram.buckets[0]
    assert math.isclose(point.sum, sum(values), abs_tol=1e-9)
    assert attributes(point)["layer"] == "total"


def test_what_nobody_counted_is_not_sent() -> None:
    assert exported(Totals(0.0, {telemetry.SHED: {}}, {telemetry.DURATION: {}})) == {}


def test_what_a_collector_refuses_is_read() -> None:
    partial = ExportTracePartialSuccess(rejected_spans=300, error_message="too old")
    answer = ExportTraceServiceResponse(partial_success=partial)
    assert refused(answer.SerializeToString()) == (300, "too old")
    assert refused(b"") == (0, "")
    with pytest.raises(ProtobufError):
        refused(b"<html>")
