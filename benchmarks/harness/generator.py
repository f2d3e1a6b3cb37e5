"""Starting load generators and summing up what they saw."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.load import Load, Measured, Result, summary

BENCHMARKS = Path(__file__).resolve().parents[1]


class Failed(Exception):
    """A load generator that did not hand back what it saw."""


def generate(*loads: Load) -> list[Result]:
    """Run all loads at the same time, each in a process of its own. Raises `Failed`."""
    return [summary([part]) for part in _run(loads)]


def split(load: Load, processes: int) -> Result:
    """One load, spread over several processes."""
    each = load.connections // processes
    rate = None if load.rate is None else load.rate / processes
    parts = [
        msgspec.structs.replace(load, connections=each, rate=rate, seed=load.seed + 1000 * number)
        for number in range(processes)
    ]
    return summary(_run(parts))


def _run(loads: Sequence[Load]) -> list[Measured]:
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "harness.client"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in loads
    ]
    for process, load in zip(processes, loads, strict=True):
        assert process.stdin is not None
        process.stdin.write(msgspec.msgpack.encode(load))
        process.stdin.close()
        process.stdin = None
    return [
        _measured(process, load.seconds + load.warmup + load.patience + 60.0)
        for process, load in zip(processes, loads, strict=True)
    ]


def _measured(process: subprocess.Popen[bytes], seconds: float) -> Measured:
    try:
        output, problems = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed("the load generator did not end") from None
    if process.returncode:
        raise Failed(problems.decode(errors="replace").strip().splitlines()[-1])
    return msgspec.msgpack.decode(output, type=Measured)
