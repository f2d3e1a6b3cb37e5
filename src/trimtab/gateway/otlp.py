"""Spans and metrics as messages of OTLP, and what a collector answers.

Source: the messages of `opentelemetry/proto` (trace, metrics, resource, common, collector). Why
they are encoded here is in docs/decisions/0020-own-otlp-export.md.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from trimtab import __version__
from trimtab.domain.counts import Labels
from trimtab.domain.telemetry import Metric
from trimtab.gateway import protobuf
from trimtab.gateway.metrics import Histogram, Totals
from trimtab.gateway.protobuf import BYTES, FIXED64, VARINT, nested, tag, text
from trimtab.gateway.tracing import Attributes, Span, Spans

_ERROR = 2
_CUMULATIVE = 2
_TIMES = struct.Struct("<BQBQ")
_TRACE_ID, _SPAN_ID, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
"""Tags with the lengths of ids."""
_STARTED, _ENDED = tag(7, FIXED64), tag(8, FIXED64)
_SAMPLED = b"\x85\x01\x01\x00\x00\x00"
"""Field 16, fixed32: the flags of the trace."""
_UNITS = {"seconds": "s", "bytes": "By", "ratio": "1"}


def span_request(resource: bytes, spans: Iterable[bytes]) -> bytes:
    """An ExportTraceServiceRequest of spans that are encoded already."""
    return nested(1, resource + nested(2, _SCOPE + b"".join(spans)))


def metrics_request(resource: bytes, totals: Totals, now: float) -> bytes:
    """An ExportMetricsServiceRequest; `now` in epoch seconds."""
    times = _span_of(2, totals.since) + _span_of(3, now)
    metrics = b"".join(nested(2, metric) for metric in _metrics(totals, times))
    return nested(1, resource + nested(2, _SCOPE + metrics))


def resource_of(attributes: Mapping[str, str]) -> bytes:
    """The resource in front of everything that is sent."""
    own = {
        "telemetry.sdk.name": "trimtab",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
    }
    return nested(1, _attributes(1, {"service.version": __version__, **attributes, **own}))


def encoded_spans(request: Spans) -> bytes:
    """All spans of a request, each as an entry of ScopeSpans."""
    head = _TRACE_ID + request.trace_id + _SPAN_ID
    state = text(3, request.state)
    return b"".join(_span(span, head, state, request.epoch) for span in request.spans)


def refused(body: bytes) -> tuple[int, str]:
    """How many a collector refused of what it took, and why; raises `ProtobufError`."""
    count, why = 0, ""
    for mark, value in protobuf.fields(body):
        if mark != tag(1, BYTES):
            continue
        for part, said in protobuf.fields(value):
            if part == tag(1, VARINT):
                count = said
            elif part == tag(2, BYTES):
                why = protobuf.text_of(said)
    return count, why


def _span(span: Span, head: bytes, state: bytes, epoch: float) -> bytes:
    start, end = int((epoch + span.start) * 1e9), int((epoch + span.end) * 1e9)
    parts = (
        head,
        span.id,
        state,
        _PARENT_ID + span.parent if span.parent else b"",
        _named(span.name, span.kind),
        _TIMES.pack(_STARTED, start, _ENDED, end),
        _attributes(9, span.attributes) if span.attributes else b"",
        b"" if span.error is None else _failed(span.error),
        _SAMPLED,
    )
    return nested(2, b"".join(parts))


@lru_cache(maxsize=1024)
def _named(name: str, kind: int) -> bytes:
    return text(5, name) + protobuf.integer(6, kind)


def _failed(error: str) -> bytes:
    return nested(15, text(2, error[:256]) + protobuf.integer(3, _ERROR))


def _attributes(number: int, attributes: Attributes) -> bytes:
    return b"".join(_attribute(number, name, value) for name, value in attributes.items())


@lru_cache(maxsize=4096)
def _attribute(number: int, name: str, value: str | int | float | bool) -> bytes:
    if isinstance(value, bool):
        any_value = b"\x10\x01" if value else b"\x10\x00"
    elif isinstance(value, int):
        any_value = b"\x18" + protobuf.encoded_varint(value)
    elif isinstance(value, float):
        any_value = b"\x21" + struct.pack("<d", value)
    else:
        any_value = nested(1, value.encode())
    return nested(number, text(1, name) + nested(2, any_value))


def _metrics(totals: Totals, times: bytes) -> Iterator[bytes]:
    for metric, numbers in totals.numbers.items():
        if numbers:
            yield _described(metric) + _numbers(metric, numbers, times)
    for metric, histograms in totals.histograms.items():
        if histograms:
            yield _described(metric) + _histograms(metric, histograms, times)


def _described(metric: Metric) -> bytes:
    words = metric.name.removesuffix("_total").split("_")
    return text(1, metric.name) + text(2, metric.help) + text(3, _UNITS.get(words[-1], ""))


def _numbers(metric: Metric, values: Mapping[Labels, float], times: bytes) -> bytes:
    points = b"".join(
        nested(1, _labels(7, metric, labels) + times + b"\x21" + struct.pack("<d", value))
        for labels, value in values.items()
    )
    if metric.kind == "gauge":
        return nested(5, points)
    return nested(7, points + protobuf.integer(2, _CUMULATIVE) + protobuf.integer(3, 1))


def _histograms(metric: Metric, values: Mapping[Labels, Histogram], times: bytes) -> bytes:
    points = b"".join(
        nested(1, _labels(9, metric, labels) + times + _buckets(metric, histogram))
        for labels, histogram in values.items()
    )
    return nested(9, points + protobuf.integer(2, _CUMULATIVE))


def _buckets(metric: Metric, histogram: Histogram) -> bytes:
    counts, total = histogram.buckets
    return (
        b"\x21"
        + struct.pack("<Q", sum(counts))
        + b"\x29"
        + struct.pack("<d", total)
        + nested(6, struct.pack(f"<{len(counts)}Q", *counts))
        + nested(7, struct.pack(f"<{len(metric.buckets)}d", *metric.buckets))
    )


def _labels(number: int, metric: Metric, labels: Labels) -> bytes:
    return _attributes(number, dict(zip(metric.labels, labels, strict=True)))


def _span_of(number: int, at: float) -> bytes:
    return bytes((tag(number, FIXED64),)) + struct.pack("<Q", int(at * 1e9))


_SCOPE = nested(1, text(1, "trimtab.gateway") + text(2, __version__))
