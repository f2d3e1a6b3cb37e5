"""What the processes of this machine use, measured for the metrics of the gateways.

Prometheus asks the gateways, which answer without asking anybody: what is measured here lies in a
file that they read. See `trimtab.gateway.peers`.
"""

import contextlib
import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from trimtab.agent.nvml import Gpu, Gpus, found_gpus
from trimtab.agent.usage import Privates, Resources, boot_time, family, resources
from trimtab.domain import layout, telemetry
from trimtab.domain.counts import Count, Labels, Sample
from trimtab.domain.processes import WorkerStatus

STALE_AFTER = 3
"""Measurements that may be missed before gauges are not shown any more."""


class Spent:
    """Processor time by what used it, which goes on when the process that it is changes."""

    def __init__(self) -> None:
        self._before: dict[Labels, float] = {}
        self._last: dict[Labels, tuple[int, float]] = {}

    def take(self, labels: Labels, pid: int, seconds: float) -> None:
        """What the present process has used until now."""
        known, last = self._last.get(labels, (pid, 0.0))
        if known != pid or seconds < last:
            self._before[labels] = self._before.get(labels, 0.0) + last
        self._last[labels] = (pid, seconds)

    def total(self, present: Collection[Labels]) -> list[Sample]:
        """Seconds so far of what is present; the rest is forgotten."""
        for gone in self._last.keys() - set(present):
            self._before.pop(gone, None)
            del self._last[gone]
        return [
            (labels, self._before.get(labels, 0.0) + seconds)
            for labels, (_, seconds) in self._last.items()
        ]


class Measures:
    """Looks at processes and leaves what they use in the state folder, the working directory."""

    def __init__(self, every: float, gpus: Gpus | None = None) -> None:
        self._lasts = STALE_AFTER * every
        self._gpus = gpus if gpus is not None else found_gpus()
        self._booted_at = boot_time()
        self._since = time.time()
        self._workers = Spent()
        self._processes = Spent()
        self._privates = Privates()

    def leave(self, workers: Iterable[WorkerStatus], processes: Mapping[str, int]) -> None:
        """Measure and write; a disk that refuses costs this measurement. Blocks for milliseconds.

        `processes` are those of trimtab itself, by name.
        """
        path = Path(layout.AGENT_COUNT)
        unfinished = path.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            unfinished.write_bytes(msgspec.msgpack.encode(self.count(workers, processes)))
            unfinished.replace(path)

    def count(self, workers: Iterable[WorkerStatus], processes: Mapping[str, int]) -> Count:
        """What they use now. Releases are called by their digest."""
        self._privates.begin()
        gauges: dict[str, list[Sample]] = {}
        restarts: list[Sample] = []
        gpus = self._gpus.look() if self._gpus is not None else []
        for worker in workers:
            labels = (str(worker.slot.release), worker.slot.id)
            restarts.append((labels, worker.restarts))
            if worker.pid is not None:
                self._worker(labels, worker.pid, gauges, gpus)
        for name, pid in processes.items():
            self._process((name,), pid, gauges)
        for gpu in gpus:
            _add(gauges, telemetry.GPU_MEMORY, (gpu.number,), gpu.used_bytes)
            _add(gauges, telemetry.GPU_BUSY, (gpu.number,), gpu.busy)
        _add(gauges, telemetry.DISK_FREE, (), shutil.disk_usage(Path()).free)
        counters = {
            telemetry.WORKER_CPU.name: self._workers.total([labels for labels, _ in restarts]),
            telemetry.WORKER_RESTARTS.name: restarts,
            telemetry.PROCESS_CPU.name: self._processes.total([(name,) for name in processes]),
        }
        return Count(counters, {}, gauges, self._lasts, self._since)

    def _worker(
        self, labels: Labels, pid: int, gauges: dict[str, list[Sample]], gpus: Iterable[Gpu]
    ) -> None:
        found = resources(pid, self._booted_at, self._privates)
        if found is None:
            return
        self._workers.take(labels, pid, found.cpu_seconds)
        for metric, value in _of_worker(found):
            _add(gauges, metric, labels, value)
        pids = set(family(pid))
        for gpu in gpus:
            used = sum(size for each, size in gpu.memory.items() if each in pids)
            if used:
                _add(gauges, telemetry.WORKER_GPU_MEMORY, (*labels, gpu.number), used)

    def _process(self, labels: Labels, pid: int, gauges: dict[str, list[Sample]]) -> None:
        found = resources(pid, self._booted_at, self._privates, alone=True)
        if found is None:
            return
        self._processes.take(labels, pid, found.cpu_seconds)
        _add(gauges, telemetry.PROCESS_RESIDENT, labels, found.resident_bytes)
        _add(gauges, telemetry.PROCESS_PRIVATE, labels, found.private_bytes)


def _of_worker(found: Resources) -> tuple[tuple[telemetry.Metric, float | None], ...]:
    return (
        (telemetry.WORKER_STARTED, found.started_at),
        (telemetry.WORKER_RESIDENT, found.resident_bytes),
        (telemetry.WORKER_PRIVATE, found.private_bytes),
        (telemetry.WORKER_PROCESSES, found.processes),
        (telemetry.WORKER_THREADS, found.threads),
        (telemetry.WORKER_FILES, found.open_files),
    )


def _add(
    gauges: dict[str, list[Sample]], metric: telemetry.Metric, labels: Labels, value: float | None
) -> None:
    if value is not None:
        gauges.setdefault(metric.name, []).append((labels, value))
