"""What the GPUs of this machine do, as NVIDIA's management library (NVML) tells it.

The library comes with the driver and is found by the dynamic linker; where there is none, there are
no GPUs. Source: the NVML API reference.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
_MOST_PROCESSES = 1024
_UNKNOWN = (1 << 64) - 1
"""The memory of a process where the driver does not say it."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device. `memory` is in bytes by process id; `busy` is a share of the last moments."""

    number: str
    used_bytes: int
    busy: float
    memory: dict[int, int] = field(default_factory=dict)


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class _Utilization(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint) for name in ("gpu", "memory")]


class _ProcessInfo(ctypes.Structure):
    """`nvmlProcessInfo_t` of the functions that end in `_v3`."""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class NoGpus(Exception):
    """There is no driver, or it does not answer."""


class Gpus:
    """All devices of this machine. Raises `NoGpus` when there are none to be asked."""

    def __init__(self, library: Any = None) -> None:
        try:
            self._library = library or ctypes.CDLL(LIBRARY)
            self._call("nvmlInit_v2")
            count = ctypes.c_uint()
            self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        except (OSError, AttributeError) as error:
            raise NoGpus(str(error)) from error
        self._count = count.value

    def look(self) -> list[Gpu]:
        """Every device that answers."""
        found = []
        for number in range(self._count):
            try:
                found.append(self._device(number))
            except (NoGpus, AttributeError):
                continue
        return found

    def _device(self, number: int) -> Gpu:
        device = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByIndex_v2", number, ctypes.byref(device))
        memory, busy = _Memory(), _Utilization()
        self._call("nvmlDeviceGetMemoryInfo", device, ctypes.byref(memory))
        self._call("nvmlDeviceGetUtilizationRates", device, ctypes.byref(busy))
        used = dict(self._processes(device))
        return Gpu(str(number), int(memory.used), busy.gpu / 100, used)

    def _processes(self, device: ctypes.c_void_p) -> Iterator[tuple[int, int]]:
        """Process ids as this process sees them, with their bytes."""
        count = ctypes.c_uint(_MOST_PROCESSES)
        infos = (_ProcessInfo * _MOST_PROCESSES)()
        name = "nvmlDeviceGetComputeRunningProcesses_v3"
        self._call(name, device, ctypes.byref(count), infos)
        for info in infos[: count.value]:
            if info.used != _UNKNOWN:
                yield int(info.pid), int(info.used)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise NoGpus(f"{name} returned {code}")


def found_gpus() -> Gpus | None:
    """The devices of this machine, None where there is no driver for any."""
    try:
        return Gpus()
    except NoGpus:
        return None
