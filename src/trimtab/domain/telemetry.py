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
ROWS = Metric(
    "trimtab_request_rows",
    "histogram",
    "Rows of an answered attempt",
    ("deployment", "release", "lane"),
    (1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0),
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
    "Workers of the release that a gateway is connected to, without those of the batch lane alone; "
    "no series while its deployment sleeps",
    ("release",),
    across="max",
)
BATCH_WORKERS = Metric(
    "trimtab_batch_workers_connected",
    "gauge",
    "Workers of the batch lane alone that a gateway is connected to; no series without scale.batch",
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
    "freed (all that waited when a worker freed), behind (a part that the only worker is busy "
    "with), full, part (of a call that is cut)",
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
LOG_BEHIND = Metric(
    "trimtab_log_behind_seconds",
    "gauge",
    "Age of the oldest rows that the controller has not taken from a gateway; from 5 s on "
    "the batch lane is read at a lower rate",
    across="max",
)
LOG_UNREADABLE = Metric(
    "trimtab_log_unreadable_spools",
    "gauge",
    "Spools in the state folder that no segment of the request log could be made of",
    across="max",
)
INCIDENTS = Metric(
    "trimtab_incidents_open",
    "gauge",
    "Incidents of the deployment that are open, by tier (page, ticket, note); there is no series "
    "while no controller runs",
    ("deployment", "tier"),
    across="max",
)
DISK_FREE = Metric(
    "trimtab_disk_free_bytes",
    "gauge",
    "Room that is left on the disk of the state folder",
    across="max",
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

SPANS = Metric(
    "trimtab_spans_sent_total", "counter", "Spans of sampled requests that a collector took"
)
SPANS_DROPPED = Metric(
    "trimtab_spans_dropped_total",
    "counter",
    "Spans that no collector took: full (more came than could be sent), unreachable (no collector "
    "answered in time), refused",
    ("reason",),
)
EXPORT_FAILURES = Metric(
    "trimtab_export_failures_total",
    "counter",
    "Times that a collector did not take what was sent",
    ("signal",),
)
_OF_WORKER = ("release", "worker")
WORKER_CPU = Metric(
    "trimtab_worker_cpu_seconds_total",
    "counter",
    "Processor time of the worker and all that it started; it goes on when the worker restarts",
    _OF_WORKER,
)
WORKER_RESTARTS = Metric(
    "trimtab_worker_restarts_total",
    "counter",
    "Times that the worker ended or could not start, and was started again",
    _OF_WORKER,
)
WORKER_STARTED = Metric(
    "trimtab_worker_start_time_seconds",
    "gauge",
    "When the worker's process began, in seconds since 1970: its age is time() less this",
    _OF_WORKER,
    across="max",
)
WORKER_RESIDENT = Metric(
    "trimtab_worker_resident_memory_bytes",
    "gauge",
    "Resident memory of the worker and all that it started, shared pages included",
    _OF_WORKER,
    across="max",
)
WORKER_PRIVATE = Metric(
    "trimtab_worker_private_memory_bytes",
    "gauge",
    "Memory that no other process has a share in: what would be free if the worker ended",
    _OF_WORKER,
    across="max",
)
WORKER_PROCESSES = Metric(
    "trimtab_worker_processes",
    "gauge",
    "Processes of the worker, itself included",
    _OF_WORKER,
    across="max",
)
WORKER_THREADS = Metric(
    "trimtab_worker_threads", "gauge", "Threads of the worker", _OF_WORKER, across="max"
)
WORKER_FILES = Metric(
    "trimtab_worker_open_files",
    "gauge",
    "File descriptors that the worker has open",
    _OF_WORKER,
    across="max",
)
WORKER_GPU_MEMORY = Metric(
    "trimtab_worker_gpu_memory_bytes",
    "gauge",
    "Memory of a GPU that the worker uses; there is no series without a GPU",
    (*_OF_WORKER, "gpu"),
    across="max",
)
GPU_MEMORY = Metric(
    "trimtab_gpu_memory_used_bytes",
    "gauge",
    "Memory of a GPU in use, by whomever",
    ("gpu",),
    across="max",
)
GPU_BUSY = Metric(
    "trimtab_gpu_utilization_ratio",
    "gauge",
    "Share of the last moments in which the GPU was busy, with whatever",
    ("gpu",),
    across="max",
)
_OF_PROCESS = ("process",)
PROCESS_CPU = Metric(
    "trimtab_process_cpu_seconds_total",
    "counter",
    "Processor time of trimtab's own processes: agent, controller, each gateway, each zygote; it "
    "goes on when one restarts",
    _OF_PROCESS,
)
PROCESS_RESIDENT = Metric(
    "trimtab_process_resident_memory_bytes",
    "gauge",
    "Resident memory of the process, shared pages included",
    _OF_PROCESS,
    across="max",
)
PROCESS_PRIVATE = Metric(
    "trimtab_process_private_memory_bytes",
    "gauge",
    "Memory that no other process has a share in",
    _OF_PROCESS,
    across="max",
)

METRICS: tuple[Metric, ...] = (
    REQUESTS,
    DURATION,
    ROWS,
    QUEUE_DEPTH,
    IN_FLIGHT,
    WORKERS,
    BATCH_WORKERS,
    RESTING,
    RESTS,
    BATCHES,
    SHED,
    RETRIES,
    SHADOW_DROPPED,
    LOG_ROWS,
    LOG_DROPPED,
    LOG_BEHIND,
    LOG_UNREADABLE,
    INCIDENTS,
    DISK_FREE,
    LABELS,
    RELEASE_INFO,
    ROUTING_VERSION,
    SPANS,
    SPANS_DROPPED,
    EXPORT_FAILURES,
    WORKER_CPU,
    WORKER_RESTARTS,
    WORKER_STARTED,
    WORKER_RESIDENT,
    WORKER_PRIVATE,
    WORKER_PROCESSES,
    WORKER_THREADS,
    WORKER_FILES,
    WORKER_GPU_MEMORY,
    GPU_MEMORY,
    GPU_BUSY,
    PROCESS_CPU,
    PROCESS_RESIDENT,
    PROCESS_PRIVATE,
)
"""Every metric of the inference listener."""
