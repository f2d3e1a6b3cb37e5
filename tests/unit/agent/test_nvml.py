"""GPUs as NVIDIA's library tells of them, which is replaced here by one with the same calls."""

import ctypes
from typing import Any

import pytest

from trimtab.agent.measures import Measures
from trimtab.agent.nvml import Gpu, Gpus, NoGpus
from trimtab.domain import telemetry
from trimtab.domain.names import Digest
from trimtab.domain.processes import WorkerSlot, WorkerStatus

LOST = 15
UNKNOWN = (1 << 64) - 1


class Library:
    """Two devices, of which the second has fallen off the bus; `processes` use the first."""

    def __init__(self, *processes: tuple[int, int], fails: str = "") -> None:
        self.processes = processes
        self.fails = fails

    def __getattr__(self, name: str) -> Any:
        if name.removeprefix("nvml") == self.fails:
            return lambda *_: LOST
        return getattr(self, "_" + name.removeprefix("nvml"))

    def _Init_v2(self) -> int:  # noqa: N802
        return 0

    def _DeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 2
        return 0

    def _DeviceGetHandleByIndex_v2(self, number: int, device: Any) -> int:  # noqa: N802
        device._obj.value = 7 + number
        return LOST if number else 0

    def _DeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:  # noqa: N802
        assert device.value == 7
        memory._obj.total, memory._obj.free, memory._obj.used = 100, 40, 60
        return 0

    def _DeviceGetUtilizationRates(self, _: Any, rates: Any) -> int:  # noqa: N802
        rates._obj.gpu = 25
        return 0

    def _DeviceGetComputeRunningProcesses_v3(  # noqa: N802
        self, _: Any, count: Any, infos: Any
    ) -> int:
        assert ctypes.sizeof(infos[0]) == 24
        assert count._obj.value >= len(self.processes)
        count._obj.value = len(self.processes)
        for info, (pid, used) in zip(infos, self.processes, strict=False):
            info.pid, info.used = pid, used
        return 0


def test_a_device_tells_its_memory_its_load_and_who_uses_it() -> None:
    library = Library((11, 30), (12, 20), (13, UNKNOWN))
    assert Gpus(library).look() == [Gpu("0", 60, 0.25, {11: 30, 12: 20})]


@pytest.mark.parametrize("call", ["Init_v2", "DeviceGetCount_v2"])
def test_a_driver_that_does_not_answer_is_no_driver(call: str) -> None:
    with pytest.raises(NoGpus, match=call):
        Gpus(Library(fails=call))


def test_a_device_that_does_not_answer_is_left_out() -> None:
    assert Gpus(Library(fails="DeviceGetUtilizationRates")).look() == []


def test_the_memory_of_a_gpu_is_told_by_worker() -> None:
    import os

    slot = WorkerSlot(Digest("sha256:aaaaaaaaaaaabb"), 0)
    gpus = Gpus(Library((os.getpid(), 30), (1, 20)))
    count = Measures(5.0, gpus).count([WorkerStatus(slot, "ready", pid=os.getpid())], {})
    labels = (str(slot.release), slot.id, "0")
    assert count.gauges[telemetry.WORKER_GPU_MEMORY.name] == [(labels, 30)]
    assert count.gauges[telemetry.GPU_MEMORY.name] == [(("0",), 60)]
    assert count.gauges[telemetry.GPU_BUSY.name] == [(("0",), 0.25)]
