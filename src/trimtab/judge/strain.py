"""Whether a machine, or the processes on it, lack something, in words that an incident can show."""

from trimtab.domain.processes import HostStatus

WAITING = {"cpu": 0.6, "memory": 0.1, "io": 0.4}
"""Share of a minute in which some work waited, from which on the machine lacks that.

Work waits for a processor now and then on every busy machine; for memory it should never."""

LOAD = 2.0
"""Processes that want to run for each core, where the kernel does not tell what waits."""

LEAST_FREE = 0.03
"""Share of the memory below which a machine is short of it."""

STARVED = 0.3
"""Share of its time on or before a processor that a worker waited for one."""

_NAMES = {"cpu": "a processor", "memory": "memory", "io": "a disk"}


def lacks(host: HostStatus) -> dict[str, str]:
    """What the machine lacks, by its kind."""
    told = {
        name: f"work on the machine waited for {_NAMES[name]} {share:.0%} of a minute"
        for name, share in sorted(host.waiting.items())
        if share >= WAITING.get(name, 2.0)
    }
    if "cpu" not in host.waiting and host.load >= LOAD * host.cores:
        told["cpu"] = f"{host.load:.1f} processes wanted to run on {host.cores:.3g} cores"
    free = host.free_bytes / max(host.memory_bytes, 1)
    if free < LEAST_FREE:
        told["memory"] = f"{free:.1%} of the machine's memory was free"
    return told


def share(waited: float, worked: float) -> float:
    """The share of their work that workers waited, by their seconds before a processor and on one;
    none for less than a second."""
    return waited / (waited + worked) if waited >= 1.0 else 0.0


def starved(waited: float, worked: float) -> tuple[str, ...]:
    """Whether workers waited for a processor, by their seconds before one and on one."""
    part = share(waited, worked)
    if part < STARVED:
        return ()
    return (f"the workers waited for a processor for {part:.0%} of the time they had work",)
