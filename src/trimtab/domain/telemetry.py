"""The metrics of trimtab, each declared once: what `/metrics` shows and what the docs list."""

from dataclasses import dataclass
from typing import Literal

MetricKind = Literal["counter", "gauge", "histogram"]
Across = Literal["sum", "max", "min"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. `buckets` are the upper bounds of a histogram, in its unit.

    Counters and histograms of several gateways add up; `across` says what their gauges do.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Across = "sum"


LATENCY_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Seconds; dense around a millisecond, where a one-row request should end."""

REQUESTS = Metric(
    "trimtab_requests_total",
    "counter",
    "Inference requests answered, by the release that gave the final answer",
    ("deployment", "release", "mode", "lane", "code"),
)
DURATION = Metric(
    "trimtab_request_duration_seconds",
    "histogram",
    "Time of an answered attempt by layer: parse, route, queue (until a worker is free), "
    "batch_wait (until the batch is sent), transfer, features, model, encode, and total",
    ("deployment", "release", "lane", "layer"),
    LATENCY_BUCKETS,
)
QUEUE_DEPTH = Metric(
    "trimtab_queue_depth",
    "gauge",
    "Requests waiting for a worker of the release",
    ("release", "lane"),
)
IN_FLIGHT = Metric(
    "trimtab_in_flight", "gauge", "Requests a worker of the release is busy with", ("release",)
)
WORKERS = Metric(
    "trimtab_workers_connected",
    "gauge",
    "Workers of the release that a gateway is connected to",
    ("release",),
    across="max",
)
RESTING = Metric(
    "trimtab_workers_resting",
    "gauge",
    "Workers of the release that get no work because they fail while their siblings do not",
    ("release",),
    across="max",
)
BATCHES = Metric(
    "trimtab_batches_total",
    "counter",
    "Batches sent to workers, by why they were not larger: idle (a worker was waiting for work), "
    "freed (all that waited when a worker freed), full, part (of a call that is cut)",
    ("release", "lane", "reason"),
)
RESTS = Metric(
    "trimtab_worker_rests_total",
    "counter",
    "Times that a worker was taken out because it failed while its siblings did not",
    ("release", "worker"),
)
SHED = Metric(
    "trimtab_shed_total",
    "counter",
    "Work not done for lack of room or time: full and deadline at admission, expired and abandoned "
    "in the queue, retries beyond their budget",
    ("deployment", "lane", "reason"),
)
RETRIES = Metric(
    "trimtab_retries_total",
    "counter",
    "Attempts that were repeated, on another worker or on the stable release",
    ("deployment", "reason"),
)
SHADOW_DROPPED = Metric(
    "trimtab_shadow_dropped_total",
    "counter",
    "Shadow copies dropped so that clients were not slowed",
    ("deployment",),
)
LOG_ROWS = Metric(
    "trimtab_log_rows_total", "counter", "Rows given to the request log", ("deployment",)
)
LOG_DROPPED = Metric(
    "trimtab_log_dropped_rows_total",
    "counter",
    "Rows the request log lost because it could not be written",
    ("deployment",),
)
LABELS = Metric("trimtab_labels_total", "counter", "Labels accepted", ("deployment",))
RELEASE_INFO = Metric(
    "trimtab_release_info",
    "gauge",
    "1 for every release that a deployment routes to",
    ("deployment", "release", "digest", "mode"),
    across="max",
)
ROUTING_VERSION = Metric(
    "trimtab_routing_version",
    "gauge",
    "Version of the routing snapshot in use, by the gateway that is furthest behind",
    across="min",
)

METRICS: tuple[Metric, ...] = (
    REQUESTS,
    DURATION,
    QUEUE_DEPTH,
    IN_FLIGHT,
    WORKERS,
    RESTING,
    RESTS,
    BATCHES,
    SHED,
    RETRIES,
    SHADOW_DROPPED,
    LOG_ROWS,
    LOG_DROPPED,
    LABELS,
    RELEASE_INFO,
    ROUTING_VERSION,
)
"""Every metric of the inference listener."""
